//! Whether something in a schema may end the transaction that a change of a task belongs to, or delete another task for it.
//!
//! # Promise
//!
//! `RAISE(ROLLBACK)` in a trigger and `ON CONFLICT ROLLBACK` in a constraint roll back everything that the caller has done in its
//! transaction, and nothing can keep SQLite from it. What says so is found by its words, wherever it stands in the schema or, where the
//! connection has temporary triggers, in any schema that those may write to; quoted names, texts and comments do not count.
//!
//! `ON CONFLICT REPLACE` in a constraint of the task table deletes the task that is in the way of the one that is put back. The
//! statement may overrule it (`UPDATE OR ABORT`), but then also overrules what triggers say, so only where there are none.

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::schema::quoted;

/// The name of the first table or trigger that may roll a transaction back.
///
/// # Errors
///
/// Whatever SQLite says to reading the schema.
pub fn found(conn: &Connection) -> Result<Option<String>> {
    let read = || -> rusqlite::Result<Option<String>> {
        let mut reached = vec!["main".to_owned()];
        if conn.prepare("SELECT 1 FROM temp.sqlite_schema WHERE type = 'trigger'")?.exists([])? {
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
    let sql = format!(
        "SELECT name, sql FROM {}.sqlite_schema WHERE type IN ('table', 'trigger') AND typeof(sql) = 'text'",
        quoted(schema)
    );
    let mut schema = conn.prepare(&sql)?;
    let mut rows = schema.query([])?;
    while let Some(row) = rows.next()? {
        let text = |column| -> rusqlite::Result<String> {
            Ok(String::from_utf8_lossy(row.get_ref(column)?.as_bytes().unwrap_or_default()).into_owned())
        };
        if says_rollback(&text(1)?) {
            return Ok(Some(text(0)?));
        }
    }
    Ok(None)
}

/// Whether putting a task back may delete another, and the statement can prevent it.
///
/// # Errors
///
/// As for [`found`].
pub fn may_replace(conn: &Connection, table: &str) -> Result<bool> {
    let read = || -> rusqlite::Result<bool> {
        let sql = "SELECT CAST(sql AS TEXT) FROM main.sqlite_schema WHERE type = 'table' AND lower(name) = lower(?1) AND sql NOTNULL
                   AND NOT EXISTS (SELECT 1 FROM main.sqlite_schema WHERE type = 'trigger' AND lower(tbl_name) = lower(?1))
                   AND NOT EXISTS (SELECT 1 FROM temp.sqlite_schema WHERE type = 'trigger' AND lower(tbl_name) = lower(?1))";
        let mut found = conn.prepare(sql)?;
        let mut rows = found.query([table])?;
        let Some(row) = rows.next()? else { return Ok(false) };
        let sql = String::from_utf8_lossy(row.get_ref(0)?.as_bytes().unwrap_or_default()).into_owned();
        Ok(words(&sql)
            .windows(2)
            .any(|pair| pair[0].eq_ignore_ascii_case("CONFLICT") && pair[1].eq_ignore_ascii_case("REPLACE")))
    };
    read().map_err(|error| Error::from(error).explained().context("cannot read the schema"))
}

fn says_rollback(sql: &str) -> bool {
    let words = words(sql);
    let is = |at: usize, word: &str| words.get(at).is_some_and(|found| found.eq_ignore_ascii_case(word));
    (1..words.len()).any(|at| {
        is(at, "ROLLBACK")
            && (is(at - 1, "OR") || is(at - 1, "CONFLICT") || (is(at - 1, "(") && at > 1 && is(at - 2, "RAISE")))
    })
}

/// The words and marks of a statement, without what is quoted or a comment.
fn words(sql: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        let until = |end: &str| after.find(end).map_or("", |at| &after[at + end.len()..]);
        rest = match first {
            // A quote that is written twice ends one text and begins the next.
            '\'' | '"' | '`' => until(first.encode_utf8(&mut [0; 4])),
            '[' => until("]"),
            '-' if after.starts_with('-') => until("\n"),
            '/' if after.starts_with('*') => after[1..].find("*/").map_or("", |at| &after[at + 3..]),
            c if is_word(c) => {
                let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                words.push(rest[..end].to_owned());
                &rest[end..]
            }
            c if c.is_whitespace() => after,
            c => {
                words.push(c.into());
                after
            }
        };
    }
    words
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
        ] {
            assert!(says_rollback(sql), "{sql}");
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
            assert!(!says_rollback(sql), "{sql}");
        }
    }
}
