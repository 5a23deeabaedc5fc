//! The queue's mapping: the task table, and the meaning of its columns and statuses.
//!
//! # Promise
//!
//! Settings define the mapping; the default is PrismQ's. A column that the queue lacks is neither read nor
//! written. If it is required, the error names the column and its setting. Identifiers are always quoted and
//! statuses always literals, so no setting's text is ever run as SQL.

use rusqlite::Connection;
use rusqlite::types::Value;

use super::time::TimeFormat;
use crate::error::{Error, Result};
use crate::schema::{self, Column, quoted};
use crate::settings::registry as setting;
use crate::settings::{Setting, Settings, kind, status_list, statuses};

/// The meaning of a column of the task table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Id,
    /// What kind of work it is.
    Type,
    Status,
    /// When the lease ends or began.
    LeaseUntil,
    /// The worker that holds the task.
    LockedBy,
    /// When it was claimed.
    ReservedAt,
    /// When it may first be claimed.
    RunAfter,
    CreatedAt,
    UpdatedAt,
    Attempts,
    MaxAttempts,
    FinishedAt,
    Error,
}

impl Role {
    fn setting(self) -> &'static Setting {
        match self {
            Self::Id => &setting::COLUMN_ID,
            Self::Type => &setting::COLUMN_TYPE,
            Self::Status => &setting::COLUMN_STATUS,
            Self::LeaseUntil => &setting::COLUMN_LEASE_UNTIL,
            Self::LockedBy => &setting::COLUMN_LOCKED_BY,
            Self::ReservedAt => &setting::COLUMN_RESERVED_AT,
            Self::RunAfter => &setting::COLUMN_RUN_AFTER,
            Self::CreatedAt => &setting::COLUMN_CREATED_AT,
            Self::UpdatedAt => &setting::COLUMN_UPDATED_AT,
            Self::Attempts => &setting::COLUMN_ATTEMPTS,
            Self::MaxAttempts => &setting::COLUMN_MAX_ATTEMPTS,
            Self::FinishedAt => &setting::COLUMN_FINISHED_AT,
            Self::Error => &setting::COLUMN_ERROR,
        }
    }
}

pub struct Mapping {
    table: String,
    columns: Vec<Column>,
    settings: Settings,
}

impl Mapping {
    /// The mapping in the main database; `None` without a task table.
    pub fn find(conn: &Connection) -> Result<Option<Self>> {
        let settings = Settings::of(conn)?;
        let table = settings.text(&setting::TASK_TABLE)?.unwrap_or_default();
        if !schema::has_table(conn, &table)? {
            return Ok(None);
        }
        let columns = schema::columns(conn, &table)?;
        Ok(Some(Self { table, columns, settings }))
    }

    /// The mapping; fails without a task table that has columns for these roles.
    pub fn require(conn: &Connection, roles: &[Role]) -> Result<Self> {
        let Some(mapping) = Self::find(conn)? else {
            let table = Settings::of(conn)?.text(&setting::TASK_TABLE)?.unwrap_or_default();
            return Err(Error::usage(format!(
                "the database has no table {table}; open the queue's own database as main (sql/schema.sql makes a new one), or name \
                 the table of another kind of queue with queue_set('preset', …) or queue_set('task_table', …)"
            )));
        };
        mapping.needs(roles)?;
        Ok(mapping)
    }

    /// Fails if the queue lacks a column for one of these roles.
    pub fn needs(&self, roles: &[Role]) -> Result<()> {
        for role in roles {
            if self.actual(*role)?.is_none() {
                let setting = role.setting();
                let name = match self.settings.text(setting)? {
                    Some(name) if !name.is_empty() => name,
                    _ => setting.default_text().into(),
                };
                return Err(Error::usage(format!(
                    "the table {} has no column {name}; sql/schema.sql shows the mapping that is expected, and queue_set('{}', …) \
                     names another column",
                    self.table, setting.name
                )));
            }
        }
        Ok(())
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The task table's name.
    pub fn name(&self) -> &str {
        &self.table
    }

    /// The column for a role, if the queue has it.
    pub fn actual(&self, role: Role) -> Result<Option<&Column>> {
        let name = self.settings.text(role.setting())?.unwrap_or_default();
        Ok(self.find_column(&name))
    }

    pub fn has(&self, role: Role) -> Result<bool> {
        self.actual(role).map(|column| column.is_some())
    }

    /// The further columns that requeuing clears, if the queue has them.
    pub fn further_cleared(&self) -> Result<Vec<&Column>> {
        let names = kind::names(&self.settings.value(&setting::REQUEUE_CLEARS)?).unwrap_or_default();
        Ok(names.iter().filter_map(|name| self.find_column(name)).collect())
    }

    fn find_column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// The column as an expression: its quoted name, or `NULL`.
    pub fn column(&self, role: Role) -> Result<String> {
        Ok(self.actual(role)?.map_or_else(|| "NULL".into(), |column| format!("task.{}", quoted(&column.name))))
    }

    /// The columns that identify a row: the rowid; without one, or if columns hide all its names, the primary
    /// key; without that, the id.
    pub fn row_key(&self, conn: &Connection) -> Result<Vec<String>> {
        let free = ["rowid", "_rowid_", "oid"].into_iter().find(|name| self.find_column(name).is_none());
        let usable = |name: &&str| conn.prepare(&format!("SELECT {name} FROM {}", self.table())).is_ok();
        if let Some(name) = free.filter(usable) {
            return Ok(vec![format!("task.{name}")]);
        }
        let mut key: Vec<&Column> = self.columns.iter().filter(|column| column.key > 0).collect();
        key.sort_by_key(|column| column.key);
        if key.is_empty() {
            return Ok(vec![self.column(Role::Id)?]);
        }
        Ok(key.into_iter().map(|column| format!("task.{}", quoted(&column.name))).collect())
    }

    /// The table in a `FROM` or `UPDATE`, with the alias `task`.
    pub fn table(&self) -> String {
        format!("main.{} AS task", quoted(&self.table))
    }

    /// The table for a search by status: [by its index](Self::indexed_by_status), if there is one. With
    /// missing or misleading statistics, the planner may scan all tasks to find the few that are leased.
    pub fn table_by_status(&self, conn: &Connection) -> Result<String> {
        Ok(self.indexed_by_status(conn)?.unwrap_or_else(|| self.table()))
    }

    /// The table with `INDEXED BY` the first non-partial index that the status leads, if it is usable.
    pub fn indexed_by_status(&self, conn: &Connection) -> Result<Option<String>> {
        let Some(status) = self.actual(Role::Status)? else { return Ok(None) };
        let Some(index) = schema::index_led_by(conn, &self.table, &status.name)? else { return Ok(None) };
        let indexed = format!("{} INDEXED BY {}", self.table(), quoted(&index));
        // INDEXED BY is an error if SQLite cannot use the index. It is not always: an index with another
        // collation than its column may be scanned as a whole.
        let search = format!("SELECT 1 FROM {indexed} WHERE {} IN ({})", self.column(Role::Status)?, self.leased()?);
        Ok(conn.prepare(&search).is_ok().then_some(indexed))
    }

    pub fn status(&self, setting: &Setting) -> Result<String> {
        Ok(literal(&self.settings.value(setting)?))
    }

    /// The statuses of held tasks, as a comma-separated list of literals.
    pub fn leased(&self) -> Result<String> {
        let statuses = status_list::some(&self.settings.value(&setting::STATUS_LEASED)?).unwrap_or_default();
        Ok(statuses.iter().map(literal).collect::<Vec<_>>().join(", "))
    }

    /// All statuses that settings name, as a comma-separated list of literals.
    pub fn known(&self) -> Result<String> {
        Ok(statuses::known(&self.settings)?.iter().map(literal).collect::<Vec<_>>().join(", "))
    }

    /// The format of the queue's times.
    pub fn time(&self) -> Result<TimeFormat> {
        Ok(TimeFormat::named(&self.settings.text(&setting::TIME_FORMAT)?.unwrap_or_default()))
    }
}

fn literal(value: &Value) -> String {
    match value {
        Value::Integer(number) => number.to_string(),
        Value::Text(text) => format!("'{}'", text.replace('\'', "''")),
        _ => "NULL".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_literals() {
        assert_eq!(literal(&Value::Integer(-1)), "-1");
        assert_eq!(literal(&Value::Text("it's; DROP".into())), "'it''s; DROP'");
    }
}
