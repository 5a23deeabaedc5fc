//! Order, digest and unknown fields of entries.

use serde_json::Map;

use super::*;

/// An entry as another version might write it.
pub fn entry(name: &str, created_at: &str) -> Entry {
    let object = serde_json::json!({
        "id": name, "backup_type": "full", "source_path": "/q.db", "backup_path": name,
        "created_at": created_at, "size_bytes": 1, "compressed": false, "checksum": "00",
        "of_another_version": {"kept": true}
    });
    serde_json::from_value(object).unwrap()
}

#[test]
fn a_new_entry_follows_all_others_whatever_the_clock_shows() {
    let made_by_0_1_0 = entry("old.db", "2036-01-01T00:00:00.000Z");
    let mut last = vec![made_by_0_1_0];
    for (name, clock) in [("ahead", "2040"), ("right", "2026"), ("behind", "2000"), ("before 1970", "1960")] {
        let mut next = entry(name, &format!("{clock}-01-01T00:00:00.000Z"));
        next.rank_after(&last);
        assert!(last.iter().all(|other| other.made() < next.made()), "{name}");
        last.push(next);
    }
    let mut alone = entry("a.db", "2026-01-01T00:00:00.000Z");
    alone.rank_after(&[]);
    assert_eq!(alone.sequence, Some(1_767_225_600_000));
    alone.sequence = Some(u64::MAX);
    assert_eq!(alone.made(), 1_767_225_600_000, "no number of ours");
}

/// Its digest was computed without the field.
#[test]
fn an_entry_without_a_sequence_is_written_without_one() {
    let text = serde_json::to_string(&entry("a.db", "2026-01-01T00:00:00.000Z")).unwrap();
    assert!(!text.contains("sequence"), "{text}");
}

/// Fails with serde_json's feature `preserve_order` if the digest depends on the order of the keys.
#[test]
fn an_entry_of_version_0_1_0_is_intact_whatever_the_order_of_its_keys() {
    let text = include_str!("entry_0_1_0.json");
    let read: Entry = serde_json::from_str(text).unwrap();
    assert!(read.is_intact());
    let object: Map<String, Value> = serde_json::from_str(text).unwrap();
    let mut keys: Vec<&String> = object.keys().collect();
    for _ in 0..20 {
        fastrand::shuffle(&mut keys);
        let fields: Vec<String> =
            keys.iter().map(|&key| format!("{}:{}", Value::from(key.as_str()), object[key])).collect();
        let read: Entry = serde_json::from_str(&format!("{{{}}}", fields.join(","))).unwrap();
        assert!(read.is_intact(), "{keys:?}");
    }
}

#[test]
fn a_sealed_entry_is_intact_until_anything_in_it_changes() {
    let mut sealed = entry("a.db", "2026-01-01T00:00:00.000Z");
    assert!(!sealed.is_intact());
    sealed.seal();
    let text = serde_json::to_string(&sealed).unwrap();
    let read: Entry = serde_json::from_str(&text).unwrap();
    assert!(read.is_intact());
    assert_eq!(read.others.get("of_another_version"), Some(serde_json::json!({"kept": true})));
    let other: Entry = serde_json::from_str(&text.replace("\"kept\":true", "\"kept\":false")).unwrap();
    assert!(!other.is_intact());
    let other: Entry = serde_json::from_str(&text.replace("a.db", "b.db")).unwrap();
    assert!(!other.is_intact());
}

#[test]
fn every_field_that_an_entry_has_is_known_and_no_other_is() {
    let mut full = entry("a.db", "2026-01-01T00:00:00.000Z");
    (full.queue_name, full.sequence, full.others) = (Some("q".into()), Some(1), Object::default());
    let written = serde_json::to_value(&full).unwrap();
    let fields: std::collections::BTreeSet<&str> = written.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, KNOWN.into());
}

#[test]
fn a_field_of_another_version_is_written_again_digit_by_digit() {
    let text = serde_json::to_string(&entry("a.db", "2026-01-01T00:00:00.000Z")).unwrap();
    let field = r#""later":[1.50,123456789012345678901234567890,{"b":1,"a":2}]"#;
    let text = text.replacen('{', &format!("{{{field},"), 1);
    let read: Entry = serde_json::from_str(&text).unwrap();
    assert!(serde_json::to_string(&read).unwrap().contains(field));
}
