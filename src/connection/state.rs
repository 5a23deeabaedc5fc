//! The caller's locks and modes, and whether they are in our way.

use rusqlite::ffi;

use crate::error::Error;
use crate::host::Transaction;

/// The state of the caller's main database.
#[derive(Debug, Clone)]
pub struct CallerState {
    /// The open transaction, even an implicit one.
    pub transaction: Transaction,
    /// False inside `BEGIN` or a savepoint.
    pub autocommit: bool,
    /// The journal mode; empty until the database has been read, see
    /// [`Sidecar::begin_read`](super::Sidecar::begin_read).
    pub journal: String,
    /// `locking_mode=EXCLUSIVE`.
    pub exclusive: bool,
    /// The connection takes no locks.
    pub unlocked: bool,
    pub readonly: bool,
}

impl CallerState {
    pub fn wal(&self) -> bool {
        self.journal.eq_ignore_ascii_case("wal")
    }

    /// The note for a backup's result that the caller's uncommitted changes are not in it.
    pub fn note(&self) -> Option<&'static str> {
        (self.transaction == Transaction::Write)
            .then_some("taken at the last commit: the uncommitted changes of this connection are not in it")
    }

    /// The error for work (`what` is a verb) on a read-only connection.
    pub fn read_only(what: &str) -> Error {
        Error::new(
            ffi::SQLITE_READONLY,
            format!("this connection may only read its database; {what} through one that may write"),
        )
    }

    /// Whether no second connection can use the database.
    pub fn excludes_others(&self) -> bool {
        self.exclusive || self.unlocked
    }

    /// Why the caller itself may be what keeps a second connection out; `None` if it can only be somebody
    /// else.
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
