//! Encrypted databases, which only the caller's connection can read, because it has the key.
//!
//! # Promise
//!
//! - Work that needs a second connection is refused before anything is written, with an error that names the
//!   encryption. No plain copy is made, and the database never passes for a damaged one.
//! - What the caller's own connection can do works as on any database.
//!
//! # How
//!
//! SQLite's interface knows no encryption, and the key cannot be read back. SQLCipher has a pragma that tells
//! whether the main database has a key (<https://www.zetetic.net/sqlcipher/sqlcipher-api/#cipher_status>).
//! Others (SQLite3 Multiple Ciphers, SEE) only tell that they could encrypt; with those, a database that the
//! caller reads and that is not a database to a second connection is encrypted. In all of them the backup API
//! refuses to mix plain and encrypted databases, which [`refused_backup`] explains where no second connection
//! can be tried.

use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, ffi};

use super::{Caller, Sidecar};
use crate::error::{Error, Result};
use crate::files;

/// Whether a second connection could not read the caller's main database for lack of the key.
pub fn is_encrypted(caller: &Caller) -> Result<bool> {
    let conn = caller.connection();
    match answer(conn, "PRAGMA main.cipher_status")? {
        Some(status) => Ok(status == "1"),
        None => Ok(host_encrypts(conn)? && reads(conn)? && second_finds_none(caller)?),
    }
}

/// Whether this SQLite can encrypt: SQLCipher, SQLite3 Multiple Ciphers, or a build with a codec.
pub fn host_encrypts(conn: &Connection) -> Result<bool> {
    let codec = answer(conn, "SELECT sqlite_compileoption_used('HAS_CODEC')")?;
    Ok(codec.as_deref() == Some("1")
        || answer(conn, "PRAGMA cipher_version")?.is_some()
        || answer(conn, "PRAGMA cipher")?.is_some())
}

/// Fails if the caller's database is encrypted, for work that needs a second connection.
pub fn refuse(caller: &Caller) -> Result<()> {
    if is_encrypted(caller)? { Err(refusal(caller)) } else { Ok(()) }
}

/// The same for a second connection to `file`, if that is the caller's database.
pub fn refuse_second(caller: &Caller, file: &Path) -> Result<()> {
    if caller.file().is_some_and(|own| files::same_file(&own, file)) { refuse(caller) } else { Ok(()) }
}

/// Explains the backup API's refusal to copy an encrypted database into a plain one.
pub fn refused_backup(caller: &Connection, error: Error) -> Error {
    if error.primary_code() == ffi::SQLITE_ERROR && host_encrypts(caller).unwrap_or(false) {
        return error.advice(format!("the database is encrypted, and no plain copy of it is made; {INSTEAD}"));
    }
    error
}

const INSTEAD: &str =
    "run VACUUM INTO 'copy.db', VACUUM or PRAGMA wal_checkpoint on this connection instead, which use its key";

fn refusal(caller: &Caller) -> Error {
    let name = caller.file().map_or_else(|| "in memory".into(), |file| format!("'{}'", file.display()));
    Error::usage(format!(
        "the database {name} is encrypted with a key that only this connection has; this is work for a second connection, and \
         no plain copy is made; {INSTEAD}"
    ))
}

/// The first value of a statement, as text; `None` without a row, or if SQLite does not know the statement or
/// cannot read the database.
fn answer(conn: &Connection, sql: &str) -> Result<Option<String>> {
    let read = conn.query_row(sql, [], |row| row.get::<_, Value>(0)).optional().map_err(Error::from);
    match read {
        Ok(Some(Value::Integer(number))) => Ok(Some(number.to_string())),
        Ok(Some(Value::Text(text))) => Ok(Some(text)),
        Ok(_) => Ok(None),
        Err(error) if error.primary_code() == ffi::SQLITE_ERROR || is_unreadable(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn reads(conn: &Connection) -> Result<bool> {
    match conn.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(Error::from) {
        Ok(()) => Ok(true),
        Err(error) if is_unreadable(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Assumes no encryption if others keep the second connection out.
fn second_finds_none(caller: &Caller) -> Result<bool> {
    let Some(file) = caller.file() else { return Ok(false) };
    let second = Sidecar::open_probe(caller, &file)?;
    match reads(second.connection()) {
        Ok(reads) => Ok(!reads),
        Err(error) if error.primary_code() == ffi::SQLITE_BUSY => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_unreadable(error: &Error) -> bool {
    matches!(error.primary_code(), ffi::SQLITE_NOTADB | ffi::SQLITE_CORRUPT)
}
