//! The vocabulary of backups: kinds, levels, geometry. It imports nothing.

/// The name of the backup that a restore takes of its target.
pub const BEFORE_RESTORE: &str = "before_restore";

/// The beginning of a database file (<https://www.sqlite.org/fileformat.html>, section 1.3).
pub const SQLITE_MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The kind of an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// All pages of the snapshot.
    Full,
    /// The pages that differ from the parent.
    Incremental,
    /// The database compacted by `VACUUM INTO`.
    Snapshot,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Full, Self::Incremental, Self::Snapshot];

    /// The word in options and in the catalog.
    pub fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Incremental => "incremental",
            Self::Snapshot => "snapshot",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// The ending of a generated name, before the compression's suffix.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Incremental => ".delta.db",
            Self::Full | Self::Snapshot => ".db",
        }
    }
}

/// How thoroughly to verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The file's checksum is right.
    Checksum,
    /// And the pages match the content digest and pass `quick_check`.
    Quick,
    /// And they pass `integrity_check` and `foreign_key_check`, and the task counts are right.
    Full,
}

impl Level {
    pub fn word(self) -> &'static str {
        match self {
            Self::Checksum => "checksum",
            Self::Quick => "quick",
            Self::Full => "full",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Checksum, Self::Quick, Self::Full].into_iter().find(|level| level.word() == word)
    }
}

/// A database's page size and page count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// In bytes.
    pub page_size: u32,
    /// Includes the lock-byte page.
    pub page_count: u32,
}
