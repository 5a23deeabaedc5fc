//! A JSON object that is kept as text.
//!
//! # Promise
//!
//! Foreign fields use as much memory as their text, and are written back unchanged: no number loses a digit.
//! The last of several fields with one name counts.

use std::fmt;

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{Error as _, SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::canonical;

#[derive(Clone, PartialEq, Eq)]
pub struct Object(String);

impl Object {
    /// An object's fields but for the `known` ones; `None` if the text is no object.
    pub fn without(text: &str, known: &[&str]) -> Option<Self> {
        let mut kept = Self::default();
        each(text, |key, value| {
            if !known.contains(&key) {
                kept.push(key, value);
            }
        })?;
        Some(kept)
    }

    /// The parsed fields; empty if they are nested too deep for the parser.
    pub fn fields(&self) -> Map<String, Value> {
        serde_json::from_str(&self.0).unwrap_or_default()
    }

    pub fn get(&self, name: &str) -> Option<Value> {
        let mut found = None;
        each(&self.0, |key, value| {
            if key == name {
                found = Some(serde_json::from_str(value));
            }
        });
        found?.ok()
    }

    pub fn has(&self, name: &str) -> bool {
        let mut found = false;
        each(&self.0, |key, _| found |= key == name);
        found
    }

    /// Adds or replaces a field.
    pub fn insert(&mut self, name: &str, value: &Value) {
        self.remove(name);
        self.push(name, &canonical::text(value));
    }

    pub fn remove(&mut self, name: &str) {
        if self.has(name) {
            *self = Self::without(&self.0, &[name]).unwrap_or_default();
        }
    }

    fn push(&mut self, key: &str, value: &str) {
        self.0.pop();
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(&Value::from(key).to_string());
        self.0.push(':');
        self.0.push_str(value);
        self.0.push('}');
    }
}

impl Default for Object {
    fn default() -> Self {
        Self("{}".into())
    }
}

impl From<&Map<String, Value>> for Object {
    fn from(fields: &Map<String, Value>) -> Self {
        let mut object = Self::default();
        for (key, value) in fields {
            object.push(key, &canonical::text(value));
        }
        object
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut map = out.serialize_map(None)?;
        let mut failed = None;
        each(&self.0, |key, value| {
            let put = serde_json::from_str::<&RawValue>(value).map_err(S::Error::custom);
            let put = put.and_then(|value| map.serialize_entry(key, value));
            failed = failed.take().or(put.err());
        });
        match failed {
            Some(error) => Err(error),
            None => map.end(),
        }
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(input)?;
        Self::without(text.get(), &[]).ok_or_else(|| D::Error::custom("no object"))
    }
}

/// Calls `take` with each key and its value's text; `None` if the text is no object.
fn each(text: &str, take: impl FnMut(&str, &str)) -> Option<()> {
    struct Pairs<F>(F);

    impl<'de, F: FnMut(&str, &str)> Visitor<'de> for Pairs<F> {
        type Value = ();

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(mut self, mut input: A) -> Result<(), A::Error> {
            while let Some(key) = input.next_key::<String>()? {
                let value = input.next_value::<&RawValue>()?;
                (self.0)(&key, value.get());
            }
            Ok(())
        }
    }

    let mut input = serde_json::Deserializer::from_str(text);
    input.deserialize_map(Pairs(take)).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_come_out_as_they_went_in() {
        let text = r#"{"a": [1.50, {"é\n": 1e400}], "big":12345678901234567890123, "known":1, "a":2}"#;
        let mut object = Object::without(text, &["known"]).unwrap();
        let written = serde_json::to_string(&object).unwrap();
        assert_eq!(written, r#"{"a":[1.50, {"é\n": 1e400}],"big":12345678901234567890123,"a":2}"#);
        assert_eq!(object.get("a"), Some(json!(2)));
        assert!(!object.has("known") && object.get("known").is_none());
        object.insert("a", &json!({"b": null}));
        object.remove("big");
        assert_eq!(serde_json::to_string(&object).unwrap(), r#"{"a":{"b":null}}"#);
        assert_eq!(serde_json::to_value(&object).unwrap(), json!({"a": {"b": null}}));
        object.remove("a");
        assert_eq!(object, Object::default());
    }

    #[test]
    fn what_is_no_object_is_none() {
        for text in ["", "[]", "1", "null", "{", "{\"a\"}", "\"{}\""] {
            assert!(Object::without(text, &[]).is_none(), "{text}");
            assert!(serde_json::from_str::<Object>(text).is_err(), "{text}");
        }
        assert_eq!(serde_json::from_str::<Object>(" { } ").unwrap(), Object::default());
    }
}
