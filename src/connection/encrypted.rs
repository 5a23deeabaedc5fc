//! Databases that only the caller's connection can read, because only it has the key.
//!
//! # Promise
//!
//! - Work that needs a second connection is refused on such a database, in words that name the encryption, before anything is
//!   written: no plain copy of it is made, and it is never taken for a broken one.
//! - What the caller's own connection can do is done there, as on any database.
//!
//! # How
//!
//! SQLite's interface knows of no encryption, and a key cannot be asked for again. SQLCipher says by a pragma whether the main
//! database has a key (<https://www.zetetic.net/sqlcipher/sqlcipher-api/#cipher_status>). Others (SQLite3 Multiple Ciphers, SEE) only
//! show that they could encrypt; with those, a database that the caller reads and a second connection finds to be none is encrypted.
//! With all of them the backup API refuses to mix a plain and an encrypted database, which [`refused_backup`] explains where a
//! database cannot be tried.

use std::path::Path;

use rusqlite::{Connection, ffi};

use super::{Caller, Sidecar};
use crate::error::{Error, Result};
use crate::files;

/// Whether a second connection could not read the caller's main database, for want of a key.
pub fn is_sealed(caller: &Caller) -> bool {
    let conn = caller.connection();
    match answer(conn, "PRAGMA main.cipher_status").as_deref() {
        Some(status) => status == "1",
        None => host_encrypts(conn) && reads(conn).is_ok() && second_finds_none(caller).unwrap_or(false),
    }
}

/// Whether this SQLite is one that can encrypt: SQLCipher, SQLite3 Multiple Ciphers, or one that was built with a codec.
pub fn host_encrypts(conn: &Connection) -> bool {
    let codec = answer(conn, "SELECT sqlite_compileoption_used('HAS_CODEC')");
    codec.as_deref() == Some("1")
        || answer(conn, "PRAGMA cipher_version").is_some()
        || answer(conn, "PRAGMA cipher").is_some()
}

/// Refuses a work beside the caller on a database that is encrypted.
///
/// # Errors
///
/// An error that names the database and what can be done instead.
pub fn refuse(caller: &Caller) -> Result<()> {
    if is_sealed(caller) { Err(refusal(caller)) } else { Ok(()) }
}

/// The same for a second connection to `file`, which may be another one than the caller's.
///
/// # Errors
///
/// As for [`refuse`].
pub fn refuse_second(caller: &Caller, file: &Path) -> Result<()> {
    if caller.file().is_some_and(|own| files::same_file(&own, file)) { refuse(caller) } else { Ok(()) }
}

/// What SQLite's refusal to copy the caller's database into a plain one means.
pub fn refused_backup(caller: &Connection, error: Error) -> Error {
    if error.primary_code() == ffi::SQLITE_ERROR && host_encrypts(caller) {
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

/// The first value that a statement answers with, as text; nothing for no row or an error.
fn answer(conn: &Connection, sql: &str) -> Option<String> {
    conn.query_row(sql, [], |row| row.get::<_, rusqlite::types::Value>(0)).ok().and_then(|value| match value {
        rusqlite::types::Value::Integer(number) => Some(number.to_string()),
        rusqlite::types::Value::Text(text) => Some(text),
        _ => None,
    })
}

fn reads(conn: &Connection) -> Result<()> {
    conn.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(Error::from)
}

fn second_finds_none(caller: &Caller) -> Option<bool> {
    let second = Sidecar::open_unasked(caller, &caller.file()?).ok()?;
    let found = reads(second.connection());
    Some(found.is_err_and(|error| matches!(error.primary_code(), ffi::SQLITE_NOTADB | ffi::SQLITE_CORRUPT)))
}
