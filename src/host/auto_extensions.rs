//! Protects the library's own connections from the program's auto-extensions.
//!
//! # Promise
//!
//! - Work never begins inside somebody else's transaction, which would be rolled back with the connection.
//! - No VACUUM runs where it would lose indexes ([`refuse_shadowed`]).
//! - A schema that may be a stranger's calls no function of the program ([`disown`]), anywhere, on any
//!   SQLite.
//!
//! # How
//!
//! SQLite's own means, `SQLITE_DBCONFIG_TRUSTED_SCHEMA`, reports a schema that names such a function as
//! damaged, and nothing in it can be read. Before 3.41 this includes `json_extract()`, which the queue's own
//! schema uses, and every SQLite refuses `MATCH` in triggers. So the functions are removed from the
//! connection, as in a program without auto-extensions.

use std::ffi::{CString, c_int};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, ffi};

use crate::error::{Error, Result};

/// Names that full-text tables overload: SQLite registers functions of these names that do nothing without a
/// table.
const OF_TABLES: [&str; 7] = ["bm25", "highlight", "match", "matchinfo", "offsets", "optimize", "snippet"];

struct Function {
    name: CString,
    encoding: c_int,
    arguments: c_int,
}

/// Fails if a new connection already has a transaction. We neither commit nor roll it back, as whoever began
/// it may have written.
pub fn refuse_begun(conn: &Connection) -> Result<()> {
    if conn.is_autocommit() {
        return Ok(());
    }
    Err(Error::usage(
        "an auto-extension of this program leaves a transaction open on each connection that is opened, which nothing of ours could \
         outlive; let it COMMIT before it returns",
    ))
}

/// Fails if a temporary table has the name of a table of the main database: VACUUM resolves table names
/// without a schema, finds the temporary one first, and leaves the indexes out of the copy.
pub fn refuse_shadowed(conn: &Connection) -> Result<()> {
    let shadowed = conn.query_row(
        "SELECT CAST(t.name AS TEXT) FROM temp.sqlite_temp_master AS t JOIN main.sqlite_master AS m
         ON CAST(m.name AS TEXT) = CAST(t.name AS TEXT) COLLATE NOCASE",
        [],
        |row| row.get::<_, String>(0),
    );
    shadowed.optional()?.map_or(Ok(()), |name| {
        Err(Error::usage(format!(
            "an auto-extension of this program makes a temporary '{name}' on each connection that is opened, behind which VACUUM would \
             lose the indexes of the database's own; let it bear another name"
        )))
    })
}

/// Removes all functions that are neither SQLite's own nor declared harmless (`SQLITE_INNOCUOUS`).
pub fn disown(conn: &Connection) -> Result<()> {
    let Some(functions) = others(conn)? else {
        // Built without the pragma.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        return Ok(());
    };
    for function in functions {
        remove(conn, &function)?;
    }
    Ok(())
}

fn others(conn: &Connection) -> Result<Option<Vec<Function>>> {
    let mut list = conn.prepare("PRAGMA function_list")?;
    let mut rows = list.query([])?;
    let (mut any, mut functions) = (false, Vec::new());
    while let Some(row) = rows.next()? {
        any = true;
        let (builtin, flags): (bool, c_int) = (row.get("builtin")?, row.get("flags")?);
        if builtin || flags & ffi::SQLITE_INNOCUOUS != 0 {
            continue;
        }
        let encoding = match row.get_ref("enc")?.as_bytes().unwrap_or_default() {
            b"utf16le" => ffi::SQLITE_UTF16LE,
            b"utf16be" => ffi::SQLITE_UTF16BE,
            _ => ffi::SQLITE_UTF8,
        };
        let name = CString::new(row.get_ref("name")?.as_bytes().unwrap_or_default()).unwrap_or_default();
        functions.push(Function { name, encoding, arguments: row.get("narg")? });
    }
    Ok(any.then_some(functions))
}

fn remove(conn: &Connection, function: &Function) -> Result<()> {
    let Function { name, encoding, arguments } = function;
    let of_tables = OF_TABLES.iter().any(|one| name.as_bytes().eq_ignore_ascii_case(one.as_bytes()));
    // SAFETY: the connection is open, and the name ends in a NUL; registering without callbacks removes a
    // function.
    let code = unsafe {
        let (db, name, none) = (conn.handle(), name.as_ptr(), std::ptr::null_mut());
        match ffi::sqlite3_create_function_v2(db, name, *arguments, *encoding, none, None, None, None, None) {
            ffi::SQLITE_OK if of_tables => ffi::sqlite3_overload_function(db, name, *arguments),
            code => code,
        }
    };
    if code == ffi::SQLITE_OK {
        Ok(())
    } else {
        Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None).into())
    }
}
