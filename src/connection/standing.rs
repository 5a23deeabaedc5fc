//! What a caller holds, and whether that is in the way.

use rusqlite::ffi;

use crate::error::Error;
use crate::host::Transaction;

/// What a caller holds on its main database.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The transaction that is open, an implicit one included.
    pub transaction: Transaction,
    /// False inside `BEGIN` or a savepoint.
    pub autocommit: bool,
    /// SQLite's name of the journal mode; empty as long as nobody has read the database, see [`Sidecar::begin_read`].
    pub journal: String,
    /// `locking_mode=EXCLUSIVE`.
    pub exclusive: bool,
    /// The connection takes no locks.
    pub unlocked: bool,
    /// The connection cannot write.
    pub readonly: bool,
}

impl Standing {
    /// Whether the database is in WAL mode.
    pub fn wal(&self) -> bool {
        self.journal.eq_ignore_ascii_case("wal")
    }

    /// What somebody who reads the result of a backup should know about the caller's own transaction.
    pub fn note(&self) -> Option<&'static str> {
        (self.transaction == Transaction::Write)
            .then_some("taken at the last commit: the uncommitted changes of this connection are not in it")
    }

    /// The error for a work (`what` is a verb) on a connection that may only read.
    pub fn read_only(what: &str) -> Error {
        Error::new(
            ffi::SQLITE_READONLY,
            format!("this connection may only read its database; {what} through one that may write"),
        )
    }

    /// Whether no second connection can use the database beside this one.
    pub fn alone(&self) -> bool {
        self.exclusive || self.unlocked
    }

    /// The sentence to say when a second connection finds the database locked and the caller itself is the likely
    /// reason; `None` when it can only be somebody else.
    pub fn in_the_way(&self) -> Option<String> {
        if self.exclusive {
            return Some(
                "this connection's own locking_mode=EXCLUSIVE keeps every other connection out, queuekeeper's too; COMMIT or \
                 ROLLBACK what is open, or set PRAGMA locking_mode=NORMAL and read any table once, and call again"
                    .into(),
            );
        }
        if self.unlocked {
            return Some(
                "this connection takes no locks (nolock=1, or a VFS without them), so no second one can be used beside it; COMMIT \
                 or ROLLBACK what is open, or open the database with locks"
                    .into(),
            );
        }
        match self.transaction {
            _ if self.wal() => None,
            Transaction::None => None,
            Transaction::Write => Some(format!(
                "this connection's own open write transaction has the database locked (journal mode {}); COMMIT or \
                 ROLLBACK it and call again",
                self.journal
            )),
            Transaction::Read => Some(format!(
                "another connection waits to commit until this connection's own open read ends (journal mode {}); \
                 finish its statements or transaction and call again",
                self.journal
            )),
        }
    }
}
