//! Unattended VACUUM.
//!
//! # Promise
//!
//! It is left out, with a reason, if it might do harm ([`rowids`]), or can never succeed from here because
//! the schema needs a function or collation that only the application's connection has. Any other failure is
//! an error, and may be retried.

use super::{rowids, vacuum};
use crate::connection::Caller;
use crate::error::Result;
use crate::progress::Listener;

/// The inner error is the reason why the VACUUM was left out.
pub fn vacuum<'a>(
    caller: &'a Caller,
    listener: Option<Listener<'a>>,
) -> Result<std::result::Result<vacuum::Outcome, String>> {
    if let Some(reason) = rowids::reason_against(caller)? {
        return Ok(Err(reason));
    }
    match vacuum::vacuum(caller, listener) {
        Err(error) => match error.missing() {
            Some(missing) => Ok(Err(format!(
                "no VACUUM: the schema needs {missing}, which only the application's connection has; run the statement VACUUM there"
            ))),
            None => Err(error),
        },
        outcome => outcome.map(Ok),
    }
}
