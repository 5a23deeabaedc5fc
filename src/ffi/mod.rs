//! The second door: the C ABI that `include/queuekeeper.h` declares.
//!
//! # Promise
//!
//! Whatever a C program passes, apart from a pointer into nowhere, it gets a result or an error: NULL, a handle that was
//! closed or never was one, a text that is not UTF-8 or was freed already, a call from a callback, from another thread, or after a
//! fork. Nothing unwinds into C. Out-parameters are written on success only.
//!
//! This door only converts: C's arguments into those that [`calls`](crate::calls) take, and its results into JSON text and
//! numbers. The functions have the names, arguments and answers of the SQL functions and tables.
//!
//! # How
//!
//! | file | |
//! | --- | --- |
//! | [`handle`] | opening, closing and interrupting handles |
//! | [`operations`] | the functions; their comments are the header's. Generated from `src/calls/operations.toml` |
//! | [`boundary`] | what happens around each call: the handle, the panic guard, the message, the result code |
//! | [`registry`] | the handles: which are open, whose turn it is |
//! | [`pointers`] | all that is done with C's pointers |
//! | [`texts`] | the texts that C was given, until it frees them |
//! | [`forks`] | what a fork waits for |

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
