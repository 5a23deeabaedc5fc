//! The catalog object: what is known of one backup.
//!
//! # Promise
//!
//! The field names are an interface: `queue_backup()` returns this object, `queue_backups()` lists it, and
//! `backup_manifest.json` stores it. `backup_path` is a bare file name on disk and an absolute path in
//! results. Times are RFC 3339 in UTC, sizes are bytes, durations milliseconds. Unknown fields are kept as
//! text ([`Object`]).
//!
//! # Order
//!
//! `sequence` orders backups regardless of the clock: it is assigned under the catalog's lock and exceeds
//! that of every backup in the catalog. It is at least `created_at` in Unix milliseconds, so that backups
//! from several directories that are merged into one (on a remote, after a disk was lost) are in order as far
//! as their clocks were right. Entries of version 0.1.0 have none; `created_at` replaces it. That version
//! keeps the field when it rewrites a catalog, never adds it, and orders by `created_at`.
//!
//! # How
//!
//! `object_digest` is the SHA-256 (hex) of the other fields as compact JSON with sorted keys ([`canonical`]),
//! as stored. An entry with a wrong digest was not written by us: it is listed, but nothing is deleted
//! because of it.

use std::path::{Path, PathBuf};

use serde::de::{Deserializer, Error as _};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::backup::artifact;
use crate::clock;
use crate::files;
use crate::json::canonical;
use crate::json::object::Object;

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Entry {
    /// A UUID; empty for a file that is in no catalog.
    pub id: String,
    /// `full`, `snapshot` or `incremental`.
    pub backup_type: String,
    /// The option `name`.
    #[serde(default)]
    pub name: Option<String>,
    /// The source's setting `queue_name`. Omitted if there is none: an object sealed by version 0.1.0 must
    /// not change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_name: Option<String>,
    /// The source's path with links resolved; empty for a database without a file.
    pub source_path: String,
    /// See the module's head.
    pub backup_path: String,
    /// The snapshot's time.
    pub created_at: String,
    /// The artifact's length.
    pub size_bytes: u64,
    /// Whether `compression` is not `none`.
    pub compressed: bool,
    /// `none`, `gzip` or `zstd`.
    #[serde(default = "no_compression")]
    pub compression: String,
    /// SHA-256 of the artifact's file.
    pub checksum: String,
    /// The version of SQLite that made it.
    #[serde(default)]
    pub database_version: Option<String>,
    #[serde(default)]
    pub page_count: Option<u32>,
    #[serde(default)]
    pub page_size: Option<u32>,
    #[serde(default)]
    pub parent_id: Option<String>,
    /// See [`artifact`].
    #[serde(default)]
    pub content_digest: Option<String>,
    /// SHA-256 of the hash file.
    #[serde(default)]
    pub hash_file_checksum: Option<String>,
    /// Pages in the artifact.
    #[serde(default)]
    pub pages_stored: Option<u32>,
    /// Tasks by status in the snapshot; absent without a task table, or if they could not be counted.
    #[serde(default)]
    pub task_counts: Option<Object>,
    #[serde(default)]
    pub duration_ms: Option<u64>,
    /// When it last passed a verification.
    #[serde(default)]
    pub verified_at: Option<String>,
    /// Of that verification.
    #[serde(default)]
    pub verified_level: Option<String>,
    /// See the module's head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// See the module's head.
    #[serde(default)]
    pub object_digest: Option<String>,
    /// Unknown fields.
    #[serde(flatten, skip_deserializing)]
    pub others: Object,
}

fn no_compression() -> String {
    "none".into()
}

const KNOWN: [&str; 24] = [
    "id",
    "backup_type",
    "name",
    "queue_name",
    "source_path",
    "backup_path",
    "created_at",
    "size_bytes",
    "compressed",
    "compression",
    "checksum",
    "database_version",
    "page_count",
    "page_size",
    "parent_id",
    "content_digest",
    "hash_file_checksum",
    "pages_stored",
    "task_counts",
    "duration_ms",
    "verified_at",
    "verified_level",
    "sequence",
    "object_digest",
];

const DELETING: &str = "deleting";
const REPLACING: &str = "replacing";
/// The error of a failed deletion.
const DELETION_ERROR: &str = "deletion_error";
/// Numbers in JSON are exact in every reader up to here; no count of backups and no clock exceeds it.
pub const LARGEST_SEQUENCE: u64 = 1 << 53;
/// Set when a rotation finds that `created_at` comes from a wrong clock.
const WRONG_CLOCK: &str = "wrong_clock";
/// The time of the last failed verification.
const DAMAGED: &str = "damaged_at";

impl Entry {
    /// Whether its deletion has begun.
    pub fn is_deleting(&self) -> bool {
        self.others.get(DELETING) == Some(Value::Bool(true))
    }

    /// Whether the digest is right.
    pub fn is_intact(&self) -> bool {
        self.object_digest.is_some() && self.object_digest == self.computed_digest()
    }

    fn computed_digest(&self) -> Option<String> {
        let mut object = serde_json::to_value(self).ok()?;
        object.as_object_mut()?.remove("object_digest");
        Some(artifact::sha256(canonical::text(&object).as_bytes()))
    }

    /// Sets the digest.
    pub fn seal(&mut self) {
        self.object_digest = self.computed_digest();
    }

    /// Records a verification: its time and level if it passed, or that it failed at `now`.
    pub fn record(&mut self, passed: Option<(&str, &str)>, now: &str) {
        self.verified_at = passed.map(|(when, _)| when.to_owned());
        self.verified_level = passed.map(|(_, level)| level.to_owned());
        match passed {
            Some(_) => self.others.remove(DAMAGED),
            None => self.others.insert(DAMAGED, &Value::String(now.into())),
        };
    }

    /// The backup's rank in the order of creation.
    pub fn made(&self) -> u64 {
        self.sequence.filter(|&sequence| sequence < LARGEST_SEQUENCE).unwrap_or_else(|| self.created_milliseconds())
    }

    /// Sets the sequence behind those of `others`.
    pub fn rank_after(&mut self, others: &[Self]) {
        let greatest = others.iter().map(|other| other.made() + 1).max().unwrap_or(0);
        // Of several with the largest sequence the last in the catalog is the newest.
        self.sequence = Some(greatest.max(self.created_milliseconds()).min(LARGEST_SEQUENCE - 1));
    }

    fn created_milliseconds(&self) -> u64 {
        let created = clock::parse_rfc3339(&self.created_at);
        created.and_then(|time| u64::try_from(time.timestamp_millis()).ok()).unwrap_or(0)
    }

    pub fn has_wrong_clock(&self) -> bool {
        self.others.get(WRONG_CLOCK) == Some(Value::Bool(true))
    }

    pub fn mark_wrong_clock(&mut self) {
        self.others.insert(WRONG_CLOCK, &Value::Bool(true));
        self.seal();
    }

    /// Whether its last verification failed.
    pub fn is_damaged(&self) -> bool {
        self.others.has(DAMAGED)
    }

    /// When that was. What somebody else wrote in its place is shown as it is.
    pub fn damaged_at(&self) -> Option<String> {
        self.others.get(DAMAGED).map(|when| when.as_str().map_or_else(|| when.to_string(), str::to_owned))
    }

    pub fn is_same(&self, other: &Self) -> bool {
        self.id == other.id && self.backup_path == other.backup_path
    }

    /// Marks or unmarks it as one whose artifact is about to be replaced.
    pub fn mark_replacing(&mut self, replacing: bool) {
        if replacing {
            self.others.insert(REPLACING, &Value::Bool(true));
        } else {
            self.others.remove(REPLACING);
        }
        self.seal();
    }

    pub fn is_replacing(&self) -> bool {
        self.others.get(REPLACING) == Some(Value::Bool(true))
    }

    /// Removes the marks that only a catalog may set: a hash file must not cause a deletion.
    pub fn unmark(&mut self) {
        self.others.remove(DELETING);
        self.others.remove(REPLACING);
        self.others.remove(DELETION_ERROR);
    }

    pub fn mark_deleting(&mut self) {
        self.others.insert(DELETING, &Value::Bool(true));
        self.seal();
    }

    /// Marks it as one whose deletion failed.
    pub fn mark_deletion_failed(&mut self, error: &str) {
        self.others.insert(DELETION_ERROR, &Value::String(error.into()));
        self.seal();
    }

    /// The error of its failed deletion.
    pub fn deletion_error(&self) -> Option<String> {
        match self.others.get(DELETION_ERROR).filter(|_| self.is_deleting()) {
            Some(Value::String(error)) => Some(error),
            _ => None,
        }
    }

    /// The artifact's path.
    pub fn place(&self, directory: &Path) -> PathBuf {
        directory.join(&self.backup_path)
    }

    /// The object for results. Its path is text; [`Entry::place`] is exact.
    #[must_use]
    pub fn shown(&self, directory: &Path) -> Self {
        let mut shown = self.clone();
        shown.backup_path = files::text_of(&self.place(directory));
        shown
    }
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, out)
    }
}

/// JSON only.
impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(input)?;
        let mut known = serde_json::Deserializer::from_str(text.get());
        let entry = Self::deserialize(&mut known).map_err(D::Error::custom)?;
        let others = Object::without(text.get(), &KNOWN).ok_or_else(|| D::Error::custom("no object"))?;
        Ok(Self { others, ..entry })
    }
}

#[cfg(test)]
#[path = "entry_tests.rs"]
pub(crate) mod tests;
