//! The core's error type: a SQLite result code and a message.
//!
//! # Promise
//!
//! Every error says what failed, on which path or object, and what to do. It has the result code that SQLite
//! would return for such a failure (`SQLITE_FULL` for a full disk, `SQLITE_CANTOPEN` for a file that cannot
//! be opened), so that programs can react to the code and people to the message. The doors pass both on
//! unchanged.
//!
//! Codes include SQLite's extended ones: <https://www.sqlite.org/rescode.html>.

use std::fmt;
use std::io;
use std::path::Path;

use rusqlite::ffi;

pub type Result<T> = std::result::Result<T, Error>;

/// The state after an interrupt that changed nothing.
pub const UNCHANGED: &str = "nothing was changed, call again to start over";

/// A SQLite result code, perhaps extended, and a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    code: i32,
    message: String,
}

impl Error {
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// Bad arguments, unknown options, a missing table. The code is `SQLITE_ERROR`, as for SQLite's own
    /// functions.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ffi::SQLITE_ERROR, message)
    }

    /// A lock is held by somebody else.
    pub fn busy(message: impl Into<String>) -> Self {
        Self::new(ffi::SQLITE_BUSY, message)
    }

    /// Content is damaged.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ffi::SQLITE_CORRUPT, message)
    }

    /// The caller called `sqlite3_interrupt()`. [`Error::if_interrupted`] adds the state left behind.
    pub fn interrupted() -> Self {
        Self::new(ffi::SQLITE_INTERRUPT, "interrupted")
    }

    /// Turns the error of a wait into an interrupt that ended it.
    #[must_use]
    pub fn by_interrupt(self) -> Self {
        Self::new(ffi::SQLITE_INTERRUPT, format!("interrupted; {}", self.message))
    }

    /// Adds to an interrupt what was changed before it. The code that knows this calls it once.
    #[must_use]
    pub fn if_interrupted(self, state: impl fmt::Display) -> Self {
        if self.primary_code() == ffi::SQLITE_INTERRUPT { self.advice(state) } else { self }
    }

    /// A bug in queuekeeper, or a host that breaks SQLite's contract.
    pub fn internal(message: impl Into<String>) -> Self {
        let message: String = message.into();
        Self::new(ffi::SQLITE_INTERNAL, format!("{message}; this is a defect of queuekeeper, please report it"))
    }

    /// A failed file operation: `doing` is a verb phrase ("create the backup file").
    pub fn io(doing: &str, path: &Path, source: &io::Error) -> Self {
        let (code, advice) = classify(source);
        let mut message = format!("cannot {doing} '{}': {source}", path.display());
        if !advice.is_empty() {
            message.push_str("; ");
            message.push_str(advice);
        }
        Self::new(code, message)
    }

    /// The most specific result code known.
    pub fn code(&self) -> i32 {
        self.code
    }

    /// The primary result code: `SQLITE_BUSY` for `SQLITE_BUSY_SNAPSHOT`, and so on.
    pub fn primary_code(&self) -> i32 {
        self.code & 0xff
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    /// Prefixes the message with what was being done.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }

    /// Adds the advice that fits the code, for errors of the host's database.
    #[must_use]
    pub fn explained(self) -> Self {
        match self.primary_code() {
            ffi::SQLITE_BUSY => {
                self.advice("another connection holds the database; try again later, or raise PRAGMA busy_timeout")
            }
            ffi::SQLITE_NOTADB => {
                self.advice("the file is not a SQLite database, or it is encrypted with a key that was not given")
            }
            ffi::SQLITE_CORRUPT if self.message.contains("malformed database schema") => {
                self.advice("the schema is damaged, or it was made by a newer SQLite than this one; use that one")
            }
            ffi::SQLITE_CORRUPT => self.advice("PRAGMA integrity_check tells where it is damaged"),
            ffi::SQLITE_ERROR => match self.missing() {
                Some(missing) => self
                    .advice(format!("only the application's connection has {missing}: call this through that one")),
                None => self,
            },
            _ => self,
        }
    }

    pub fn is_damage(&self) -> bool {
        matches!(self.primary_code(), ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB)
    }

    /// What a schema needs and the connection lacks, such as `the function NAME`, if that is the error.
    pub fn missing(&self) -> Option<String> {
        if self.primary_code() != ffi::SQLITE_ERROR {
            return None;
        }
        MISSING.iter().find_map(|(words, kind)| {
            let (_, named) = self.message.split_once(words)?;
            let name = named.split([';', '(']).next().unwrap_or_default();
            Some(format!("the {kind} {name}"))
        })
    }

    /// Appends advice to the message.
    #[must_use]
    pub fn advice(mut self, advice: impl fmt::Display) -> Self {
        self.message = format!("{}; {advice}", self.message);
        self
    }
}

/// SQLite's messages about unregistered objects, and the kind of object.
const MISSING: [(&str, &str); 6] = [
    ("no such function: ", "function"),
    ("unknown function: ", "function"),
    ("no such collation sequence: ", "collation"),
    ("no such module: ", "module"),
    ("no such tokenizer: ", "tokenizer"),
    ("unknown tokenizer: ", "tokenizer"),
];

fn classify(source: &io::Error) -> (i32, &'static str) {
    use io::ErrorKind as Kind;
    match source.kind() {
        Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => {
            (ffi::SQLITE_FULL, "free some space there or choose another directory")
        }
        Kind::PermissionDenied => {
            (ffi::SQLITE_CANTOPEN, "choose a place that this process may use, or give it the permission")
        }
        Kind::ReadOnlyFilesystem => (ffi::SQLITE_READONLY, "choose a directory on a file system that can be written"),
        Kind::NotFound => (ffi::SQLITE_CANTOPEN, "check the path"),
        Kind::NotADirectory | Kind::IsADirectory | Kind::InvalidFilename | Kind::InvalidInput => {
            (ffi::SQLITE_CANTOPEN, "check the path")
        }
        Kind::AlreadyExists => (ffi::SQLITE_ERROR, ""),
        Kind::OutOfMemory => (ffi::SQLITE_NOMEM, ""),
        Kind::Interrupted => (ffi::SQLITE_INTERRUPT, ""),
        _ => (ffi::SQLITE_IOERR, ""),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<rusqlite::Error> for Error {
    fn from(source: rusqlite::Error) -> Self {
        match source {
            rusqlite::Error::SqliteFailure(failure, text) => {
                // Out of memory, SQLite has no message, and rusqlite has only the path as the text.
                let text = text.filter(|_| failure.extended_code & 0xff != ffi::SQLITE_NOMEM);
                let message = text.unwrap_or_else(|| failure.to_string());
                Self::new(failure.extended_code, message)
            }
            // A value of an unexpected type, in a table that somebody else made.
            other => Self::new(ffi::SQLITE_ERROR, other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_errors_get_the_code_that_sqlite_would_give() {
        let path = Path::new("/backups/a.db");
        let cases = [
            (io::ErrorKind::StorageFull, ffi::SQLITE_FULL),
            (io::ErrorKind::PermissionDenied, ffi::SQLITE_CANTOPEN),
            (io::ErrorKind::ReadOnlyFilesystem, ffi::SQLITE_READONLY),
            (io::ErrorKind::NotFound, ffi::SQLITE_CANTOPEN),
            (io::ErrorKind::Other, ffi::SQLITE_IOERR),
        ];
        for (kind, code) in cases {
            let error = Error::io("write the backup", path, &io::Error::from(kind));
            assert_eq!(error.code(), code, "{kind:?}");
            assert!(error.message().contains("cannot write the backup '/backups/a.db'"));
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let named = |message: &str| Error::usage(message).context("cannot check").advice("do so").missing();
        assert_eq!(named("unknown function: appf()").as_deref(), Some("the function appf"));
        assert_eq!(named("no such function: appf").as_deref(), Some("the function appf"));
        assert_eq!(named("no such collation sequence: mine").as_deref(), Some("the collation mine"));
        assert_eq!(named("no such table: t"), None);
        assert_eq!(Error::corrupt("no such module: m").missing(), None);
    }

    #[test]
    fn context_and_advice_keep_the_code() {
        let error = Error::busy("locked").context("catalog").advice("try again");
        assert_eq!(error.code(), ffi::SQLITE_BUSY);
        assert_eq!(error.to_string(), "catalog: locked; try again");
        assert_eq!(Error::new(ffi::SQLITE_BUSY | (2 << 8), "x").primary_code(), ffi::SQLITE_BUSY);
    }
}
