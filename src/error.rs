//! One error type for the whole core: a SQLite result code and a sentence.
//!
//! # Promise
//!
//! Every error says what failed, on which path or object, and what can be done, and carries the result code that
//! SQLite itself would give for such a failure (`SQLITE_FULL` for a full disk, `SQLITE_CANTOPEN` for a file that
//! cannot be opened, and so on), so that programs can react to the code and people to the sentence. The doors hand
//! both on unchanged.
//!
//! Codes are SQLite's, extended ones included: <https://www.sqlite.org/rescode.html>.

use std::fmt;
use std::io;
use std::path::Path;

use rusqlite::ffi;

/// The core's result type.
pub type Result<T> = std::result::Result<T, Error>;

/// What an interrupt leaves behind where it left nothing.
pub const UNCHANGED: &str = "nothing was changed, call again to start over";

/// What went wrong: a SQLite result code (perhaps an extended one) and a message for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    code: i32,
    message: String,
}

impl Error {
    /// An error with a SQLite result code and a message.
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// A call that cannot be understood or makes no sense: bad arguments, unknown options, a missing table.
    /// SQLite's own functions answer such calls with `SQLITE_ERROR`.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ffi::SQLITE_ERROR, message)
    }

    /// A lock that somebody else holds.
    pub fn busy(message: impl Into<String>) -> Self {
        Self::new(ffi::SQLITE_BUSY, message)
    }

    /// Content that is not what it should be.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ffi::SQLITE_CORRUPT, message)
    }

    /// The caller asked for an end with `sqlite3_interrupt()`. What that leaves behind, [`Error::if_interrupted`] adds.
    pub fn interrupted() -> Self {
        Self::new(ffi::SQLITE_INTERRUPT, "interrupted")
    }

    /// The same error, where an interrupt is what made a wait end early.
    #[must_use]
    pub fn by_interrupt(self) -> Self {
        Self::new(ffi::SQLITE_INTERRUPT, format!("interrupted; {}", self.message))
    }

    /// The same error; if it is an interrupt, with what was changed before it came. Whoever knows that says so, once.
    #[must_use]
    pub fn if_interrupted(self, state: impl fmt::Display) -> Self {
        if self.primary_code() == ffi::SQLITE_INTERRUPT { self.advice(state) } else { self }
    }

    /// Something that must not happen: a defect of queuekeeper, or a host that breaks SQLite's contract.
    pub fn internal(message: impl Into<String>) -> Self {
        let message: String = message.into();
        Self::new(ffi::SQLITE_INTERNAL, format!("{message}; this is a defect of queuekeeper, please report it"))
    }

    /// A file operation that failed: `doing` is a verb phrase ("create the backup file").
    pub fn io(doing: &str, path: &Path, source: &io::Error) -> Self {
        let (code, advice) = classify(source);
        let mut message = format!("cannot {doing} '{}': {source}", path.display());
        if !advice.is_empty() {
            message.push_str("; ");
            message.push_str(advice);
        }
        Self::new(code, message)
    }

    /// The SQLite result code, as precise as it is known.
    pub fn code(&self) -> i32 {
        self.code
    }

    /// The primary result code (`SQLITE_BUSY` for `SQLITE_BUSY_SNAPSHOT`, and so on).
    pub fn primary_code(&self) -> i32 {
        self.code & 0xff
    }

    /// The sentence for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same error with what was being done in front of it.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }

    /// The same error with the advice that fits its code, for errors of the host's database.
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

    /// Whether it says that content is not what it should be.
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

    /// The same error with a piece of advice behind it.
    #[must_use]
    pub fn advice(mut self, advice: impl fmt::Display) -> Self {
        self.message = format!("{}; {advice}", self.message);
        self
    }
}

/// SQLite's words for what a schema needs and nobody has registered, and what that is.
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
                // Where SQLite has no memory for words, rusqlite has only the path for a text.
                let text = text.filter(|_| failure.extended_code & 0xff != ffi::SQLITE_NOMEM);
                let message = text.unwrap_or_else(|| failure.to_string());
                Self::new(failure.extended_code, message)
            }
            // What a query of ours gets when a table was built by somebody else: a value of an unexpected type.
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
