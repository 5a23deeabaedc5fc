//! The operations that both doors offer, each defined once.
//!
//! # Promise
//!
//! The SQL function or table `queue_X` and the C function `qk_X` come from one declaration in
//! `operations.toml`, which generates [`operations`] and both doors' lists. So both take the same arguments
//! and return the same results, messages and codes. A door only converts its callers' values to
//! [`arguments`], and results to its callers' types.

pub mod arguments;
pub mod functions;
pub mod guard;
pub mod operations;
pub mod rows;
pub mod schema_calls;
pub mod table;
