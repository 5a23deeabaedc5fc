//! VACUUM without anybody who watches.
//!
//! # Promise
//!
//! It is left out, with the reason in words, where it might do harm ([`rowids`]) and where it can never be made from here: the schema needs a
//! function or collation that only the application's connection has. Anything else that goes wrong is an error, and may be tried again.

use super::{rowids, vacuum};
use crate::connection::Caller;
use crate::error::Result;
use crate::progress::Listener;

/// VACUUM for work that nobody watches: `Err` in words where VACUUM is left out, because it may move rowids that something refers to, or
/// the schema needs what only the application's connection has.
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
