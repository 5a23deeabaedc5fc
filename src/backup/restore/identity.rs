//! What a restore makes of a database's name.
//!
//! # Promise
//!
//! The setting `queue_name` is part of what is restored: after it, the database may have the name that it had when the backup was made, or
//! that of another queue. By that name all its backups are found from then on, so a change is told, with the way back.

use rusqlite::{Connection, ffi};

use crate::backup::artifact;
use crate::error::Result;
use crate::files::Staged;
use crate::settings::{QUEUE_NAME, Settings};

/// The setting `queue_name`, which may be unset.
pub type Name = Option<String>;

/// The name of a database; `None` where that cannot be read.
///
/// # Errors
///
/// `SQLITE_BUSY`: it can be read later.
pub fn name(conn: &Connection) -> Result<Option<Name>> {
    match Settings::of(conn).and_then(|settings| settings.text(&QUEUE_NAME)) {
        Ok(name) => Ok(Some(name)),
        Err(error) if error.primary_code() == ffi::SQLITE_BUSY => Err(error),
        Err(_) => Ok(None),
    }
}

/// What is to be told, if the database that is restored has another name than the one before.
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
