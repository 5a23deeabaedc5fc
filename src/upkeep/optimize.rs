//! `ANALYZE` and, on request, `VACUUM`, in one call.
//!
//! # Promise
//!
//! `full` runs `VACUUM` first, so that the statistics are of the compact database. If the VACUUM fails,
//! nothing is done; if the ANALYZE fails after it, the error says that the VACUUM is done. If a VACUUM may
//! move rowids that something refers to ([`rowids`](super::rowids)), or needs what only the application's
//! connection has, it is left out with a note. The measures before and after are those of [`stats`], as the
//! caller sees the database.

use serde::Serialize;

use super::stats::{self, Stats};
use super::{analyze, vacuum_unattended};
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::progress::Listener;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// Always true: otherwise there is an error.
    pub analyzed: bool,
    pub vacuumed: bool,
    pub stats_before: Stats,
    pub stats_after: Stats,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Optimizes the caller's main database; `full` is 0 or 1.
pub fn optimize<'a>(caller: &'a Caller, full: i64, mut listener: Option<Listener<'a>>) -> Result<Outcome> {
    let full = match full {
        0 => false,
        1 => true,
        other => {
            return Err(Error::usage(format!("full is {other}; it can be 0 (ANALYZE) or 1 (VACUUM, then ANALYZE)")));
        }
    };
    let stats_before = stats::stats(caller)?;
    let mut notes = Vec::new();
    let mut vacuumed = false;
    if full {
        let listener = listener.as_mut().map(|listener| &mut **listener as Listener<'_>);
        match vacuum_unattended::vacuum(caller, listener)? {
            Ok(outcome) => {
                vacuumed = true;
                notes.extend(outcome.note);
            }
            Err(reason) => notes.push(reason),
        }
    }
    let after_vacuum =
        |error: Error| if vacuumed { error.context("the VACUUM is done, the ANALYZE is not") } else { error };
    notes.extend(analyze::analyze(caller, None, listener).map_err(after_vacuum)?.note);
    let all_done = |error: Error| error.context("all is done, but its outcome cannot be read");
    Ok(Outcome {
        analyzed: true,
        vacuumed,
        stats_before,
        stats_after: stats::stats(caller).map_err(all_done)?,
        note: (!notes.is_empty()).then(|| notes.join("; ")),
    })
}
