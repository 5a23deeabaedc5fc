//! Verifies a backup and records the result in its catalog.
//!
//! # Promise
//!
//! The result has `status` `ok` or `corrupted`, and `details` with the findings. A pass is recorded in the
//! catalog as `verified_at` and `verified_level`, unless an earlier one was more thorough because this one
//! could not judge everything. A failure clears them and sets `damaged_at`: no incremental
//! builds on such a backup, and a note names another one ([`alternative`]). A restore that finds its backup
//! damaged does the same. If its files and pages are as written, and only a SQLite older than the one that
//! made it has findings, nothing is recorded. If the catalog cannot be written (a read-only directory), the
//! verification still succeeds, and a note says that it was not recorded.

pub mod alternative;
pub mod database;
pub mod findings;
pub mod newer_sqlite;

use serde::{Deserialize, Serialize};

use super::artifact::kind::Level;
use super::catalog::entry::Entry;
use super::find::{self, Found};
use crate::clock;
use crate::connection::Caller;
use crate::error::{Error, Result, UNCHANGED};
use crate::progress::{Listener, Watch};

/// The options of a verification or deletion.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object such as {\"dir\": \"/backups\"}")]
pub struct Options {
    dir: Option<String>,
}

/// The result of a verification.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// `ok` or `corrupted`.
    pub status: &'static str,
    /// The level reached; lower than requested if not everything could be judged.
    pub level: &'static str,
    pub id: String,
    pub backup_path: String,
    /// The findings.
    pub details: Vec<String>,
    pub verified_at: Option<String>,
    /// What could not be judged or recorded, and other remarks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Verifies the backup that `words` means at a level, `quick` by default. Fails if there is no such backup or
/// level, or it cannot be checked.
pub fn verify<'a>(
    caller: &'a Caller,
    words: Option<&str>,
    level: Option<&str>,
    options: &Options,
    listener: Option<Listener<'a>>,
) -> Result<Outcome> {
    let level = match level {
        None => Level::Quick,
        Some(word) => Level::from_word(word).ok_or_else(|| {
            Error::usage(format!("the level is '{}'; it can be checksum, quick or full", word.escape_debug()))
        })?,
    };
    let live = caller.live_files()?;
    let mut watch = Watch::new(caller, listener);
    let backup = find::backup(caller, &live, words, options.dir.as_deref(), &[], &mut watch)?;
    let findings::Verdict { soundness: found, by_older } =
        findings::check_backup(&backup.backup(), level, &mut watch)
            .map_err(|error| alternative::named(error.if_interrupted(UNCHANGED), caller, &backup, &mut watch))?;
    let Found { entry, .. } = &backup;
    let (level, unjudged) = (found.level(level), Vec::from_iter(found.verification_note()));
    let mut details = found.findings;
    if !entry.is_intact() {
        details.insert(0, "its catalog entry is not as it was written".into());
    }
    let passed = details.is_empty();
    let now = clock::rfc3339(caller.now());
    let when = passed.then(|| now.clone());
    let unrecorded = match by_older && entry.is_intact() {
        true => Some(BY_OLDER.to_owned()),
        false if passed && !unjudged.is_empty() && verified_beyond(entry, level) => Some(STAYS.to_owned()),
        false => record(&backup, Verdict { passed, level, now: &now }, &mut watch)
            .err()
            .map(|error| format!("the outcome could not be recorded in the catalog: {error}")),
    };
    let other = if passed || by_older { None } else { alternative::advice(caller, &backup, &mut watch) };
    let notes: Vec<String> = backup.note.clone().into_iter().chain(unjudged).chain(unrecorded).chain(other).collect();
    Ok(Outcome {
        status: if passed { "ok" } else { "corrupted" },
        level: level.word(),
        id: entry.id.clone(),
        backup_path: entry.shown(backup.catalog.directory()).backup_path,
        details,
        verified_at: when,
        note: (!notes.is_empty()).then(|| notes.join("; ")),
    })
}

const BY_OLDER: &str = "its files and pages are what was written, and a newer SQLite than this one made it, so the outcome was not recorded; \
                        verify it through that one";

const STAYS: &str = "its mark of an earlier verification, which could judge more, stays";

/// Whether an earlier verification was more thorough.
fn verified_beyond(entry: &Entry, level: Level) -> bool {
    entry.verified_level.as_deref().and_then(Level::from_word).is_some_and(|earlier| earlier > level)
}

struct Verdict<'a> {
    passed: bool,
    level: Level,
    now: &'a str,
}

/// Records that a backup is damaged, unless that is known, or its chain's entries are not as they were written:
/// then its files may be sound.
pub fn record_damage(backup: &Found<'_>, caller: &Caller, watch: &mut Watch<'_>) -> Result<()> {
    let is_listed = backup.backup().chain().is_ok_and(|links| links.into_iter().all(Entry::is_intact));
    if backup.entry.is_damaged() || !is_listed {
        return Ok(());
    }
    let now = clock::rfc3339(caller.now());
    record(backup, Verdict { passed: false, level: Level::Quick, now: &now }, watch)
}

fn record(backup: &Found<'_>, verdict: Verdict<'_>, watch: &mut Watch<'_>) -> Result<()> {
    let entry = &backup.entry;
    // A modified entry stays as it is: sealing it would declare it ours.
    if !entry.is_intact() || !backup.known.iter().any(|listed| listed.is_same(entry)) {
        return Ok(());
    }
    backup.catalog.open(watch)?.update(entry, |entry| {
        entry.record(verdict.passed.then_some((verdict.now, verdict.level.word())), verdict.now);
    })
}
