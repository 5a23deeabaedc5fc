//! What a call came to, or a dry run would.

use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, Result};

/// A job that ran, or of a dry run, would run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ran {
    pub job: &'static str,
    /// Which of its times, UTC.
    pub due_utc: String,
    /// From 1.
    pub attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_utc: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_utc: Option<String>,
    /// `ok`, or `failed` if any step failed; `due` in a dry run.
    pub status: &'static str,
    pub steps: Vec<StepRan>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepRan {
    pub step: &'static str,
    /// `ok`, `failed` or `skipped`; `due` or `skipped` in a dry run.
    pub status: &'static str,
    /// The result, or the error message.
    pub detail: Value,
}

pub fn no_schedule() -> Error {
    Error::usage("an in-memory or temporary database has no schedule")
}

/// Fails if there are any, with the advice `rest`.
pub fn refuse_faults(faults: &[String], rest: &str) -> Result<()> {
    if faults.is_empty() {
        return Ok(());
    }
    Err(Error::usage(format!("{}; {rest}", faults.join("; "))))
}
