//! Rotation: deletes the backups that a retention policy does not keep.
//!
//! # Promise
//!
//! - [`planned`] returns what [`rotate`] would do; both use the same [`plan`](crate::retention::plan) and the
//!   same view of the catalog. `planned` writes nothing and takes no lock.
//! - `planned` also accepts a catalog that is a file, whose artifacts are elsewhere, such as an off-site
//!   copy's. It then relies on the catalog alone. `rotate` refuses such a file: its artifacts are not here.
//! - A plan is of one [`source`](super::find::source): the caller's own. A caller without one, such as a
//!   database in memory, gets a plan for each source ([`groups()`]). Backups of other sources are neither
//!   counted nor shown nor deleted, nor are those deleted that may be another's ([`Source::may_be_anothers`]).
//! - Only artifacts in the directory's catalog are ever deleted, and never one that the plan protects.
//!   Deleting is crash-safe (see [`catalog`]).
//! - The caller's latest backup is not deleted, whatever others have made since.
//! - What contradicts the catalog does not count, and is not deleted: an entry that was modified or
//!   duplicated, a file that is live, missing, or of another length. So lost backups never displace the
//!   remaining ones.
//! - A backup whose deletion fails (an immutable file) counts no more: it uses no slot and is not adopted.
//!   [`rotate`] reports it as an error each time until it is gone; then it is counted as deleted. Everything
//!   else is deleted nevertheless.
//! - A default directory that does not exist has no backups, so nothing is deleted and nothing is created.

mod groups;

use std::cmp::Reverse;
use std::collections::HashSet;
use std::path::Path;

use chrono::{DateTime, Utc};

use self::groups::groups;
use super::artifact::recognize;
use super::catalog::adopted::ADOPTED;
use super::catalog::entry::Entry;
use super::catalog::{self, Catalog, Listing, newest_first};
use super::find::directory;
use super::find::source::{Key, Made, Source};
use super::take::names;
use super::warnings::lost_tasks;
use crate::clock;
use crate::connection::Caller;
use crate::error::{Error, Result, UNCHANGED};
use crate::files::{self, Directory, LiveFiles};
use crate::memory;
use crate::progress::Watch;
use crate::retention::item::{Item, Tasks};
use crate::retention::policy::Policy;

/// The plan for one backup.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// As in results.
    pub entry: Entry,
    pub keep: bool,
    /// Never empty.
    pub reasons: Vec<String>,
    /// Whether the plan found its time to be wrong.
    wrong_clock: bool,
    /// The source whose plan it is; none for an adopted file.
    pub source: Option<String>,
}

/// Memory of an entry's plan besides its names: the shown entry, retention's item, reasons, and map keys.
const PLAN_OF_AN_ENTRY: usize = 4096;
/// How often a plan stores an entry's names.
const COPIES_OF_A_NAME: usize = 8;

/// The input of a plan.
struct PlanInput<'a> {
    policy: &'a Policy,
    source: Source,
    now: DateTime<Utc>,
    /// The id of the backup that the caller has just made.
    just_made: Option<&'a str>,
}

/// Returns what [`rotate`] would do now, newest first.
pub fn planned(caller: &Caller, policy: &Policy, directory: Option<&str>) -> Result<Vec<Planned>> {
    check(policy)?;
    let live = caller.live_files()?;
    let mut watch = Watch::new(caller, None);
    if let Some(file) = directory.map(Path::new).filter(|path| path.is_file()) {
        let entries = catalog::elsewhere(file, &live)?;
        let source = source_among(caller, &entries, &mut watch)?;
        let input = PlanInput { policy, source, now: caller.now(), just_made: None };
        return decide(entries, why_untrusted, Entry::clone, &input);
    }
    let place = directory::directory(caller, directory, &mut watch)?;
    let catalog = Catalog::of(&place, &live)?;
    let listing = catalog.listing(&mut watch)?;
    let source = source_among(caller, &listing.backups, &mut watch)?;
    let resisting: Vec<Entry> =
        listing.resisting().filter(|entry| !source.is_known() || source.owns(*entry)).cloned().collect();
    let input = PlanInput { policy, source, now: caller.now(), just_made: None };
    let mut planned = decide_here(listing, &catalog, &live, &input)?;
    planned.extend(resisting.iter().map(|entry| tried_again(entry, catalog.directory())));
    planned.sort_by_key(|one| Reverse(one.entry.made()));
    Ok(planned)
}

/// The plan for a backup whose deletion failed.
fn tried_again(entry: &Entry, directory: &Path) -> Planned {
    let why = entry.deletion_error().unwrap_or_default();
    Planned {
        entry: entry.shown(directory),
        keep: false,
        wrong_clock: false,
        reasons: vec![format!("its deletion failed and is tried again: {why}")],
        source: Some(Key::of(entry).text().to_owned()),
    }
}

fn source_among(caller: &Caller, entries: &[Entry], watch: &mut Watch<'_>) -> Result<Source> {
    Source::of(caller, watch)?.resolved_in(entries.iter().map(Made::from))
}

/// Deletes what `policy` does not keep, except the backup that the caller has `just_made`; returns the count
/// of deleted backups.
pub fn rotate(caller: &Caller, policy: &Policy, directory: Option<&str>, just_made: Option<&str>) -> Result<usize> {
    check(policy)?;
    let mut watch = Watch::new(caller, None);
    let place = directory::directory(caller, directory, &mut watch)?;
    if directory.is_none() && !files::exists(&place)? {
        return Ok(0);
    }
    let live = caller.live_files()?;
    let catalog = Catalog::of(&place, &live)?;
    if let Ok(directory) = catalog.opened() {
        files::sweep(directory, &live);
    }
    // Avoids creating a lock file in an unused directory.
    let nothing_adopted = !policy.adopted || Listing::default().adopted(&catalog)?.is_empty();
    if nothing_adopted && catalog.is_untouched() {
        return Ok(0);
    }
    let mut writer = catalog.open(&mut watch).map_err(|error| error.if_interrupted(UNCHANGED))?;
    let listing = writer.listing();
    let source = source_among(caller, &listing.backups, &mut watch)?;
    let input = PlanInput { policy, source, now: caller.now(), just_made };
    let planned = decide_here(listing, &catalog, &live, &input)?;
    let wrong = planned.iter().filter(|one| one.wrong_clock && !one.entry.has_wrong_clock());
    writer.mark_wrong_clocks(&wrong.map(|one| one.entry.id.clone()).collect::<HashSet<_>>())?;
    let (adopted, catalogued): (Vec<Planned>, Vec<Planned>) =
        planned.into_iter().filter(|one| !one.keep).partition(|one| one.entry.backup_type == ADOPTED);
    let doomed: Vec<String> = catalogued.into_iter().map(|one| one.entry.id).collect();
    writer.delete(&doomed)?;
    let done = writer.deletions().among(|entry| !input.source.is_known() || input.source.owns(entry));
    let adopted = adopted.iter().map(|one| delete_adopted(writer.directory(), &one.entry, &live));
    let (gone, errors): (Vec<_>, Vec<_>) = adopted.partition(|outcome: &Result<()>| outcome.is_ok());
    let gone = done.gone.len() + gone.len();
    let errors = done.resisted.into_iter().map(|(_, error)| error).chain(errors.into_iter().filter_map(Result::err));
    catalog::combined_errors(gone, errors).map_or(Ok(gone), Err)
}

fn delete_adopted(directory: &Directory, entry: &Entry, live: &LiveFiles) -> Result<()> {
    // An adopted file's id is its exact name; its path is text for results.
    let path = directory.path().join(&entry.id);
    match recognize::artifact(directory, &path, live, "its name")? {
        Some(file) => directory.remove_file(&path, &file),
        None => Err(Error::io("delete the adopted backup", &path, &std::io::ErrorKind::NotFound.into())),
    }
}

fn check(policy: &Policy) -> Result<()> {
    policy.name.as_deref().map_or(Ok(()), names::check_series)
}

/// Decides on a directory's backups and adoptable files.
fn decide_here(
    listing: Listing,
    catalog: &Catalog<'_>,
    live: &LiveFiles,
    input: &PlanInput<'_>,
) -> Result<Vec<Planned>> {
    let adopted = listing.adopted(catalog)?;
    let mut entries = listing.backups;
    entries.extend(adopted);
    newest_first(&mut entries);
    decide(entries, |entry| why_untouchable(entry, catalog, live), |entry| entry.shown(catalog.directory()), input)
}

fn decide(
    entries: Vec<Entry>,
    unfit: impl Fn(&Entry) -> Option<&'static str>,
    shown: impl Fn(&Entry) -> Entry,
    input: &PlanInput<'_>,
) -> Result<Vec<Planned>> {
    let names: usize = entries.iter().map(|entry| entry.id.len() + entry.backup_path.len()).sum();
    memory::require(entries.len() * PLAN_OF_AN_ENTRY + names * COPIES_OF_A_NAME)?;
    let ids = repeated(entries.iter().map(|entry| entry.id.as_str()));
    let files = repeated(entries.iter().map(|entry| entry.backup_path.as_str()));
    let item = |entry: &Entry| {
        let doubled = ids.contains(entry.id.as_str()) || files.contains(entry.backup_path.as_str());
        let doubt =
            || input.source.may_be_anothers(entry).then_some("made of a path at which another database lies now");
        let item =
            item(entry, if doubled { Some("listed twice in the catalog") } else { unfit(entry).or_else(doubt) });
        Item { just_made: input.just_made == Some(entry.id.as_str()), ..item }
    };
    let items: Vec<Item> = entries.iter().map(item).collect();
    let mut planned: Vec<(usize, Planned)> = Vec::new();
    for group in groups(&entries, &input.source) {
        for (place, decision) in group.plan(&items, input.now, input.policy) {
            let entry = &entries[place];
            let source = (entry.backup_type != ADOPTED).then(|| group.label.clone());
            let one = Planned {
                entry: shown(entry),
                keep: decision.keep,
                reasons: decision.reasons,
                wrong_clock: decision.wrong_clock,
                source,
            };
            memory::push(&mut planned, (place, one))?;
        }
    }
    planned.sort_by_key(|(place, _)| *place);
    Ok(planned.into_iter().map(|(_, one)| one).collect())
}

/// The keys that occur more than once.
pub(super) fn repeated<'a>(keys: impl Iterator<Item = &'a str>) -> HashSet<&'a str> {
    let mut seen = HashSet::new();
    keys.filter(|key| !seen.insert(*key)).collect()
}

/// Why an entry is not trusted, if so.
fn why_untrusted(entry: &Entry) -> Option<&'static str> {
    if entry.backup_type != ADOPTED && !entry.is_intact() {
        return Some("its catalog entry was changed by somebody else");
    }
    if clock::parse_rfc3339(&entry.created_at).is_none() {
        return Some("its catalog entry has no time that could be read");
    }
    None
}

/// Why an entry is not trusted or its file must not be touched, if so.
fn why_untouchable(entry: &Entry, catalog: &Catalog<'_>, live: &LiveFiles) -> Option<&'static str> {
    if let Some(untrue) = why_untrusted(entry) {
        return Some(untrue);
    }
    let path = entry.place(catalog.directory());
    if catalog.opened().is_ok_and(|directory| live.contains_in(directory, &path)) {
        return Some("a live database");
    }
    if catalog.refuse_redirected(&path).is_err() {
        return Some("another user's than who may have put the link there that leads to it");
    }
    for companion in ["-wal", "-journal"] {
        match catalog.metadata_of(&files::with_suffix(&path, companion)) {
            Ok(None) => {}
            Ok(Some(_)) => return Some("in use as a database: a journal lies beside it"),
            Err(_) => return Some("what lies beside its file cannot be looked at"),
        }
    }
    match catalog.metadata_of(&path) {
        Ok(Some(found)) if !found.is_file() => Some("no regular file"),
        Ok(Some(found)) if found.length() != entry.size_bytes => Some("its file is not as long as the catalog says"),
        Ok(Some(_)) => None,
        Ok(None) => Some("its file is missing"),
        Err(_) => Some("its file cannot be looked at"),
    }
}

/// What is known of a backup's tasks: without counts, there was no task table
/// or they could not be counted; both count as no tasks.
fn tasks_of(entry: &Entry) -> Tasks {
    match (&entry.task_counts, entry.backup_type == ADOPTED) {
        (_, true) => Tasks::Unknown,
        (Some(counts), false) if lost_tasks::total(&counts.fields()) > 0 => Tasks::There,
        _ => Tasks::Gone,
    }
}

fn item(entry: &Entry, untouchable: Option<&'static str>) -> Item {
    Item {
        id: entry.id.clone(),
        label: entry.backup_path.clone(),
        made: entry.made(),
        // An unparsable time makes it untouchable, so any value will do.
        created_at: clock::parse_rfc3339(&entry.created_at).unwrap_or_default(),
        size_bytes: entry.size_bytes,
        name: entry.name.clone(),
        parent_id: entry.parent_id.clone(),
        verified: entry.verified_at.is_some(),
        tasks: tasks_of(entry),
        adopted: entry.backup_type == ADOPTED,
        untouchable,
        wrong_clock: entry.has_wrong_clock(),
        just_made: false,
    }
}
