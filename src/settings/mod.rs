//! Settings, stored in the database itself, in the table `queuekeeper_settings(name, value)`.
//!
//! # Promise
//!
//! - Without a stored value, or without the table, the default applies: the chosen preset's, else the
//!   setting's own. Read-only databases work alike.
//! - An unusable value (somebody edited the table by hand) is an error for every operation that needs it,
//!   which names the setting and the allowed values. It is never silently replaced by the default. Other
//!   operations work. Unknown names are ignored.
//! - [`set`] refuses unusable values and describes the allowed ones. It is part of the caller's transaction.
//!
//! # How
//!
//! [`registry`] lists the settings, [`kind`] checks values, [`name`] checks names of queues and of backup series, [`presets`] has
//! defaults for queue libraries, [`remote`] decides which off-site remotes may be stored, [`risks`] which metrics may be accepted, [`statuses`]
//! refuses ambiguous statuses ([`status_list`] parses them), [`value`] converts values, [`fixed`] has those of a
//! call, [`table`] reads and writes the rows, [`exclusive`] recognizes databases that
//! must not have them. All rows are read at once: they are few, and an operation sees one consistent state.

pub mod exclusive;
pub mod fixed;
pub mod kind;
pub mod name;
pub mod presets;
pub mod registry;
pub mod remote;
pub mod risks;
pub mod status_list;
pub mod statuses;
pub mod table;
pub mod value;

use rusqlite::Connection;
use rusqlite::types::Value;

pub use registry::{BACKUP_DIR, FORMER_PATHS, FULL_EVERY, QUEUE_NAME, WAL_BUDGET_MB};

use crate::error::{Error, Result};
use crate::memory;
use crate::schema;
use fixed::Fixed;
use kind::Kind;

#[derive(Debug)]
pub struct Setting {
    pub name: &'static str,
    pub kind: Kind,
    pub default: Fixed,
    pub description: &'static str,
}

impl Setting {
    /// The default if it is a text, else "".
    pub fn default_text(&self) -> &'static str {
        match self.default {
            Fixed::Text(text) => text,
            _ => "",
        }
    }
}

/// The settings of a database at the time of reading.
pub struct Settings {
    rows: Vec<(String, Value)>,
    /// For a database that cannot store settings.
    preset: Option<&'static str>,
}

/// A row of `queue_settings()`.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub name: String,
    /// The stored value, else the default.
    pub value: Value,
    /// What NULL resets it to.
    pub default_value: Value,
    /// Includes what is wrong with the value, if anything.
    pub description: String,
}

impl Settings {
    /// Reads the settings of the connection's main database.
    pub fn of(conn: &Connection) -> Result<Self> {
        Ok(Self { rows: table::rows(conn)?, preset: exclusive::preset(conn)? })
    }

    /// The stored value, usable or not.
    pub fn stored(&self, setting: &Setting) -> Option<&Value> {
        self.rows.iter().find(|(name, _)| name.eq_ignore_ascii_case(setting.name)).map(|(_, value)| value)
    }

    /// A copy with this setting changed.
    fn with(&self, setting: &Setting, value: &Value) -> Result<Self> {
        let others = self.rows.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(setting.name)).cloned();
        let rows = others.chain([(setting.name.to_owned(), value.clone())]).map(Ok::<_, Error>);
        Ok(Self { rows: memory::collected(rows)?, preset: self.preset })
    }

    fn default(&self, setting: &Setting) -> Result<Value> {
        if setting.name == registry::PRESET.name
            && let Some(preset) = self.preset
        {
            return Ok(Value::from(preset.to_owned()));
        }
        // An unusable preset must not fail settings that no preset changes, such as those of backups.
        if !presets::concern(setting) {
            return Ok(setting.default.value());
        }
        let preset = self.text(&registry::PRESET)?.unwrap_or_default();
        Ok(presets::says(&preset, setting).unwrap_or(setting.default).value())
    }

    /// The value of a setting; NULL if it has none. Fails if the stored value is unusable.
    pub fn value(&self, setting: &Setting) -> Result<Value> {
        match self.stored(setting) {
            None => self.default(setting),
            Some(stored) => setting.kind.accept(stored).ok_or_else(|| {
                Error::usage(format!(
                    "the setting {} in table {} cannot be used; it must be {}; correct or delete its row",
                    setting.name,
                    table::TABLE,
                    setting.kind.allowed()
                ))
            }),
        }
    }

    /// A text; `None` if the setting has no value.
    pub fn text(&self, setting: &Setting) -> Result<Option<String>> {
        match self.value(setting)? {
            Value::Text(text) => Ok(Some(text)),
            _ => Ok(None),
        }
    }

    /// An integer; 0 for another kind.
    pub fn whole(&self, setting: &Setting) -> Result<i64> {
        match self.value(setting)? {
            Value::Integer(number) => Ok(number),
            _ => Ok(0),
        }
    }

    /// An integer, at least 1.
    pub fn positive(&self, setting: &Setting) -> Result<u64> {
        self.whole(setting).map(|number| number.max(1).unsigned_abs())
    }

    /// A number; 0 for another kind.
    pub fn real(&self, setting: &Setting) -> Result<f64> {
        match self.value(setting)? {
            Value::Real(number) => Ok(number),
            #[allow(clippy::cast_precision_loss)] // Thresholds stay far below 2^53.
            Value::Integer(number) => Ok(number as f64),
            _ => Ok(0.0),
        }
    }

    /// All settings, then unknown rows of the table. Descriptions include what is wrong.
    pub fn rows(&self) -> Result<Vec<Row>> {
        let known = registry::ALL.iter().map(|setting| self.row(setting));
        let unknown = self.rows.iter().filter(|(name, _)| registry::find(name).is_none()).map(|(name, value)| Row {
            name: name.clone(),
            value: value.clone(),
            default_value: Value::Null,
            description: "no setting of queuekeeper; it is ignored".into(),
        });
        memory::collected(known.chain(unknown).map(Ok::<_, Error>))
    }

    fn row(&self, setting: &Setting) -> Row {
        let (value, fault) = match (self.value(setting), self.stored(setting)) {
            (Ok(value), _) => (value, None),
            (Err(_), Some(stored)) => {
                // No setting is a BLOB; callers would take it for a text.
                let shown = if matches!(stored, Value::Blob(_)) { Value::Null } else { stored.clone() };
                (shown, Some(format!("this value cannot be used: it must be {}", setting.kind.allowed())))
            }
            // Only an unusable preset gets here.
            (Err(_), None) => (Value::Null, Some("unknown until the setting preset is corrected".into())),
        };
        Row {
            name: setting.name.into(),
            value,
            default_value: self.default(setting).unwrap_or(Value::Null),
            description: match fault {
                None => setting.description.into(),
                Some(fault) => format!("{} ({fault})", setting.description),
            },
        }
    }
}

/// Sets a setting, or resets it with NULL; returns the stored value. Refuses unknown names, unusable values,
/// and tables and columns that do not exist.
pub fn set(conn: &Connection, name: &str, value: &Value) -> Result<Value> {
    let Some(setting) = registry::find(name) else {
        let names: Vec<&str> = registry::ALL.iter().map(|setting| setting.name).collect();
        return Err(Error::usage(format!(
            "'{}' is no setting; the settings are {}",
            name.escape_debug(),
            names.join(", ")
        )));
    };
    if *value == Value::Null {
        table::reset(conn, setting.name)?;
        return Ok(Value::Null);
    }
    let Some(accepted) = setting.kind.accept(value) else {
        return Err(Error::usage(format!(
            "the setting {} cannot be {}; it must be {}",
            setting.name,
            setting.kind.refused(value),
            setting.kind.allowed()
        )));
    };
    table::check_length(setting.name, &accepted)?;
    let settings = Settings::of(conn)?;
    check_existence(conn, &settings, setting, &accepted)?;
    check_statuses(&settings, setting, &accepted)?;
    if settings.preset.is_some() && settings.value(setting)? == accepted {
        return Ok(accepted);
    }
    table::store(conn, setting.name, &accepted)?;
    Ok(accepted)
}

/// Refuses a status that would be ambiguous, also one that a preset sets.
fn check_statuses(settings: &Settings, setting: &Setting, value: &Value) -> Result<()> {
    if setting.name == registry::PRESET.name {
        return statuses::refuse_clash(&settings.with(setting, value)?, None);
    }
    if statuses::concern(setting) {
        return statuses::refuse_clash(&settings.with(setting, value)?, Some(setting));
    }
    Ok(())
}

/// Refuses a table or column that does not exist. Columns of a missing table cannot be checked.
fn check_existence(conn: &Connection, settings: &Settings, setting: &Setting, value: &Value) -> Result<()> {
    let Value::Text(name) = value else { return Ok(()) };
    let (names, known, whose) = match setting.kind {
        Kind::Table => (vec![name.clone()], schema::tables(conn)?, "the database's tables".to_owned()),
        Kind::Column | Kind::Columns | Kind::OtherColumn => {
            let of_workers = matches!(setting.kind, Kind::OtherColumn);
            let owner = if of_workers { &registry::WORKERS_TABLE } else { &registry::TASK_TABLE };
            let table = settings.text(owner)?.unwrap_or_default();
            let columns = schema::columns(conn, &table)?.into_iter().map(|column| column.name).collect();
            let names = kind::names(value).unwrap_or_else(|| vec![name.clone()]);
            (names, columns, format!("the columns of the table {table}"))
        }
        _ => return Ok(()),
    };
    let none = matches!(setting.kind, Kind::Column) && name.is_empty();
    let has = |name: &String| known.iter().any(|known| known.eq_ignore_ascii_case(name));
    match names.iter().find(|name| !has(name)) {
        Some(lacking) if !none && !known.is_empty() => Err(Error::usage(format!(
            "the setting {} cannot be '{}'; {whose} are {}",
            setting.name,
            lacking.escape_debug(),
            known.join(", ")
        ))),
        _ => Ok(()),
    }
}
