//! The catalog object: what is known of one backup.
//!
//! # Promise
//!
//! The field names are an interface: `queue_backup()` returns this object, `queue_backups()` shows it, and
//! `backup_manifest.json` holds it. `backup_path` is a bare file name on disk and an absolute path in results. Times are
//! RFC 3339 in UTC, sizes are bytes, durations milliseconds. Fields that this version does not know are kept, as text ([`Object`]).
//!
//! # Order
//!
//! `sequence` says in which order backups were made, whatever the clock showed: it is given under the catalog's lock, and is greater
//! than that of every backup in the catalog. It is also at least `created_at` in Unix milliseconds, so that backups of
//! different directories which meet in one (on a remote, after a disk was lost) are in order, too, as far as their clocks were right.
//! Entries of version 0.1.0 have none; `created_at` stands in for it. That version keeps the field of others when it
//! rewrites a catalog, writes none itself, and orders by `created_at`.
//!
//! # How
//!
//! `object_digest` is the SHA-256 (hex) of the object's other fields as compact JSON with sorted keys ([`canonical`]), as they
//! stand on disk. An entry whose digest is not right was not written by us: it is shown, but nothing is deleted on its word.

use std::path::{Path, PathBuf};

use serde::de::{Deserializer, Error as _};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::backup::artifact;
use crate::backup::json::canonical;
use crate::backup::json::object::Object;
use crate::clock;
use crate::files;

/// One backup.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Entry {
    /// A UUID; empty for a file that no catalog lists.
    pub id: String,
    /// `full`, `snapshot` or `incremental`.
    pub backup_type: String,
    /// The series, as given with the option `name`.
    #[serde(default)]
    pub name: Option<String>,
    /// The setting `queue_name` of the database that was backed up. An entry without one has no such field: an object that version
    /// 0.1.0 sealed must stay as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_name: Option<String>,
    /// The path of the database that was backed up, without links; empty for one without a file.
    pub source_path: String,
    /// The artifact.
    pub backup_path: String,
    /// When the snapshot was taken.
    pub created_at: String,
    /// The artifact's length.
    pub size_bytes: u64,
    /// Whether `compression` is anything but `none`.
    pub compressed: bool,
    /// `none`, `gzip` or `zstd`.
    #[serde(default = "no_compression")]
    pub compression: String,
    /// SHA-256 of the artifact as it lies on disk.
    pub checksum: String,
    /// The SQLite that made it.
    #[serde(default)]
    pub database_version: Option<String>,
    /// Pages of the database.
    #[serde(default)]
    pub page_count: Option<u32>,
    /// Bytes a page.
    #[serde(default)]
    pub page_size: Option<u32>,
    /// The backup that this one builds on.
    #[serde(default)]
    pub parent_id: Option<String>,
    /// See [`artifact`].
    #[serde(default)]
    pub content_digest: Option<String>,
    /// SHA-256 of the hash file beside the artifact.
    #[serde(default)]
    pub hash_file_checksum: Option<String>,
    /// Pages that the artifact holds.
    #[serde(default)]
    pub pages_stored: Option<u32>,
    /// Tasks by status at the time of the snapshot; absent without a task table.
    #[serde(default)]
    pub task_counts: Option<Object>,
    /// How long the backup took.
    #[serde(default)]
    pub duration_ms: Option<u64>,
    /// When it last passed a verification.
    #[serde(default)]
    pub verified_at: Option<String>,
    /// What that verification was.
    #[serde(default)]
    pub verified_level: Option<String>,
    /// Its place in the order in which the catalog's backups were made; see the module's head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// See the module's head.
    #[serde(default)]
    pub object_digest: Option<String>,
    /// Fields of other versions, kept as they are.
    #[serde(flatten, skip_deserializing)]
    pub others: Object,
}

fn no_compression() -> String {
    "none".into()
}

/// The fields that this version knows.
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
/// Why its deletion failed.
const DELETION_ERROR: &str = "deletion_error";
/// Beyond this a number in JSON is not exact in every reader; nobody made so many backups, and no clock shows that time.
pub const LARGEST_SEQUENCE: u64 = 1 << 53;
/// Whether a rotation found that `created_at` is the time of a clock that was wrong.
const WRONG_CLOCK: &str = "wrong_clock";
/// When its last verification failed.
const DAMAGED: &str = "damaged_at";

impl Entry {
    /// Whether its deletion has begun.
    pub fn is_going(&self) -> bool {
        self.others.get(DELETING) == Some(Value::Bool(true))
    }

    /// Whether the object is as we wrote it.
    pub fn is_intact(&self) -> bool {
        self.object_digest.is_some() && self.object_digest == self.computed_digest()
    }

    fn computed_digest(&self) -> Option<String> {
        let mut object = serde_json::to_value(self).ok()?;
        object.as_object_mut()?.remove("object_digest");
        Some(artifact::sha256(canonical::text(&object).as_bytes()))
    }

    /// Signs the object as ours, as it is now.
    pub fn seal(&mut self) {
        self.object_digest = self.computed_digest();
    }

    /// Records the outcome of a verification: when it passed and at which level, or that it failed at `now`.
    pub fn record(&mut self, passed: Option<(&str, &str)>, now: &str) {
        self.verified_at = passed.map(|(when, _)| when.to_owned());
        self.verified_level = passed.map(|(_, level)| level.to_owned());
        match passed {
            Some(_) => self.others.remove(DAMAGED),
            None => self.others.insert(DAMAGED, &Value::String(now.into())),
        };
    }

    /// Its place in the order of making: the greater, the later.
    pub fn made(&self) -> u64 {
        self.sequence.filter(|&sequence| sequence < LARGEST_SEQUENCE).unwrap_or_else(|| self.created_milliseconds())
    }

    /// Makes it the last one made among `others`.
    pub fn follow(&mut self, others: &[Self]) {
        let greatest = others.iter().map(|other| other.made() + 1).max().unwrap_or(0);
        // Behind the last number of all it is the last in the catalog that counts.
        self.sequence = Some(greatest.max(self.created_milliseconds()).min(LARGEST_SEQUENCE - 1));
    }

    fn created_milliseconds(&self) -> u64 {
        let created = clock::parse_rfc3339(&self.created_at);
        created.and_then(|time| u64::try_from(time.timestamp_millis()).ok()).unwrap_or(0)
    }

    /// Whether it is known that its time is wrong.
    pub fn has_wrong_clock(&self) -> bool {
        self.others.get(WRONG_CLOCK) == Some(Value::Bool(true))
    }

    /// Marks it as one whose time is wrong.
    pub fn mark_wrong_clock(&mut self) {
        self.others.insert(WRONG_CLOCK, &Value::Bool(true));
        self.seal();
    }

    /// Whether its last verification failed.
    pub fn is_damaged(&self) -> bool {
        self.others.has(DAMAGED)
    }

    /// Whether it is the same backup in the same file.
    pub fn is_same(&self, other: &Self) -> bool {
        self.id == other.id && self.backup_path == other.backup_path
    }

    /// Marks it as one whose artifact is about to be replaced, or not any more.
    pub fn mark_replacing(&mut self, replacing: bool) {
        if replacing {
            self.others.insert(REPLACING, &Value::Bool(true));
        } else {
            self.others.remove(REPLACING);
        }
        self.seal();
    }

    /// Whether its artifact was about to be replaced.
    pub fn is_replacing(&self) -> bool {
        self.others.get(REPLACING) == Some(Value::Bool(true))
    }

    /// Forgets marks that only the catalog may set: a hash file is no order to delete.
    pub fn unmark(&mut self) {
        self.others.remove(DELETING);
        self.others.remove(REPLACING);
        self.others.remove(DELETION_ERROR);
    }

    /// Marks it as one whose deletion has begun.
    pub fn mark_deleting(&mut self) {
        self.others.insert(DELETING, &Value::Bool(true));
        self.seal();
    }

    /// Marks it as one whose deletion has failed.
    pub fn mark_resisting(&mut self, error: &str) {
        self.others.insert(DELETION_ERROR, &Value::String(error.into()));
        self.seal();
    }

    /// Why its deletion failed, if it did.
    pub fn deletion_error(&self) -> Option<String> {
        match self.others.get(DELETION_ERROR).filter(|_| self.is_going()) {
            Some(Value::String(error)) => Some(error),
            _ => None,
        }
    }

    /// The artifact's path.
    pub fn place(&self, directory: &Path) -> PathBuf {
        directory.join(&self.backup_path)
    }

    /// The object as results show it. Its path is text: the artifact itself lies at [`Entry::place`].
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

/// Only from JSON.
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
