//! The scalar functions: converts values, calls [`calls`](crate::calls), returns the result.
//!
//! # Promise
//!
//! - No view, trigger, constraint, index or default of a database file can call a function: each is
//!   `DIRECTONLY`, and where SQLite does not enforce that, [`schema_calls`] does.
//! - JSON results have the JSON subtype, so that they nest in SQLite's JSON functions.
//! - Each function takes exactly the documented numbers of arguments; SQLite refuses others.
//! - A function whose result may exceed the connection's length limit does nothing. Where that shows only
//!   afterwards, the error says that the work is done.
//!
//! # How
//!
//! sqlite-loadable defines the functions. Values and results use SQLite's API directly, as sqlite-loadable
//! reports every error as code 1 and mishandles empty blobs and texts with a NUL. The closures capture
//! nothing, so a registration allocates nothing and nothing leaks when a connection closes.

use std::ffi::{c_char, c_int};

use rusqlite::types::Value;
use rusqlite::{Connection, ffi};
use sqlite_loadable::FunctionFlags;
use sqlite_loadable::ext::{sqlite3_context, sqlite3_value};

use crate::calls::arguments::{Argument, Arguments};
use crate::calls::functions::Output;
use crate::calls::guard::{guarded, reported_code, reported_message};
use crate::calls::schema_calls;
use crate::connection::Caller;
use crate::error::{Error, Result};
use crate::host;

/// `'J'`, the subtype of SQLite's JSON results (<https://www.sqlite.org/json1.html>).
const JSON_SUBTYPE: u32 = 74;
/// `SQLITE_RESULT_SUBTYPE` (3.45): required by newer hosts of a function that sets a subtype, ignored by
/// older ones.
const RESULT_SUBTYPE: i32 = 0x0100_0000;

/// An upper bound of results whose length is bounded: a run of all jobs with the longest error in each step
/// has about half as many bytes. Listings (a deletion with hundreds of dependants, statuses of over a
/// thousand letters) may be longer.
const LONGEST_RESULT: i32 = 100_000;

type Body = fn(&Caller, &Arguments) -> Result<Output>;

/// Defines a function for each number of arguments that it takes.
macro_rules! function {
    ($db:ident, $name:literal, $counts:expr, $body:expr) => {
        for count in $counts {
            let callback = |context: *mut sqlite_loadable::ext::sqlite3_context,
                            values: &[*mut sqlite_loadable::ext::sqlite3_value]| {
                $crate::extension::functions::call($name, $body, context, values);
                Ok(())
            };
            sqlite_loadable::define_scalar_function(
                $db,
                $name,
                count,
                callback,
                $crate::extension::functions::flags(),
            )?;
        }
    };
}
pub(super) use function;

pub(super) fn flags() -> FunctionFlags {
    let known = FunctionFlags::UTF8 | FunctionFlags::DIRECTONLY;
    // SAFETY: any bits are valid for this type; SQLite ignores unknown ones.
    unsafe { FunctionFlags::from_bits_unchecked(known.bits() | RESULT_SUBTYPE) }
}

pub(super) fn call(name: &str, body: Body, context: *mut sqlite3_context, values: &[*mut sqlite3_value]) {
    let context = context.cast::<ffi::sqlite3_context>();
    let outcome = guarded(name, || {
        // SAFETY: SQLite passes a live context, whose connection is open while the function runs.
        let conn = unsafe { Connection::from_handle(ffi::sqlite3_context_db_handle(context)) }?;
        let arguments = values
            .iter()
            // SAFETY: SQLite passes live values.
            .map(|&value| unsafe { argument(value.cast::<ffi::sqlite3_value>()) })
            .collect();
        let caller = Caller::new(conn);
        schema_calls::require(&caller, name)?;
        require_room(&caller)?;
        let output = caller.serve(|caller| body(caller, &Arguments::new(arguments)))?;
        require_told(&caller, &output)?;
        Ok(output)
    });
    // SAFETY: the context is live until this callback returns.
    unsafe {
        match outcome {
            Ok(output) => give(context, &output),
            Err(error) => refuse(context, &error),
        }
    }
}

/// Fails before anything is done if the connection's length limit could prevent returning the result.
fn require_room(caller: &Caller) -> Result<()> {
    let longest = host::longest_value(caller.connection());
    if longest >= LONGEST_RESULT {
        return Ok(());
    }
    Err(Error::new(
        ffi::SQLITE_TOOBIG,
        format!(
            "this connection allows values of {longest} bytes, and the result may have {LONGEST_RESULT}, so nothing was done; raise \
             SQLITE_LIMIT_LENGTH (sqlite3_limit)"
        ),
    ))
}

/// Fails if the result exceeds the connection's length limit, and says that the work is done.
fn require_told(caller: &Caller, output: &Output) -> Result<()> {
    let length = match output {
        Output::Text(text) | Output::Json(text) | Output::Value(Value::Text(text)) => text.len(),
        Output::Integer(_) | Output::Value(_) => 0,
    };
    let longest = host::longest_value(caller.connection());
    if i32::try_from(length).is_ok_and(|length| length <= longest) {
        return Ok(());
    }
    Err(Error::new(
        ffi::SQLITE_TOOBIG,
        format!(
            "it is done, but the result of {length} bytes cannot be told, because this connection allows values of {longest}; raise \
             SQLITE_LIMIT_LENGTH (sqlite3_limit) to be told the next one"
        ),
    ))
}

/// # Safety
///
/// `value` is a value that SQLite passed to the running function.
unsafe fn argument(value: *mut ffi::sqlite3_value) -> Argument {
    // SAFETY: the caller vouches for the value; the text is copied before the value is used again.
    unsafe {
        match ffi::sqlite3_value_type(value) {
            ffi::SQLITE_INTEGER => Argument::Integer(ffi::sqlite3_value_int64(value)),
            ffi::SQLITE_FLOAT => Argument::Real(ffi::sqlite3_value_double(value)),
            ffi::SQLITE_TEXT => {
                let text = ffi::sqlite3_value_text(value);
                let length = usize::try_from(ffi::sqlite3_value_bytes(value)).unwrap_or_default();
                if text.is_null() {
                    // Out of memory while converting from UTF-16.
                    return Argument::Text(None);
                }
                let bytes = std::slice::from_raw_parts(text, length);
                Argument::Text(std::str::from_utf8(bytes).ok().map(str::to_owned))
            }
            ffi::SQLITE_NULL => Argument::Null,
            _ => Argument::Blob,
        }
    }
}

/// # Safety
///
/// `context` is the context of the running function.
unsafe fn give(context: *mut ffi::sqlite3_context, output: &Output) {
    // SAFETY: SQLITE_TRANSIENT makes SQLite copy the text.
    let text = |text: &str| unsafe {
        match c_int::try_from(text.len()) {
            Ok(length) => {
                let start = text.as_ptr().cast::<c_char>();
                ffi::sqlite3_result_text(context, start, length, ffi::SQLITE_TRANSIENT());
            }
            Err(_) => ffi::sqlite3_result_error_code(context, ffi::SQLITE_TOOBIG),
        }
    };
    match output {
        // SAFETY: as above.
        Output::Integer(number) => unsafe { ffi::sqlite3_result_int64(context, *number) },
        Output::Text(content) => text(content),
        Output::Value(value) => match value {
            // SAFETY: as above.
            Value::Integer(number) => unsafe { ffi::sqlite3_result_int64(context, *number) },
            // SAFETY: as above.
            Value::Real(number) => unsafe { ffi::sqlite3_result_double(context, *number) },
            Value::Text(content) => text(content),
            // SAFETY: as above. No function returns a BLOB.
            Value::Null | Value::Blob(_) => unsafe { ffi::sqlite3_result_null(context) },
        },
        Output::Json(content) => {
            text(content);
            // SAFETY: as above.
            unsafe { ffi::sqlite3_result_subtype(context, JSON_SUBTYPE) };
        }
    }
}

/// # Safety
///
/// `context` is the context of the running function.
unsafe fn refuse(context: *mut ffi::sqlite3_context, error: &Error) {
    let message = reported_message(error);
    let length = c_int::try_from(message.len()).unwrap_or(c_int::MAX);
    // SAFETY: SQLite copies the message. The code comes second: setting a message resets the code to SQLITE_ERROR.
    unsafe {
        ffi::sqlite3_result_error(context, message.as_ptr().cast::<c_char>(), length);
        ffi::sqlite3_result_error_code(context, reported_code(error));
    }
}
