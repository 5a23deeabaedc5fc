//! Rows of the catalog and of the rotation plan.

use rusqlite::types::Value;

use super::{each, integer, text};
use crate::backup::catalog::entry::Entry;
use crate::backup::catalog::{Catalog, newest_first};
use crate::backup::find::directory;
use crate::backup::rotate;
use crate::calls::arguments::Arguments;
use crate::connection::Caller;
use crate::error::Result;
use crate::json::canonical;
use crate::progress::Watch;

pub(crate) fn backups(caller: &Caller, arguments: &Arguments) -> Result<Vec<Vec<Value>>> {
    let argument = arguments.text(0, "dir")?;
    let mut watch = Watch::new(caller, None);
    let directory = directory::directory(caller, argument, &mut watch)?;
    let live = caller.live_files()?;
    let catalog = Catalog::of(&directory, &live)?;
    let listing = catalog.listing(&mut watch)?;
    let adopted = listing.adopted(&catalog)?;
    let mut entries = listing.known();
    entries.extend(adopted);
    newest_first(&mut entries);
    each(entries, |entry| backup(entry.shown(catalog.directory())))
}

fn backup(entry: Entry) -> Vec<Value> {
    let (deletion_error, damaged_at) = (entry.deletion_error(), entry.damaged_at());
    let counts = entry.task_counts.map(|counts| canonical::text(&serde_json::Value::Object(counts.fields())));
    vec![
        text(Some(entry.id)),
        text(Some(entry.backup_type)),
        text(entry.name),
        text(Some(entry.source_path)),
        text(Some(entry.backup_path)),
        text(Some(entry.created_at)),
        integer(Some(entry.size_bytes)),
        integer(Some(i64::from(entry.compressed))),
        text(Some(entry.compression)),
        text(Some(entry.checksum)),
        text(entry.database_version),
        integer(entry.page_count),
        integer(entry.page_size),
        text(entry.parent_id),
        text(entry.content_digest),
        text(entry.hash_file_checksum),
        integer(entry.pages_stored),
        text(counts),
        integer(entry.duration_ms),
        text(entry.verified_at),
        text(entry.verified_level),
        text(entry.object_digest),
        integer(entry.sequence),
        text(entry.queue_name),
        text(deletion_error),
        text(damaged_at),
    ]
}

pub(crate) fn rotation(caller: &Caller, arguments: &Arguments) -> Result<Vec<Vec<Value>>> {
    let policy = arguments.policy(0)?;
    let planned = rotate::planned(caller, &policy, arguments.text(1, "dir")?)?;
    each(planned, |one| {
        vec![
            text(Some(one.entry.backup_path)),
            text(Some(one.entry.created_at)),
            text(Some(if one.keep { "keep" } else { "delete" })),
            text(Some(one.reasons.join(", "))),
            text(one.source),
        ]
    })
}
