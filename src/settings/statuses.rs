//! The statuses that settings name, and the check that none is ambiguous.
//!
//! # Promise
//!
//! A task waits (`status_queued`), is held by a worker (`status_leased`), or is over (`status_finished`,
//! `status_dead`, which may overlap). No status may have two of these meanings: requeued tasks would be
//! leases at once, or finished tasks would run again. [`refuse_clash`] is called when a setting is set, and
//! again before acting on leases: the table can be edited by hand, and a preset can add a status that a
//! setting uses for something else.
//!
//! # How
//!
//! Two statuses are the same if their texts are, ignoring case: whether a column distinguishes 1 from '1', or
//! `Done` from `DONE`, depends on its declaration.

use rusqlite::types::Value;

use super::registry::{STATUS_DEAD, STATUS_FINISHED, STATUS_LEASED, STATUS_QUEUED};
use super::{Setting, Settings, kind, status_list};
use crate::error::{Error, Result};

/// A status's meaning for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Held,
    Over,
}

/// A status and the setting that names it.
struct Named {
    setting: &'static Setting,
    state: State,
    status: Value,
}

/// Whether a setting names statuses.
pub fn concern(setting: &Setting) -> bool {
    [&STATUS_QUEUED, &STATUS_LEASED, &STATUS_FINISHED, &STATUS_DEAD].iter().any(|known| known.name == setting.name)
}

/// All statuses that settings name.
pub fn known(settings: &Settings) -> Result<Vec<Value>> {
    Ok(named(settings)?.into_iter().map(|named| named.status).collect())
}

/// Fails if a status has two meanings; with `about`, checks only that setting's statuses.
pub fn refuse_clash(settings: &Settings, about: Option<&Setting>) -> Result<()> {
    let named = named(settings)?;
    for (place, one) in named.iter().enumerate() {
        for other in named.iter().skip(place + 1) {
            let concerned = about.is_none_or(|about| [one, other].iter().any(|each| each.setting.name == about.name));
            if concerned && one.state != other.state && text(&one.status) == text(&other.status) {
                return Err(Error::usage(format!(
                    "the settings {} and {} both name the status {}; a task that waits, one that a worker holds and one that is \
                     over need different statuses, so set the other one first, or reset it",
                    one.setting.name,
                    other.setting.name,
                    kind::shown(&one.status)
                )));
            }
        }
    }
    Ok(())
}

fn named(settings: &Settings) -> Result<Vec<Named>> {
    let mut found = Vec::new();
    let mut add = |setting, state, statuses: Option<Vec<Value>>| {
        let named = |status| Named { setting, state, status };
        found.extend(statuses.unwrap_or_default().into_iter().map(named));
    };
    add(&STATUS_QUEUED, State::Waiting, Some(vec![settings.value(&STATUS_QUEUED)?]));
    add(&STATUS_LEASED, State::Held, status_list::some(&settings.value(&STATUS_LEASED)?));
    add(&STATUS_DEAD, State::Over, Some(vec![settings.value(&STATUS_DEAD)?]));
    add(&STATUS_FINISHED, State::Over, status_list::finished(&settings.value(&STATUS_FINISHED)?));
    Ok(found)
}

fn text(status: &Value) -> String {
    match status {
        Value::Text(text) => text.to_ascii_lowercase(),
        other => kind::shown(other),
    }
}

#[cfg(test)]
mod tests {
    use super::super::registry;
    use super::*;

    fn settings(rows: &[(&str, &str)]) -> Settings {
        let rows = rows.iter().map(|&(name, value)| (name.to_owned(), Value::from(value.to_owned()))).collect();
        Settings { rows, preset: None }
    }

    #[test]
    fn no_preset_contradicts_itself() {
        for preset in registry::PRESETS {
            let settings = settings(&[("preset", preset)]);
            assert!(refuse_clash(&settings, None).is_ok(), "{preset}");
            assert!(known(&settings).unwrap().len() >= 3, "{preset}");
        }
    }

    #[test]
    fn what_means_two_things_is_refused() {
        for (rows, setting) in [
            ([("status_queued", "processing"), ("keep", "3")], &registry::STATUS_QUEUED),
            ([("status_leased", "[\"busy\", \"Completed\"]"), ("keep", "3")], &registry::STATUS_LEASED),
            ([("status_dead", "queued"), ("keep", "3")], &registry::STATUS_DEAD),
            ([("status_finished", "[{\"leased\": \"at_limit\"}]"), ("keep", "3")], &registry::STATUS_FINISHED),
            ([("status_queued", "1"), ("status_leased", "[1]")], &registry::STATUS_LEASED),
            ([("status_leased", "working"), ("status_queued", "WORKING")], &registry::STATUS_QUEUED),
            ([("preset", "apalis"), ("status_queued", "Running")], &registry::STATUS_QUEUED),
        ] {
            let settings = settings(&rows);
            assert!(refuse_clash(&settings, None).is_err(), "{rows:?}");
            assert!(refuse_clash(&settings, Some(setting)).is_err(), "{rows:?}");
            assert!(refuse_clash(&settings, Some(&registry::KEEP)).is_ok(), "{rows:?}");
        }
        // A dead task may count as finished.
        assert!(refuse_clash(&settings(&[("status_dead", "failed")]), None).is_ok());
    }
}
