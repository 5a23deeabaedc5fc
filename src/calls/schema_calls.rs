//! Refuses calls of our functions from a database's schema.
//!
//! # Promise
//!
//! No expression in a database file calls our functions: no CHECK constraint, DEFAULT, generated column,
//! index, partial index, view or trigger. This holds on any SQLite from 3.37 on, whether the schema was read
//! before or after the library was loaded, and however it was written. The user's statements may call them
//! anywhere, `INSERT … SELECT queue_…()` included; so may temporary views and triggers, which are not part of
//! a file.
//!
//! # How
//!
//! `SQLITE_DIRECTONLY` is the first line of defence, and has holes (docs/security.md has the table). Before
//! 3.50, SQLite does not enforce it in CHECK constraints. No version enforces it in CHECK constraints,
//! generated columns and indexes that were parsed before the function existed. It is always enforced in
//! views, triggers and DEFAULT. So each call is checked as it happens:
//!
//! 1. The function's name must occur in the text of a running statement of the connection, or in the
//!    temporary schema. A call from a schema occurs in neither.
//! 2. No table or index definition in an attached database may name the function: a statement that calls the
//!    function and writes to such a table could not be told from the table's own call. Databases without an
//!    open transaction are skipped, as no statement uses their tables, unless one writes: a row of
//!    `sqlite_master` may define a *temporary* table.
//!
//! A name counts wherever an opening parenthesis follows it, in strings and comments too. No quoting can hide
//! a call from this test; at worst a harmless call is refused.

use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::host::{self, Running, Transaction};
use crate::sql_tokens::{BYTE_ORDER_MARK, is_of_name, skip_space};

/// Fails with SQLite's "unsafe use" error if a schema calls `function`, or may be what calls it.
pub fn require(caller: &Caller, function: &str) -> Result<()> {
    let running = host::running(caller.connection());
    let called = |one: &Running| one.sql.as_ref().is_none_or(|sql| calls(sql, function));
    if !running.iter().any(called) && !is_called_by_temporary_schema(caller, function)? {
        return Err(unsafe_use(function, "the schema of a database calls it, not a statement of yours"));
    }
    let writes = running.iter().any(|one| !one.readonly);
    for schema in caller.schemas()? {
        let used = writes || host::transaction_on(caller.connection(), &schema) != Transaction::None;
        if used && schema.as_c_str() != c"temp" {
            let schema = schema.to_string_lossy();
            check_schema(caller, &schema, function)?;
        }
    }
    Ok(())
}

fn unsafe_use(function: &str, why: &str) -> Error {
    Error::usage(format!("unsafe use of {function}(): {why}"))
}

fn is_called_by_temporary_schema(caller: &Caller, function: &str) -> Result<bool> {
    let mut called = false;
    definitions(caller, "temp.sqlite_temp_master", |_, sql| called |= calls(sql, function))?;
    Ok(called)
}

fn check_schema(caller: &Caller, schema: &str, function: &str) -> Result<()> {
    let mut found = None;
    let quoted = schema.replace('"', "\"\"");
    definitions(caller, &format!("\"{quoted}\".sqlite_master"), |name, sql| {
        if !is_held_by_sqlite(sql) && calls(sql, function) {
            found = Some(String::from_utf8_lossy(name).into_owned());
        }
    })?;
    found.map_or(Ok(()), |name| {
        let why = format!(
            "'{name}' in the schema of database '{schema}' calls it too, so its calls cannot be told from yours; drop '{name}', or \
             call {function}() in a statement that uses no table of that database"
        );
        Err(unsafe_use(function, &why))
    })
}

/// Passes the name and definition of each object in a schema table to `each`.
fn definitions(caller: &Caller, table: &str, mut each: impl FnMut(&[u8], &[u8])) -> Result<()> {
    // The casts yield what SQLite's parser would read, also for a BLOB in a UTF-16 database.
    let query = format!("SELECT CAST(name AS TEXT), CAST(sql AS TEXT) FROM {table} WHERE sql IS NOT NULL");
    let mut statement = caller.connection().prepare(&query)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let bytes = |column| row.get_ref(column).map(|value| value.as_bytes().unwrap_or_default());
        each(bytes(0)?, bytes(1)?);
    }
    Ok(())
}

/// Whether a definition is a view's or a trigger's, where SQLite enforces `DIRECTONLY`.
fn is_held_by_sqlite(sql: &[u8]) -> bool {
    let word = |sql: &[u8]| sql.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let sql = skip_space(sql);
    let (create, rest) = sql.split_at(word(sql));
    let rest = skip_space(rest);
    let kind = &rest[..word(rest)];
    create.eq_ignore_ascii_case(b"create")
        && [b"view".as_slice(), b"trigger"].iter().any(|word| kind.eq_ignore_ascii_case(word))
}

/// Whether `sql` contains the function's name, in any case and quoting, followed by an opening parenthesis.
fn calls(sql: &[u8], function: &str) -> bool {
    let name = function.as_bytes();
    (0..sql.len()).any(|at| {
        let rest = &sql[at..];
        rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
            && !ends_in_a_name(&sql[..at])
            && is_followed_by_parenthesis(&rest[name.len()..])
    })
}

fn ends_in_a_name(sql: &[u8]) -> bool {
    !sql.ends_with(BYTE_ORDER_MARK) && sql.last().is_some_and(|&byte| is_of_name(byte))
}

fn is_followed_by_parenthesis(rest: &[u8]) -> bool {
    let rest = match rest.first() {
        Some(b'"' | b']' | b'`' | b'\'') => &rest[1..],
        _ => rest,
    };
    skip_space(rest).first() == Some(&b'(')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_found_in_any_quoting_and_case() {
        let called = [
            "SELECT queue_set('a', 1)",
            "select QUEUE_Set ('a')",
            "SELECT \"queue_set\"(1)",
            "SELECT [queue_set] (1)",
            "SELECT `queue_set`\n\t\x0c(1)",
            "SELECT queue_set/* ( */(1)",
            "SELECT queue_set -- x\n /**/ (1)",
            "CHECK(1=queue_set(2))",
            "é queue_set(",
            "CHECK(\u{feff}queue_set(2))",
            "CHECK(\"queue_set\"\u{feff}(2))",
            "CHECK([queue_set] \u{feff}\u{feff} (2))",
            "CHECK(queue_set/**/\u{feff}(2))",
        ];
        for sql in called {
            assert!(calls(sql.as_bytes(), "queue_set"), "{sql}");
        }
    }

    #[test]
    fn other_names_are_no_call() {
        let others = [
            "",
            "queue_set",
            "SELECT queue_settings()",
            "SELECT my_queue_set(1)",
            "SELECT équeue_set(1)",
            "SELECT queue_set, (1)",
            "SELECT queue_set /* (1)",
            "SELECT queue_set -- (1)",
        ];
        for sql in others {
            assert!(!calls(sql.as_bytes(), "queue_set"), "{sql}");
        }
    }

    #[test]
    fn views_and_triggers_are_known_by_their_second_word() {
        for sql in ["CREATE VIEW v AS", "create /* x */ trigger t", "-- x\nCREATE\nTRIGGER t"] {
            assert!(is_held_by_sqlite(sql.as_bytes()), "{sql}");
        }
        for sql in ["CREATE TABLE view(", "CREATE TEMP VIEW v", "CREATE UNIQUE INDEX trigger", "VIEW", "CREATE", ""] {
            assert!(!is_held_by_sqlite(sql.as_bytes()), "{sql}");
        }
    }
}
