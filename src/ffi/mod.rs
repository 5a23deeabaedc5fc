//! The second door: the C ABI that `include/queuekeeper.h` declares.
//!
//! # Promise
//!
//! Whatever a C program passes, apart from a wild pointer, it gets a result or an error: for NULL, a handle
//! that is closed or never was one, a text that is not UTF-8 or freed already, a call from a callback, from
//! another thread, or after a fork. Nothing unwinds into C. Out-parameters are written on success only.
//!
//! This door only converts: C's arguments into those of [`calls`](crate::calls), and results into JSON text
//! and numbers. The functions mirror the SQL functions and tables.
//!
//! # How
//!
//! | file | |
//! | --- | --- |
//! | [`handle`] | opens, closes and interrupts handles |
//! | [`operations`] | the functions, whose comments are the header's; generated from `src/calls/operations.toml` |
//! | [`boundary`] | wraps each call: handle, panic guard, message, result code |
//! | [`messages`] | the error messages, per handle and per thread |
//! | [`registry`] | the open handles, and which thread may use each |
//! | [`pointers`] | reads and writes through C's pointers |
//! | [`texts`] | the texts handed to C and not freed yet |
//! | [`forks`] | the locks held during a fork |

#![allow(unsafe_code)]

mod boundary;
mod forks;
pub mod handle;
mod messages;
pub mod operations;
pub mod pointers;
mod registry;
mod texts;

#[cfg(test)]
mod tests {
    #[test]
    fn the_checked_in_header_is_the_generated_one() {
        let generated = include_str!(concat!(env!("OUT_DIR"), "/queuekeeper.h"));
        let checked_in = include_str!("../../include/queuekeeper.h");
        assert!(generated == checked_in, "include/queuekeeper.h is stale; run scripts/header and commit the result");
    }
}
