//! Produces a `snapshot`: a compact copy of the database.
//!
//! `VACUUM INTO` on a sidecar does not sync its file, and renumbers the rows of tables without an INTEGER
//! PRIMARY KEY. So the file is synced here, and a note names such tables.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::{Noted, Produced, counts};
use crate::backup::artifact;
use crate::backup::artifact::kind::{Geometry, Kind};
use crate::backup::take::Job;
use crate::clock;
use crate::connection::{Sidecar, read_pragma};
use crate::error::{Error, Result};
use crate::files::Staged;
use crate::phase::Phase;
use crate::progress::Watch;
use crate::schema;

impl Job<'_> {
    pub(super) fn vacuum_into(&self, watch: &mut Watch<'_>) -> Result<Produced> {
        let mut caller_state = self.caller.state()?;
        if caller_state.excludes_others() {
            let reason = caller_state.in_the_way().unwrap_or_default();
            return Err(Error::busy(format!("type snapshot needs a second connection: {reason}; or use type full")));
        }
        let sidecar = Sidecar::open_reader(self.caller, &caller_state)?;
        sidecar.begin_read(self.caller, &mut caller_state, watch)?;
        let conn = sidecar.connection();
        let size = read_pragma::<i64>(conn, "page_count")? * read_pragma::<i64>(conn, "page_size")?;
        self.check_space(size.unsigned_abs())?;
        let mut notes: Vec<String> = caller_state.note().into_iter().map(str::to_owned).collect();
        notes.extend(renumbered(conn)?);
        // VACUUM opens its own read transaction and fails inside another.
        conn.execute_batch("COMMIT; PRAGMA query_only=OFF")?;
        let plain = Staged::new(self.catalog.opened()?)?;
        let (taken_at, since) = (self.caller.now(), Instant::now());
        watch.begin_uncounted(self.copying())?;
        sidecar.vacuum_into(self.caller, plain.handle()?, plain.path(), watch)?;
        let held = if caller_state.wal() { Duration::ZERO } else { since.elapsed() };
        let blocked_ms = clock::milliseconds(held);
        drop(sidecar);
        let copy = artifact::open_immutable(plain.handle()?, plain.path())?;
        let noted = Noted { task_counts: counts(&copy, &mut notes, watch)?, taken_at, blocked_ms };
        let page_size: u32 = read_pragma(&copy, "page_size")?;
        drop(copy);
        watch.begin(Phase::Reading, plain.length()?, page_size)?;
        let hashes = artifact::page_hashes(&mut plain.handle()?, &self.target.shown, page_size, watch)?;
        let page_count = u32::try_from(hashes.len()).unwrap_or(u32::MAX);
        let geometry = Geometry { page_size, page_count };
        let staged = self.compressed(plain, page_size, watch)?;
        let fingerprint = self.sync_and_hash(&staged, page_size, watch)?;
        let digest = artifact::content_digest(geometry, &hashes);
        let entry = self.entry(Kind::Snapshot, &noted, geometry, digest, fingerprint);
        Ok(Produced { staged, entry, hashes, blocked_ms, notes, known: Vec::new() })
    }
}

/// The note on tables whose rows `VACUUM INTO` may renumber.
fn renumbered(conn: &Connection) -> Result<Option<String>> {
    let tables = schema::tables_without_own_rowid(conn)?;
    Ok((!tables.is_empty()).then(|| {
        format!(
            "rows of tables without an INTEGER PRIMARY KEY may have got new rowids: {}; use type full where rowids matter",
            tables.join(", ")
        )
    }))
}
