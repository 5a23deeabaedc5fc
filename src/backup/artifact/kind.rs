//! The vocabulary of backups: kinds, levels, shapes. It imports nothing.

/// The series of what a restore saves before it replaces it.
pub const BEFORE_RESTORE: &str = "before_restore";

/// What kind of artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The snapshot.
    Full,
    /// The pages that differ from the parent.
    Incremental,
    /// The snapshot, made compact by `VACUUM INTO`.
    Snapshot,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Full, Self::Incremental, Self::Snapshot];

    /// The word for it in options and in the catalog.
    pub fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Incremental => "incremental",
            Self::Snapshot => "snapshot",
        }
    }

    /// The kind of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// What stands behind a generated name, before the compression's suffix.
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
    /// The file is what was written.
    Checksum,
    /// And its pages make a sound database, as far as a quick look tells.
    Quick,
    /// And every index, constraint and count is right.
    Full,
}

impl Level {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Checksum => "checksum",
            Self::Quick => "quick",
            Self::Full => "full",
        }
    }

    /// The level of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Checksum, Self::Quick, Self::Full].into_iter().find(|level| level.word() == word)
    }
}

/// The shape of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes a page.
    pub page_size: u32,
    /// Pages in all, the lock-byte page included.
    pub page_count: u32,
}
