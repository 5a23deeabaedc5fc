//! Compares a database's name before and after a restore.
//!
//! # Promise
//!
//! A restore includes the setting `queue_name`: afterwards the database may have the name from when the
//! backup was made, or that of another queue. From then on its backups are found by that name, so a note
//! reports a change and how to undo it.

use rusqlite::{Connection, ffi};

use crate::backup::artifact;
use crate::error::Result;
use crate::files::Staged;
use crate::settings::{QUEUE_NAME, Settings};

/// The setting `queue_name`, which may be unset.
pub type Name = Option<String>;

/// A database's name; `None` if it cannot be read. Fails with `SQLITE_BUSY`.
pub fn name(conn: &Connection) -> Result<Option<Name>> {
    match Settings::of(conn).and_then(|settings| settings.text(&QUEUE_NAME)) {
        Ok(name) => Ok(Some(name)),
        Err(error) if error.primary_code() == ffi::SQLITE_BUSY => Err(error),
        Err(_) => Ok(None),
    }
}

/// The note, if the restored database has another name than the one before.
pub fn change(before: Option<&Name>, restored: &Staged) -> Option<String> {
    let before = before?;
    let restored = artifact::open_immutable(restored.handle().ok()?, restored.path()).ok()?;
    let after = name(&restored).ok()??;
    let words = |name: &Name| name.as_ref().map_or("no queue_name".into(), |name| format!("the queue_name '{name}'"));
    (*before != after).then(|| {
        let again = before.as_ref().map_or("NULL".into(), |name| format!("'{name}'"));
        format!(
            "the database has {} now, as the backup had, and had {} before; its backups are found by that: if it is the queue that it \
             was, call queue_set('queue_name', {again})",
            words(&after),
            words(before)
        )
    })
}
