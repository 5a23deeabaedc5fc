//! Making a `full` or an `incremental` artifact: a walk of the snapshot's pages.
//!
//! Nothing but the artifact is written. (A compressed delta is written plain first: it is small.) The tasks are counted at the
//! same time, or, where that is not possible, behind the walk in the same snapshot, while other threads complete the file.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};

use super::task_counts::{Counting, Counts};
use crate::backup::artifact::compression::Compression;
use crate::backup::artifact::delta::{DeltaWriter, Parent};
use crate::backup::artifact::full::FullWriter;
use crate::backup::artifact::kind::{Geometry, Kind};
use crate::backup::artifact::{self, Fingerprint, PageHash};
use crate::backup::snapshot::Snapshot;
use crate::backup::take::parent;
use crate::backup::take::produce::{Order, Produced, counts, known};
use crate::clock;
use crate::error::Result;
use crate::files::Staged;
use crate::host::threads::lock;
use crate::progress::Watch;
use crate::settings::{self, Settings};

/// Bytes of a database whose tasks take longer to count than a thread to start.
const WORTH_A_THREAD: u64 = 8 << 20;

/// What a walk leaves.
struct Walked {
    staged: Staged,
    fingerprint: Option<Fingerprint>,
    geometry: Geometry,
    hashes: Vec<PageHash>,
    content_digest: String,
    pages_stored: u32,
    parent_id: Option<String>,
    noted: Noted,
}

/// What is noted of the snapshot before it is let go of.
struct Noted {
    task_counts: Counts,
    taken_at: DateTime<Utc>,
    blocked_ms: u64,
}

impl Order<'_> {
    pub(super) fn walk(&self, watch: &mut Watch<'_>) -> Result<Produced> {
        let snapshot = Snapshot::take(self.caller, watch)?;
        let mut notes: Vec<String> = snapshot.note().into_iter().map(str::to_owned).collect();
        let mut parent = None;
        if self.wish.kind == Kind::Incremental {
            let full_every = Settings::of(snapshot.connection())?.positive(&settings::FULL_EVERY)?;
            match parent::find(self.catalog, self.source, self.wish.name.as_deref(), snapshot.page_size, full_every)?
            {
                Ok(found) => parent = Some(found),
                Err(reason) => notes.push(format!("a full backup instead of an incremental: {reason}")),
            }
        }
        let walked = match parent {
            Some(parent) => self.walk_delta(snapshot, parent, &mut notes, watch)?,
            None => self.walk_full(snapshot, &mut notes, watch)?,
        };
        let fingerprint = match walked.fingerprint {
            Some(fingerprint) => {
                walked.staged.sync()?;
                fingerprint
            }
            None => self.settle(&walked.staged, watch)?,
        };
        Ok(Produced {
            kind: if walked.parent_id.is_some() { Kind::Incremental } else { Kind::Full },
            staged: walked.staged,
            geometry: walked.geometry,
            hashes: walked.hashes,
            fingerprint,
            content_digest: walked.content_digest,
            pages_stored: walked.pages_stored,
            parent_id: walked.parent_id,
            task_counts: walked.noted.task_counts,
            taken_at: walked.noted.taken_at,
            blocked_ms: walked.noted.blocked_ms,
            notes,
        })
    }

    fn walk_full(&self, snapshot: Snapshot<'_>, notes: &mut Vec<String>, watch: &mut Watch<'_>) -> Result<Walked> {
        if self.wish.compression.0 == Compression::None {
            self.check_space(snapshot.bytes())?;
        }
        let staged = Staged::new(self.catalog.opened()?)?;
        let expected = snapshot.expected_page_one()?;
        let writer = FullWriter::start(staged.handle()?, self.shown, self.wish.compression, expected)?;
        let writer = Arc::new(Mutex::new(writer));
        let counting = self.count(&snapshot);
        let geometry = snapshot.walk(Box::new(Arc::clone(&writer)), watch)?;
        self.permit(&staged)?;
        lock(&writer).end(geometry)?;
        let noted = note(snapshot, counting, notes, watch)?;
        let written = lock(&writer).wait(watch)?;
        Ok(Walked {
            content_digest: artifact::content_digest(geometry, &written.hashes),
            staged,
            fingerprint: written.fingerprint,
            geometry,
            hashes: written.hashes,
            pages_stored: geometry.page_count,
            parent_id: None,
            noted,
        })
    }

    fn walk_delta(
        &self,
        snapshot: Snapshot<'_>,
        parent: Parent,
        notes: &mut Vec<String>,
        watch: &mut Watch<'_>,
    ) -> Result<Walked> {
        let parent_id = parent.id.clone();
        let plain = Staged::new(self.catalog.opened()?)?;
        let writer = Arc::new(Mutex::new(DeltaWriter::start(plain.handle()?, self.shown, parent)?));
        let counting = self.count(&snapshot);
        let geometry = snapshot.walk(Box::new(Arc::clone(&writer)), watch)?;
        let noted = note(snapshot, counting, notes, watch)?;
        let compared = lock(&writer).finish(geometry)?;
        drop(writer);
        Ok(Walked {
            staged: self.compressed(plain, watch)?,
            fingerprint: None,
            geometry,
            hashes: compared.hashes,
            content_digest: compared.content_digest,
            pages_stored: compared.pages_stored,
            parent_id: Some(parent_id),
            noted,
        })
    }

    /// Begins to count the tasks, if that can be done beside the walk and is worth a thread.
    fn count(&self, snapshot: &Snapshot<'_>) -> Option<Counting> {
        if snapshot.bytes() < WORTH_A_THREAD {
            return None;
        }
        Counting::start(snapshot.twin(self.caller)?)
    }
}

/// Has the tasks counted and lets go of the snapshot.
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
