//! Canonical JSON, as input of digests.
//!
//! # Promise
//!
//! A value's text does not depend on the order of an object's keys: it is compact, with keys sorted by their
//! bytes. So a catalog object keeps its digest with any map of serde_json (any crate in a build can enable
//! its feature `preserve_order`).

use serde_json::Value;

/// The canonical text.
pub fn text(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(object) => write_object(object.iter(), out),
        Value::Array(values) => {
            out.push('[');
            for (place, value) in values.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write(value, out);
            }
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

fn write_object<'a>(pairs: impl Iterator<Item = (&'a String, &'a Value)>, out: &mut String) {
    let mut pairs: Vec<(&String, &Value)> = pairs.collect();
    pairs.sort_by_key(|&(key, _)| key);
    out.push('{');
    for (place, (key, value)) in pairs.into_iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        out.push_str(&Value::from(key.as_str()).to_string());
        out.push(':');
        write(value, out);
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shuffled_keys_come_out_sorted() {
        let mut pairs =
            vec![("b".to_owned(), json!(1)), ("a\"\u{e9}".to_owned(), json!([{"y": null, "x": "é\n"}, 2.5]))];
        pairs.extend((0..20u32).map(|number| (format!("k{}", number * 7 % 20), json!(number))));
        let mut texts = std::collections::HashSet::new();
        for _ in 0..50 {
            fastrand::shuffle(&mut pairs);
            let mut out = String::new();
            write_object(pairs.iter().map(|(key, value)| (key, value)), &mut out);
            texts.insert(out);
        }
        assert_eq!(texts.len(), 1);
        let found: Vec<String> = texts.into_iter().collect();
        assert!(
            found[0].starts_with(r#"{"a\"é":[{"x":"é\n","y":null},2.5],"b":1,"k0":0,"k1":3,"k10":10,"#),
            "{}",
            found[0]
        );
    }

    #[test]
    fn it_is_what_serde_json_writes_of_a_sorted_map() {
        for value in [json!({"a": {"c": 1, "d": []}, "b": "\u{7f}\u{1}\u{2028}"}), json!([]), json!({}), json!(1e300)]
        {
            assert_eq!(text(&value), value.to_string());
        }
    }
}
