//! What both doors offer: each operation once, from the caller's arguments to a result.
//!
//! # Promise
//!
//! The SQL function `queue_X` and the C function `qk_X` are one body in [`functions`], the table `queue_X` and the C function
//! `qk_X` one description in [`rows`]. So both doors take the same arguments, give the same answers, and refuse with the
//! same words and codes; a door only converts between its callers' values and [`arguments`], and between results and what its
//! callers take.

pub mod arguments;
pub mod direct;
pub mod functions;
pub mod guard;
pub mod rows;
pub mod table;
