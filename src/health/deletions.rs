//! The metric `failed_deletions`.

use rusqlite::types::Value;

use super::{Level, Metric};
use crate::backup::warnings::leftovers;
use crate::connection::Caller;

/// Counts backups and temporary files that could not be deleted, see [`leftovers`]. The action names the
/// first.
pub fn failed(caller: &Caller) -> Metric {
    let metric = |value, level, action| Metric {
        metric: "failed_deletions",
        value,
        unit: Some("files"),
        warning: None,
        critical: None,
        level,
        action,
    };
    let found = match leftovers::of(caller) {
        Ok(found) => found,
        Err(error) => return metric(Value::Null, Level::Critical, Some(caller.blame_disk(error).message().into())),
    };
    #[allow(clippy::cast_precision_loss)] // Counts of files stay far below 2^53.
    let count = Value::Real(found.len() as f64);
    let Some(first) = found.first() else { return metric(count, Level::Ok, None) };
    let action = format!(
        "let these files be deleted (look for attributes such as immutable, and for permissions), or delete them yourself; it is tried again \
         with each backup and rotation. {}{}",
        first.why,
        if found.len() > 1 { format!("; and {} more", found.len() - 1) } else { String::new() }
    );
    metric(count, Level::Warning, Some(action))
}
