//! Produces a `full` or an `incremental` artifact from the snapshot's pages.
//!
//! Nothing but the artifact is written. (A delta to be compressed is written plain first: it is small.) The
//! tasks are counted at the same time or, if that is not possible, afterwards in the same snapshot while
//! other threads complete the file.

use std::sync::{Arc, Mutex};

use super::task_counts::Counting;
use super::{Noted, Produced, counts, known};
use crate::backup::artifact;
use crate::backup::artifact::compression::Compression;
use crate::backup::artifact::delta::{DeltaWriter, Parent};
use crate::backup::artifact::full::FullWriter;
use crate::backup::artifact::kind::Kind;
use crate::backup::catalog::entry::Entry;
use crate::backup::snapshot::Snapshot;
use crate::backup::take::{Job, parent};
use crate::clock;
use crate::error::Result;
use crate::files::Staged;
use crate::host::threads::lock;
use crate::phase::Phase;
use crate::progress::Watch;
use crate::settings::{self, Settings};

/// Database size from which counting the tasks takes longer than starting a thread.
const WORTH_A_THREAD: u64 = 8 << 20;

impl Job<'_> {
    pub(super) fn walk(&self, watch: &mut Watch<'_>) -> Result<Produced> {
        let snapshot = Snapshot::take(self.caller, watch)?;
        let mut notes: Vec<String> = snapshot.note().into_iter().map(str::to_owned).collect();
        if self.options.kind == Kind::Incremental {
            let full_every = Settings::of(snapshot.connection())?.positive(&settings::FULL_EVERY)?;
            // Read again: others may have backed up or deleted before the snapshot.
            let listed = self.catalog.read()?.backups;
            match parent::find(self, &listed, snapshot.page_size, full_every)? {
                Ok(parent) => return self.walk_delta(snapshot, parent, listed, notes, watch),
                Err(reason) => notes.push(format!("a full backup instead of an incremental: {reason}")),
            }
        }
        self.walk_full(snapshot, notes, watch)
    }

    fn walk_full(&self, snapshot: Snapshot<'_>, mut notes: Vec<String>, watch: &mut Watch<'_>) -> Result<Produced> {
        if self.options.compression.0 == Compression::None {
            self.check_space(snapshot.bytes())?;
        }
        let staged = Staged::new(self.catalog.opened()?)?;
        let expected = snapshot.expected_page_one()?;
        let writer = FullWriter::start(staged.handle()?, &self.target.shown, self.options.compression, expected)?;
        let writer = Arc::new(Mutex::new(writer));
        let counting = self.count(&snapshot);
        watch.begin(self.copying(), snapshot.bytes(), snapshot.page_size)?;
        let geometry = snapshot.walk(Box::new(Arc::clone(&writer)), watch)?;
        self.permit(&staged)?;
        lock(&writer).end(geometry)?;
        let noted = note(snapshot, counting, &mut notes, watch)?;
        let written = lock(&writer).wait(watch)?;
        drop(writer);
        let fingerprint = match written.fingerprint {
            Some(fingerprint) => {
                watch.begin(Phase::Syncing, staged.length()?, geometry.page_size)?;
                staged.sync()?;
                watch.finish()?;
                fingerprint
            }
            None => self.sync_and_hash(&staged, geometry.page_size, watch)?,
        };
        let digest = artifact::content_digest(geometry, &written.hashes);
        let entry = self.entry(Kind::Full, &noted, geometry, digest, fingerprint);
        Ok(Produced { staged, entry, hashes: written.hashes, blocked_ms: noted.blocked_ms, notes, known: Vec::new() })
    }

    fn walk_delta(
        &self,
        snapshot: Snapshot<'_>,
        parent: Parent,
        known: Vec<Entry>,
        mut notes: Vec<String>,
        watch: &mut Watch<'_>,
    ) -> Result<Produced> {
        let parent_id = Some(parent.id.clone());
        let plain = Staged::new(self.catalog.opened()?)?;
        let writer = DeltaWriter::start(plain.handle()?, &self.target.shown, parent)?;
        let writer = Arc::new(Mutex::new(writer));
        let counting = self.count(&snapshot);
        watch.begin(self.copying(), snapshot.bytes(), snapshot.page_size)?;
        let geometry = snapshot.walk(Box::new(Arc::clone(&writer)), watch)?;
        let noted = note(snapshot, counting, &mut notes, watch)?;
        let compared = lock(&writer).finish(geometry)?;
        drop(writer);
        let staged = self.compressed(plain, geometry.page_size, watch)?;
        let fingerprint = self.sync_and_hash(&staged, geometry.page_size, watch)?;
        let entry = self.entry(Kind::Incremental, &noted, geometry, compared.content_digest, fingerprint);
        let entry = Entry { parent_id, pages_stored: Some(compared.pages_stored), ..entry };
        Ok(Produced { staged, entry, hashes: compared.hashes, blocked_ms: noted.blocked_ms, notes, known })
    }

    pub(super) fn copying(&self) -> Phase {
        if self.of_restore { Phase::Saving } else { Phase::Copying }
    }

    /// Starts counting in parallel, if that is possible and worth a thread.
    fn count(&self, snapshot: &Snapshot<'_>) -> Option<Counting> {
        if snapshot.bytes() < WORTH_A_THREAD {
            return None;
        }
        Counting::start(snapshot.twin(self.caller)?)
    }
}

/// Completes the count and closes the snapshot.
fn note(
    snapshot: Snapshot<'_>,
    counting: Option<Counting>,
    notes: &mut Vec<String>,
    watch: &mut Watch<'_>,
) -> Result<Noted> {
    let task_counts = match counting {
        Some(counting) => known(counting.finish(watch)?, notes)?,
        None => counts(snapshot.connection(), notes, watch)?,
    };
    let taken_at = snapshot.taken_at;
    let blocked_ms = clock::milliseconds(snapshot.release());
    Ok(Noted { task_counts, taken_at, blocked_ms })
}
