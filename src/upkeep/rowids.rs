//! Whether VACUUM may change rowids that something refers to.
//!
//! # Promise
//!
//! Unattended work runs no VACUUM (and no `VACUUM INTO`, whose copy may be restored) on a database in which a
//! row may be identified by a rowid that is not a column of its own. The setting `vacuum_moves_rowids` allows
//! it.
//!
//! # How
//!
//! SQLite promises to keep rowids only in tables with an INTEGER PRIMARY KEY. What an application has stored
//! elsewhere is unknown, so a table without one is safe only if:
//!
//! - It has a PRIMARY KEY or a UNIQUE constraint, so its rows have another identifier. (SQLite also keeps the
//!   rowids of a table with an index, since VACUUM copies the index with the rowids in it; that is tested,
//!   but not promised.)
//! - The schema has no virtual table. One with external content, or an auxiliary table of one that an
//!   application writes, may be keyed by the rowid of any table
//!   (<https://www.sqlite.org/fts5.html#external_content_tables>).
//! - No trigger, view or table mentions a rowid by one of its three names.

use rusqlite::Connection;

use crate::connection::Caller;
use crate::error::Result;
use crate::memory;
use crate::schema;
use crate::settings::Settings;
use crate::settings::registry::VACUUM_MOVES_ROWIDS;

/// The names of a rowid.
const MENTIONS: [&str; 3] = ["rowid", "oid", "_rowid_"];

/// Why to leave out an unattended VACUUM, as a note that says how to allow it; `None` if it may run.
pub fn reason_against(caller: &Caller) -> Result<Option<String>> {
    let conn = caller.connection();
    if Settings::of(conn)?.whole(&VACUUM_MOVES_ROWIDS)? != 0 {
        return Ok(None);
    }
    let tables = at_risk(conn)?;
    Ok((!tables.is_empty()).then(|| {
        format!(
            "no VACUUM: it may give rows new rowids, and something may refer to the present ones, in tables without an INTEGER \
             PRIMARY KEY: {}; give such a table one, call queue_vacuum() yourself, or allow it with \
             queue_set('{}', 1)",
            tables.join(", "),
            VACUUM_MOVES_ROWIDS.name
        )
    }))
}

/// The tables whose rows may get new rowids that something may refer to.
fn at_risk(conn: &Connection) -> Result<Vec<String>> {
    let mut tables = schema::tables_without_own_rowid(conn)?;
    if tables.is_empty() || schema::has_virtual_tables(conn)? || mentions_rowids(conn)? {
        return Ok(tables);
    }
    let mut nameless = Vec::new();
    for table in tables.drain(..) {
        if !schema::has_unique_index(conn, &table)? {
            memory::push(&mut nameless, table)?;
        }
    }
    Ok(nameless)
}

fn mentions_rowids(conn: &Connection) -> Result<bool> {
    Ok(schema::statements(conn)?.iter().any(|sql| has_rowid(sql)))
}

/// Whether a statement has a word that may mean a rowid; `WITHOUT ROWID` does not, but `without.rowid` does.
fn has_rowid(sql: &str) -> bool {
    let is_mark = |c: char| !(c.is_alphanumeric() || c == '_');
    let mut after_without = false;
    for piece in sql.split_inclusive(is_mark) {
        let word = piece.trim_end_matches(is_mark);
        if !after_without && MENTIONS.iter().any(|name| name.eq_ignore_ascii_case(word)) {
            return true;
        }
        let goes_on = word.eq_ignore_ascii_case("without") || (word.is_empty() && after_without);
        after_without = goes_on && piece.ends_with(char::is_whitespace);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rowid_is_known_by_its_three_names() {
        for sql in [
            "CREATE TRIGGER t AFTER INSERT ON a BEGIN INSERT INTO b VALUES (new.rowid); END",
            "CREATE VIEW v AS SELECT \"OID\" FROM a",
            "CREATE VIEW v AS SELECT _rowid_ FROM a",
            "CREATE VIEW v AS SELECT without.rowid FROM a AS without",
        ] {
            assert!(has_rowid(sql), "{sql}");
        }
        for sql in ["CREATE TABLE a(x PRIMARY KEY) WITHOUT \n\tROWID", "CREATE TABLE void(growid)", ""] {
            assert!(!has_rowid(sql), "{sql}");
        }
    }
}
