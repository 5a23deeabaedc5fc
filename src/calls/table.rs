//! The declaration of a table-valued function, and its rows as JSON.

use rusqlite::types::Value;
use serde::{Serialize, Serializer};

use super::arguments::Arguments;
use crate::connection::Caller;
use crate::error::Result;
use crate::json;

pub struct Spec {
    pub name: &'static str,
    /// As in `CREATE TABLE`.
    pub columns: &'static [&'static str],
    /// Hidden columns, after the others.
    pub arguments: &'static [&'static str],
    /// Such tables are `DIRECTONLY`.
    pub looks_at_files: bool,
    /// Returns a value per column for each row.
    pub rows: fn(&Caller, &Arguments) -> Result<Vec<Vec<Value>>>,
}

/// The rows as a JSON array of objects, with the columns in order. BLOBs are hexadecimal.
pub fn json(table: &Spec, rows: &[Vec<Value>]) -> Result<String> {
    let names: Vec<&str> = table.columns.iter().map(|&column| column.split(' ').next().unwrap_or(column)).collect();
    json::text(&Rows { names: &names, rows })
}

struct Rows<'a> {
    names: &'a [&'a str],
    rows: &'a [Vec<Value>],
}

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_seq(self.rows.iter().map(|values| Row { names: self.names, values }))
    }
}

struct Row<'a> {
    names: &'a [&'a str],
    values: &'a [Value],
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.names.iter().zip(self.values.iter().map(value)))
    }
}

pub fn value(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Integer(number) => (*number).into(),
        Value::Real(number) => (*number).into(),
        Value::Text(text) => text.as_str().into(),
        Value::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::operations::DEPTH;

    #[test]
    fn rows_are_objects_with_the_columns_in_their_order() {
        let values = |first: Value| vec![first, Value::Text("a\"b\0".into()), Value::Null, Value::Real(0.5)];
        let rows = [values(Value::Integer(i64::MIN)), values(Value::Blob(vec![0, 0xab]))];
        let text = r#""tasks":"a\"b\u0000","oldest_utc":null,"newest_utc":0.5}"#;
        assert_eq!(
            json(&DEPTH, &rows).unwrap(),
            format!(r#"[{{"status":-9223372036854775808,{text},{{"status":"00AB",{text}]"#)
        );
        assert_eq!(json(&DEPTH, &[]).unwrap(), "[]");
    }
}
