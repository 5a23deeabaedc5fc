//! The table-valued functions, which only read.
//!
//! # Promise
//!
//! - Each table is eponymous-only: `SELECT … FROM queue_stale(60) WHERE …`, without `CREATE VIRTUAL TABLE`.
//! - Arguments are hidden columns. Any of them may be left out, be NULL (absent), or come from a join.
//! - Tables that read other files are `DIRECTONLY`. None writes.
//! - A scan reads all rows at its start, so it is consistent in itself.
//!
//! # How
//!
//! rusqlite defines the modules, not sqlite-loadable, whose virtual-table callbacks return code 1 for every
//! error: `SQLITE_BUSY` or `SQLITE_CANTOPEN` could not be told from a typing mistake. An equality constraint
//! on a hidden column becomes an argument and is `omit`ted from SQLite's own check. An unusable one is
//! answered with `SQLITE_CONSTRAINT`, so that SQLite tries another join order. `idxNum` has a bit for each
//! argument passed, as any subset may be.

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_int};
use std::marker::PhantomData;

use rusqlite::types::{Value, ValueRef};
use rusqlite::vtab::{
    Context, Filters, IndexConstraintOp, IndexInfo, Module, VTab, VTabConfig, VTabConnection, VTabCursor,
    sqlite3_vtab, sqlite3_vtab_cursor,
};
use rusqlite::{Connection, ffi};

use crate::calls::arguments::{Argument, Arguments};
use crate::calls::guard::{guarded, to_rusqlite};
use crate::calls::table::Spec;
use crate::connection::Caller;
use crate::error::{Error, Result};

pub fn define(conn: &Connection, tables: &[&'static Spec]) -> rusqlite::Result<()> {
    const MODULE: &Module<'static, Table> = &Module::eponymous_only_module();
    for spec in tables {
        conn.create_module(spec.name, MODULE, Some(*spec))?;
    }
    Ok(())
}

/// SQLite's base class comes first.
#[repr(C)]
struct Table {
    base: sqlite3_vtab,
    db: *mut ffi::sqlite3,
    spec: &'static Spec,
}

// SAFETY: `base` is the first field of a `#[repr(C)]` struct.
unsafe impl VTab<'_> for Table {
    type Aux = &'static Spec;
    type Cursor = Cursor;

    fn connect(
        db: &mut VTabConnection,
        spec: Option<&Self::Aux>,
        _module: &[u8],
        _database: &[u8],
        _table: &[u8],
        _arguments: &[&[u8]],
    ) -> rusqlite::Result<(Cow<'static, CStr>, Self)> {
        let Some(&spec) = spec else {
            return Err(to_rusqlite(&Error::internal("a table was defined without its description")));
        };
        let schema = guarded(spec.name, || schema(spec)).map_err(|error| to_rusqlite(&error))?;
        if spec.looks_at_files {
            db.config(VTabConfig::DirectOnly)?;
        }
        let table = Self {
            base: sqlite3_vtab::default(),
            // SAFETY: only used while a statement on this connection runs, when it is open.
            db: unsafe { db.handle() },
            spec,
        };
        Ok((Cow::Owned(schema), table))
    }

    fn best_index(&self, info: &mut IndexInfo) -> rusqlite::Result<bool> {
        guarded(self.spec.name, || Ok(choose(self.spec, info))).map_err(|error| to_rusqlite(&error))
    }

    fn open(&mut self) -> rusqlite::Result<Cursor> {
        Ok(Cursor {
            base: sqlite3_vtab_cursor::default(),
            db: self.db,
            spec: self.spec,
            rows: Vec::new(),
            at: 0,
            phantom: PhantomData,
        })
    }
}

fn schema(spec: &Spec) -> Result<CString> {
    let hidden = spec.arguments.iter().map(|argument| format!("{argument} HIDDEN"));
    let columns: Vec<String> = spec.columns.iter().map(|&column| column.into()).chain(hidden).collect();
    CString::new(format!("CREATE TABLE x({})", columns.join(", ")))
        .map_err(|_| Error::internal("a column's name contains a NUL"))
}

/// Marks the hidden columns that become arguments; `false` if one is not usable in this plan.
fn choose(spec: &Spec, info: &mut IndexInfo) -> bool {
    let mut places = vec![None; spec.arguments.len()];
    for (index, constraint) in info.constraints().enumerate() {
        let column = usize::try_from(constraint.column()).unwrap_or(usize::MAX);
        let Some(argument) = column.checked_sub(spec.columns.len()) else {
            continue;
        };
        let equal = constraint.operator() == IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ;
        if !equal || argument >= places.len() {
            continue;
        }
        if !constraint.is_usable() {
            return false;
        }
        places[argument] = Some(index);
    }
    let (mut passed, mut position) = (0, 0);
    for (argument, place) in places.into_iter().enumerate() {
        if let Some(index) = place {
            position += 1;
            passed |= 1 << argument;
            let mut usage = info.constraint_usage(index);
            usage.set_argv_index(position);
            usage.set_omit(true);
        }
    }
    info.set_idx_num(passed);
    info.set_estimated_cost(1000.0);
    info.set_estimated_rows(100);
    true
}

/// SQLite's base class comes first.
#[repr(C)]
struct Cursor {
    base: sqlite3_vtab_cursor,
    db: *mut ffi::sqlite3,
    spec: &'static Spec,
    rows: Vec<Vec<Value>>,
    at: usize,
    phantom: PhantomData<Table>,
}

// SAFETY: `base` is the first field of a `#[repr(C)]` struct.
unsafe impl VTabCursor for Cursor {
    fn filter(&mut self, passed: c_int, _index: Option<&str>, values: &Filters<'_>) -> rusqlite::Result<()> {
        self.at = 0;
        let spec = self.spec;
        let read = guarded(spec.name, || {
            // SAFETY: a statement of this connection is running, so it is open.
            let conn = unsafe { Connection::from_handle(self.db) }?;
            let mut values = values.iter();
            let arguments = (0..spec.arguments.len())
                .map(|argument| match passed >> argument & 1 {
                    1 => values.next().map_or(Argument::Null, argument_of),
                    _ => Argument::Null,
                })
                .collect();
            let caller = Caller::new(conn);
            caller.serve(|caller| (spec.rows)(caller, &Arguments::new(arguments)))
        });
        self.rows = read.map_err(|error| to_rusqlite(&error))?;
        Ok(())
    }

    fn next(&mut self) -> rusqlite::Result<()> {
        self.at += 1;
        Ok(())
    }

    fn eof(&self) -> bool {
        self.at >= self.rows.len()
    }

    fn column(&self, context: &mut Context, column: c_int) -> rusqlite::Result<()> {
        let row = self.rows.get(self.at);
        let value = row.and_then(|row| row.get(usize::try_from(column).ok()?));
        // Hidden columns are NULL: their constraints were omitted.
        context.set_result(value.unwrap_or(&Value::Null))
    }

    fn rowid(&self) -> rusqlite::Result<i64> {
        Ok(i64::try_from(self.at).unwrap_or(i64::MAX))
    }
}

fn argument_of(value: ValueRef<'_>) -> Argument {
    match value {
        ValueRef::Null => Argument::Null,
        ValueRef::Integer(number) => Argument::Integer(number),
        ValueRef::Real(number) => Argument::Real(number),
        ValueRef::Text(bytes) => Argument::Text(std::str::from_utf8(bytes).ok().map(str::to_owned)),
        ValueRef::Blob(_) => Argument::Blob,
    }
}
