//! Statuses as values of settings: a single status, or a JSON array.
//!
//! # Promise
//!
//! Pure. A status is a text that is not empty, or an integer. Arrays are stored in their shortest spelling, a
//! single status as it was given.

use rusqlite::types::Value;

use super::value::text;

/// The value to store for a [`Kind::Status`](super::kind::Kind::Status).
pub fn accept_one(value: &Value) -> Option<Value> {
    match value {
        Value::Integer(_) => Some(value.clone()),
        _ => text(value).filter(|text| !text.is_empty()).map(Value::from),
    }
}

/// The value to store for a [`Kind::Statuses`](super::kind::Kind::Statuses).
pub fn accept_some(value: &Value) -> Option<Value> {
    let statuses = some(value)?;
    if !is_list(value) {
        return statuses.into_iter().next();
    }
    Some(Value::from(serde_json::Value::from_iter(statuses.iter().map(json)).to_string()))
}

/// The value to store for a [`Kind::Finished`](super::kind::Kind::Finished).
pub fn accept_finished(value: &Value) -> Option<Value> {
    if !is_list(value) {
        return accept_one(value);
    }
    let elements = list(value)?;
    elements.iter().map(finished_status).collect::<Option<Vec<_>>>()?;
    Some(Value::from(serde_json::Value::Array(elements).to_string()))
}

/// The statuses in a `Kind::Statuses` value.
pub fn some(value: &Value) -> Option<Vec<Value>> {
    if !is_list(value) {
        return accept_one(value).map(|status| vec![status]);
    }
    list(value)?.iter().map(status).collect::<Option<Vec<Value>>>().filter(|statuses| !statuses.is_empty())
}

/// The statuses in a `Kind::Finished` value, without their conditions.
pub fn finished(value: &Value) -> Option<Vec<Value>> {
    if !is_list(value) {
        return accept_one(value).map(|status| vec![status]);
    }
    list(value)?.iter().map(finished_status).collect()
}

fn is_list(value: &Value) -> bool {
    matches!(value, Value::Text(text) if text.trim_start().starts_with('['))
}

fn list(value: &Value) -> Option<Vec<serde_json::Value>> {
    match value {
        Value::Text(text) if is_list(value) => serde_json::from_str(text).ok(),
        _ => None,
    }
}

fn status(element: &serde_json::Value) -> Option<Value> {
    match element {
        serde_json::Value::String(text) => accept_one(&Value::Text(text.clone())),
        serde_json::Value::Number(number) => number.as_i64().map(Value::Integer),
        _ => None,
    }
}

fn finished_status(element: &serde_json::Value) -> Option<Value> {
    let serde_json::Value::Object(object) = element else { return status(element) };
    let mut members = object.iter();
    match (members.next(), members.next()) {
        (Some((name, when)), None) if when == "at_limit" => accept_one(&Value::Text(name.clone())),
        _ => None,
    }
}

fn json(status: &Value) -> serde_json::Value {
    match status {
        Value::Integer(number) => serde_json::json!(number),
        Value::Text(text) => serde_json::json!(text),
        _ => serde_json::Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::super::kind::Kind;
    use super::*;

    fn given(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn statuses_are_one_or_a_list() {
        assert_eq!(some(&Value::Integer(1)), Some(vec![Value::Integer(1)]));
        assert_eq!(some(&given("leased")), Some(vec![given("leased")]));
        assert_eq!(some(&given("[1, \"a\"]")), Some(vec![Value::Integer(1), given("a")]));
        for bad in ["[]", "[1.5]", "[null]", "[\"\"]", "[1", "[[1]]", ""] {
            assert_eq!(some(&given(bad)), None, "{bad}");
            assert_eq!(Kind::Statuses.accept(&given(bad)), None, "{bad}");
        }
        assert_eq!(Kind::Statuses.accept(&given("[ 1 ,2 ]")), Some(given("[1,2]")));
        assert_eq!(Kind::Statuses.accept(&given("leased")), Some(given("leased")));
        assert_eq!(Kind::Statuses.accept(&Value::Integer(1)), Some(Value::Integer(1)));
    }

    #[test]
    fn finished_statuses_may_be_none_or_depend_on_the_attempts() {
        let mixed = given(r#"["Done", 3, {"Failed": "at_limit"}]"#);
        assert_eq!(finished(&mixed), Some(vec![given("Done"), Value::Integer(3), given("Failed")]));
        assert_eq!(Kind::Finished.accept(&mixed), Some(given(r#"["Done",3,{"Failed":"at_limit"}]"#)));
        assert_eq!(Kind::Finished.accept(&given("[]")), Some(given("[]")));
        assert_eq!(finished(&given("[]")), Some(Vec::new()));
        assert_eq!(finished(&given("done")), Some(vec![given("done")]));
        for bad in [
            "",
            "[1.5]",
            "[null]",
            "[\"\"]",
            "[1",
            r#"[{"a": "b"}]"#,
            r#"[{"a": "at_limit", "b": "at_limit"}]"#,
            "[{}]",
        ] {
            assert_eq!(Kind::Finished.accept(&given(bad)), None, "{bad}");
        }
    }
}
