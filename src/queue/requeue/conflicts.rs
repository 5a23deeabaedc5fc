//! Finds out whether a schema may end the transaction in which a task is changed, or delete another task for
//! it.
//!
//! # Promise
//!
//! - `RAISE(ROLLBACK)` in a trigger and `ON CONFLICT ROLLBACK` in a constraint roll back all that the caller
//!   has done in its transaction, which nothing can prevent. They are found by their words anywhere in the
//!   schema or, if the connection has temporary triggers, in any schema that those may write to. Quoted
//!   names, texts and comments do not count.
//! - `ON CONFLICT REPLACE` in a constraint of the task table deletes the task that conflicts. `UPDATE OR
//!   ABORT` overrides it, but also overrides triggers' clauses, so it is used only without triggers.

use rusqlite::{Connection, Row};

use crate::error::{Error, Result};
use crate::schema::quoted;
use crate::sql_tokens::Words;

const IS_TRIGGER: &str = "CAST(type AS TEXT) = 'trigger' COLLATE NOCASE";

/// The first table or trigger that may roll back a transaction.
pub fn found(conn: &Connection) -> Result<Option<String>> {
    let read = || -> rusqlite::Result<Option<String>> {
        let mut reached = vec!["main".to_owned()];
        if conn.prepare(&format!("SELECT 1 FROM temp.sqlite_schema WHERE {IS_TRIGGER}"))?.exists([])? {
            // A temporary trigger may write to any database of the connection.
            reached = schema_names(conn)?;
        }
        for schema in reached {
            if let Some(name) = found_in(conn, &schema)? {
                return Ok(Some(name));
            }
        }
        Ok(None)
    };
    read().map_err(|error| Error::from(error).explained().context("cannot read the schema"))
}

fn schema_names(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut databases = conn.prepare("PRAGMA database_list")?;
    databases.query_map([], |row| row.get(1))?.collect()
}

fn found_in(conn: &Connection, schema: &str) -> rusqlite::Result<Option<String>> {
    // SQLite uses a row's text whatever its type, and whatever the row's other columns say.
    let sql = format!(
        "SELECT CAST(sql AS TEXT), CAST(name AS TEXT) FROM {}.sqlite_schema WHERE sql NOTNULL",
        quoted(schema)
    );
    let mut schema = conn.prepare(&sql)?;
    let mut rows = schema.query([])?;
    while let Some(row) = rows.next()? {
        if says_rollback(bytes(row, 0)?) {
            return Ok(Some(String::from_utf8_lossy(bytes(row, 1)?).into_owned()));
        }
    }
    Ok(None)
}

fn bytes<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<&'a [u8]> {
    Ok(row.get_ref(column)?.as_bytes().unwrap_or_default())
}

/// Whether requeuing a task may delete another, and `UPDATE OR ABORT` prevents it.
pub fn may_replace(conn: &Connection, table: &str) -> Result<bool> {
    let read = || -> rusqlite::Result<bool> {
        let triggers = |schema| {
            format!(
                "SELECT 1 FROM {schema}.sqlite_schema WHERE {IS_TRIGGER} AND CAST(tbl_name AS TEXT) = ?1 COLLATE NOCASE"
            )
        };
        let sql = format!(
            "SELECT CAST(sql AS TEXT) FROM main.sqlite_schema
             WHERE CAST(type AS TEXT) = 'table' COLLATE NOCASE AND CAST(name AS TEXT) = ?1 COLLATE NOCASE AND sql NOTNULL
             AND NOT EXISTS ({}) AND NOT EXISTS ({})",
            triggers("main"),
            triggers("temp")
        );
        let mut found = conn.prepare(&sql)?;
        let mut rows = found.query([table])?;
        rows.next()?.map_or(Ok(false), |row| bytes(row, 0).map(says_replace))
    };
    read().map_err(|error| Error::from(error).explained().context("cannot read the schema"))
}

fn says_rollback(sql: &[u8]) -> bool {
    let mut before: [&[u8]; 2] = [b"", b""];
    Words(sql).any(|word| {
        let [first, second] = before;
        before = [second, word];
        let raised = is(second, "(") && is(first, "RAISE");
        is(word, "ROLLBACK") && (is(second, "OR") || is(second, "CONFLICT") || raised)
    })
}

fn says_replace(sql: &[u8]) -> bool {
    let mut before: &[u8] = b"";
    Words(sql).any(|word| is(std::mem::replace(&mut before, word), "CONFLICT") && is(word, "REPLACE"))
}

fn is(word: &[u8], expected: &str) -> bool {
    word.eq_ignore_ascii_case(expected.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rolls_back_is_found_by_its_words() {
        for sql in [
            "CREATE TRIGGER t BEFORE UPDATE ON q BEGIN SELECT RAISE(ROLLBACK, 'no'); END",
            "create trigger t begin select raise /* a */ ( -- b\n rollback , 'x'); end",
            "CREATE TABLE q(id PRIMARY KEY ON CONFLICT ROLLBACK)",
            "CREATE TRIGGER t BEGIN INSERT OR ROLLBACK INTO x VALUES ('it''s', \"a\"); END",
            "CREATE TRIGGER t BEGIN SELECT RAISE(\u{feff}ROLLBACK, 'no'); END",
            "CREATE TABLE q(id PRIMARY KEY ON CONFLICT \u{feff}ROLLBACK)",
            "CREATE TRIGGER t BEGIN SELECT $a('), RAISE(ROLLBACK, 'no'); END",
        ] {
            assert!(says_rollback(sql.as_bytes()), "{sql}");
        }
        for sql in [
            "CREATE TABLE q(rollback TEXT, b DEFAULT 'OR ROLLBACK')",
            "CREATE TABLE q(a, \"OR ROLLBACK\", [OR ROLLBACK], `CONFLICT ROLLBACK`)",
            "CREATE TRIGGER t BEGIN SELECT RAISE(ABORT, 'RAISE(ROLLBACK)') /* OR ROLLBACK */; END -- OR ROLLBACK",
            "",
            "'",
            "/*",
            "ROLLBACK",
        ] {
            assert!(!says_rollback(sql.as_bytes()), "{sql}");
        }
    }
}
