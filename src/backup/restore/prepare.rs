//! Changes a rebuilt copy before it is used.

use rusqlite::Connection;

use crate::connection::read_pragma;
use crate::error::{Error, Result};
use crate::files::Staged;
use crate::host::unnamed_files::{self, Access};
use crate::host::{auto_extensions, disk_errors};
use crate::phase::Phase;
use crate::progress::Watch;
use crate::schema;

/// Adds a free second page to a copy of one page: else the first step would already be its commit, before the
/// target was saved.
pub fn grow(rebuilt: &Staged, watch: &mut Watch<'_>) -> Result<()> {
    let sql = "PRAGMA auto_vacuum=NONE; CREATE TABLE queuekeeper_page(x); DROP TABLE queuekeeper_page";
    change(rebuilt, watch, |conn| Ok(conn.execute_batch(sql)?))
        .map_err(|error| error.context("cannot prepare the backup"))
}

/// Changes the rebuilt copy, which need not survive a crash. Its triggers may take any time.
pub fn change<T>(rebuilt: &Staged, watch: &mut Watch<'_>, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    let conn = unnamed_files::connect(rebuilt.handle()?, Access::Write)?;
    let done = watch.run(&conn, || {
        conn.execute_batch("PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF")?;
        work(&conn)
    })?;
    done.map_err(|error| disk_errors::told(&conn, error))
}

/// Converts the rebuilt copy to another page size; returns a note on rows that may have new rowids.
pub fn convert(rebuilt: &Staged, page_size: u32, watch: &mut Watch<'_>) -> Result<String> {
    watch.begin_uncounted(Phase::Compacting)?;
    let (tables, reached) = change(rebuilt, watch, |conn| {
        let tables = schema::tables_without_own_rowid(conn)?;
        auto_extensions::refuse_shadowed(conn)?;
        conn.execute_batch(&format!("PRAGMA page_size={page_size}; VACUUM"))
            .map_err(|error| Error::from(error).context("cannot give the backup the page size of the target"))?;
        Ok((tables, read_pragma::<u32>(conn, "page_size")?))
    })?;
    if reached != page_size {
        return Err(Error::usage(format!(
            "the backup has pages of {reached} bytes and the target of {page_size}, which cannot be reconciled; restore into a \
             new file"
        )));
    }
    Ok(match tables.as_slice() {
        [] => format!("stored with the target's page size of {page_size} bytes"),
        tables => format!(
            "stored with the target's page size of {page_size} bytes; rows of tables without an INTEGER PRIMARY KEY may have got \
             new rowids: {}",
            tables.join(", ")
        ),
    })
}
