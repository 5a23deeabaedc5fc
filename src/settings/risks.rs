//! The setting `accepted_risks`: metrics of `queue_health()` whose faults are known, and not counted.
//!
//! # Promise
//!
//! Only metrics that there are can be accepted, so that a slip of the pen accepts nothing; a test compares
//! [`METRICS`] with what `queue_health()` shows.

use super::kind;

pub const METRICS: [&str; 16] = [
    "database_size",
    "wal_size",
    "fragmentation",
    "stale_leases",
    "unreadable_leases",
    "unknown_statuses",
    "blocked_leases",
    "free_disk",
    "backup_age",
    "offsite_age",
    "tasks_missing",
    "failed_deletions",
    "failing_steps",
    "sqlite_version",
    "journal_mode",
    "busy_timeout",
];

pub const WORDS: &str = "a JSON array of metrics of queue_health(), such as '[\"sqlite_version\"]'; they are database_size, wal_size, \
                         fragmentation, stale_leases, unreadable_leases, unknown_statuses, blocked_leases, free_disk, backup_age, \
                         offsite_age, tasks_missing, failed_deletions, failing_steps, sqlite_version, journal_mode, busy_timeout";

/// The array as it is stored.
pub fn accept(text: &str) -> Option<String> {
    let names = kind::texts(text)?;
    names.iter().all(|name| METRICS.contains(&name.as_str())).then(|| serde_json::json!(names).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_metrics_are_risks() {
        assert_eq!(accept("[]").as_deref(), Some("[]"));
        assert_eq!(accept(r#" [ "wal_size" ] "#).as_deref(), Some(r#"["wal_size"]"#));
        for bad in ["", "wal_size", r#"["wal"]"#, r#"["WAL_SIZE"]"#, "[1]", "{}", r#"[["wal_size"]]"#] {
            assert_eq!(accept(bad), None, "{bad}");
        }
        for name in METRICS {
            assert!(WORDS.contains(name), "{name}");
        }
    }
}
