//! The backup that the jobs of a call share.
//!
//! # Promise
//!
//! - Jobs that are due in one call share one backup. The first of them makes it, with the name of the rarest
//!   that is due and has none yet; to the others it is the result of their own step.
//! - It serves no job that became due after its snapshot, nor one rarer than its name.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::job::JOBS;
use super::pending::Due;
use crate::clock;

#[derive(Debug)]
pub struct Shared {
    made_by: &'static str,
    name: String,
    created: DateTime<Utc>,
    detail: Value,
}

impl Shared {
    /// The backup with this object, which `job` has made.
    pub fn of(job: &'static str, detail: &Value) -> Option<Self> {
        let text = |key| detail.get(key).and_then(Value::as_str);
        let created = text("created_at").and_then(clock::parse_rfc3339)?;
        Some(Self { made_by: job, name: text("name")?.to_owned(), created, detail: detail.clone() })
    }

    /// The backup that `due` would make now, in a dry run.
    pub fn planned(due: &Due, name: &str) -> Self {
        Self { made_by: due.job.name, name: name.to_owned(), created: due.now, detail: json!({ "name": name }) }
    }

    /// The later snapshot of two.
    pub fn later(self, other: Option<Self>) -> Self {
        other.filter(|other| other.created > self.created).unwrap_or(self)
    }

    /// Its object as the result of another job's step, if it serves that. A warning is told once.
    pub fn served(&self, due: &Due) -> Option<Value> {
        let serves = self.created >= due.slot.due && rank(&self.name)? >= rank(due.job.name)?;
        let mut detail = self.detail.clone();
        let object = detail.as_object_mut().filter(|_| serves)?;
        object.remove("warning");
        object.insert("made_by".into(), json!(self.made_by));
        object.insert(
            "note".into(),
            json!(format!("the backup that the job {} made serves this one, too", self.made_by)),
        );
        Some(detail)
    }
}

/// How rare a job is.
fn rank(name: &str) -> Option<usize> {
    JOBS.iter().position(|job| job.name == name)
}
