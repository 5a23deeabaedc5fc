//! What the program's auto-extensions did to a connection that the library has opened.
//!
//! # Promise
//!
//! - Work never begins inside of somebody else's transaction, which would end with the connection and take the work along.
//! - No VACUUM runs where it would lose indexes ([`refuse_shadowed`]).
//! - A schema that may be a stranger's calls no function of theirs ([`disown`]), in no place and on no SQLite.
//!
//! # How
//!
//! SQLite's own means, `SQLITE_DBCONFIG_TRUSTED_SCHEMA`, calls a schema damaged that names such a function anywhere, so that nothing in it
//! can be read. Before 3.41 that is so for `json_extract()`, too, which the queue's own schema has, and on any SQLite `MATCH` is refused
//! in triggers. So the functions are taken off the connection, which then is like one of a program without auto-extensions.

use std::ffi::{CString, c_int};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, ffi};

use crate::error::{Error, Result};

/// What full-text tables have in place of functions: SQLite registers them as names that do nothing until a table stands behind them.
const OF_TABLES: [&str; 7] = ["bm25", "highlight", "match", "matchinfo", "offsets", "optimize", "snippet"];

struct Function {
    name: CString,
    encoding: c_int,
    arguments: c_int,
}

/// Refuses a connection that was just opened and has a transaction already. It is neither to be committed nor rolled back by us:
/// whoever began it may have written.
pub fn refuse_begun(conn: &Connection) -> Result<()> {
    if conn.is_autocommit() {
        return Ok(());
    }
    Err(Error::usage(
        "an auto-extension of this program leaves a transaction open on each connection that is opened, which nothing of ours could \
         outlive; let it COMMIT before it returns",
    ))
}

/// Refuses a connection with temporary tables that bear names of its main database's: VACUUM looks for the tables by their names alone, finds
/// those first, and gives the compact copy none of the indexes.
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

/// Takes all functions off the connection that are neither SQLite's own nor said to be harmless (`SQLITE_INNOCUOUS`).
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
    // SAFETY: the connection is open, and the name ends in a NUL; of a function without callbacks SQLite forgets what it had.
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
