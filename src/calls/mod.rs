//! What both doors offer: each operation once, from the caller's arguments to a result.
//!
//! # Promise
//!
//! The SQL function or table `queue_X` and the C function `qk_X` are one declaration in `operations.toml`, from which [`operations`] and both
//! doors' lists are made. So both doors take the same arguments, give the same answers, and refuse with the
//! same words and codes; a door only converts between its callers' values and [`arguments`], and between results and what its
//! callers take.

pub mod arguments;
pub mod direct;
pub mod functions;
pub mod guard;
pub mod operations;
pub mod rows;
pub mod table;
