//! Which tasks an order is about: a JSON object, whose keys must all hold.
//!
//! # Promise
//!
//! - `ids`, `types` and `workers` list values of the columns that settings name; `after` and `before` are about the
//!   time at which the task was created: then or later, and earlier. `limit` takes the first of those that match.
//!   `all` stands for every task.
//! - Nothing is meant by leaving something out: without a key that says which tasks, and an empty list says none of
//!   them, it is an error, as is a key that is not known, or a column that the queue lacks.
//! - Values are bound, and names quoted: no text of a filter is run as SQL.

use chrono::{DateTime, Utc};
use rusqlite::types::Value;
use serde::Deserialize;

use super::mapping::{Mapping, Role};
use crate::clock;
use crate::error::{Error, Result};

/// Values of one list: SQLite binds 32,766 at most.
const MOST: usize = 10_000;

const EXAMPLE: &str = r#"pass a JSON object such as {"workers": ["worker-7"]}, with one or more of ids, types, workers, after and before, and perhaps limit; {"all": true} is all"#;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    ids: Option<Vec<Plain>>,
    types: Option<Vec<String>>,
    workers: Option<Vec<String>>,
    after: Option<Plain>,
    before: Option<Plain>,
    limit: Option<i64>,
    all: bool,
}

/// A number or a text.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Plain {
    Number(i64),
    Text(String),
}

/// A filter in SQL, for the table of alias `task`.
pub struct Condition {
    pub sql: String,
    /// The values of ?1 and so on.
    pub values: Vec<Value>,
    /// How many tasks it takes at most; -1 for all.
    pub limit: i64,
}

impl Filter {
    pub fn of(text: Option<&str>) -> Result<Self> {
        let text = text.ok_or_else(|| Error::usage(format!("filter is required: {EXAMPLE}")))?;
        // serde would also read a struct from an array.
        if !text.trim_start().starts_with('{') {
            return Err(Error::usage(format!("filter is no JSON object: {EXAMPLE}")));
        }
        let filter: Self = serde_json::from_str(text)
            .map_err(|error| Error::usage(format!("filter is not understood ({error}): {EXAMPLE}")))?;
        filter.check()?;
        Ok(filter)
    }

    fn check(&self) -> Result<()> {
        let lengths = [&self.types, &self.workers].map(|list| list.as_ref().map(Vec::len));
        let lists = [self.ids.as_ref().map(Vec::len), lengths[0], lengths[1]];
        if lists.iter().flatten().any(|length| *length > MOST) {
            return Err(Error::usage(format!("filter has a list of more than {MOST}; call once for each part")));
        }
        if self.limit.is_some_and(|limit| limit < 1) {
            return Err(Error::usage("limit must be a whole number above 0"));
        }
        let chooses = lists.iter().any(Option::is_some) || self.after.is_some() || self.before.is_some();
        if chooses || self.all {
            return Ok(());
        }
        Err(Error::usage(format!("filter does not say which tasks: {EXAMPLE}")))
    }

    pub fn condition(self, mapping: &Mapping) -> Result<Condition> {
        let mut made = Making { mapping, sql: Vec::new(), values: Vec::new() };
        made.one_of(Role::Id, self.ids.map(|ids| ids.into_iter().map(Plain::value).collect()))?;
        made.one_of(Role::Type, self.types.map(|types| types.into_iter().map(Value::from).collect()))?;
        made.one_of(Role::LockedBy, self.workers.map(|workers| workers.into_iter().map(Value::from).collect()))?;
        made.created("after", ">=", self.after)?;
        made.created("before", "<", self.before)?;
        let sql = if made.sql.is_empty() { "1".into() } else { made.sql.join(" AND ") };
        Ok(Condition { sql, values: made.values, limit: self.limit.unwrap_or(-1) })
    }
}

struct Making<'a> {
    mapping: &'a Mapping,
    sql: Vec<String>,
    values: Vec<Value>,
}

impl Making<'_> {
    fn one_of(&mut self, role: Role, values: Option<Vec<Value>>) -> Result<()> {
        let Some(values) = values else { return Ok(()) };
        self.mapping.needs(&[role])?;
        let first = self.values.len() + 1;
        let places: Vec<String> = (first..first + values.len()).map(|place| format!("?{place}")).collect();
        self.sql.push(format!("{} IN ({})", self.mapping.column(role)?, places.join(", ")));
        self.values.extend(values);
        Ok(())
    }

    fn created(&mut self, key: &str, comparison: &str, time: Option<Plain>) -> Result<()> {
        let Some(time) = time else { return Ok(()) };
        self.mapping.needs(&[Role::CreatedAt])?;
        let created = self.mapping.time()?.seconds(&self.mapping.column(Role::CreatedAt)?);
        self.values.push(Value::Integer(time.time(key)?.timestamp()));
        self.sql.push(format!("{created} {comparison} ?{}", self.values.len()));
        Ok(())
    }
}

impl Plain {
    fn value(self) -> Value {
        match self {
            Self::Number(number) => Value::Integer(number),
            Self::Text(text) => Value::Text(text),
        }
    }

    fn time(self, key: &str) -> Result<DateTime<Utc>> {
        let text = match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        };
        clock::parse(&text).ok_or_else(|| {
            let given = text.escape_debug();
            Error::usage(format!(
                "{key} must be a time such as '2026-11-05 02:00:00' (UTC), or Unix seconds, but is '{given}'"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_says_which_tasks() {
        for fine in [
            r#"{"all": true}"#,
            r#" {"all": true, "limit": 3}"#,
            r#"{"ids": [1, "a"], "types": [], "workers": ["w"]}"#,
            r#"{"after": "2026-11-05", "before": 1800000000}"#,
        ] {
            assert!(Filter::of(Some(fine)).is_ok(), "{fine}");
        }
        for bad in [
            "",
            "{}",
            "[]",
            "null",
            "7",
            r#"{"all": false}"#,
            r#"{"limit": 3}"#,
            r#"{"all": true, "limit": 0}"#,
            r#"{"worker": ["w"]}"#,
            r#"{"workers": "w"}"#,
            r#"{"workers": [1]}"#,
            r#"{"ids": [1.5]}"#,
            r#"{"ids": [null]}"#,
            r#"{"all": true} x"#,
            r#"{"all": 1}"#,
        ] {
            assert!(Filter::of(Some(bad)).is_err_and(|error| error.message().contains("limit")), "{bad}");
        }
        assert!(Filter::of(None).is_err());
        let many = format!(r#"{{"ids": [{}1]}}"#, "1,".repeat(MOST));
        assert!(Filter::of(Some(&many)).is_err_and(|error| error.message().contains("more than 10000")));
    }
}
