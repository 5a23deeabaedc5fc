//! JSON as it is kept and read here: as text, in one order of keys, up to bounds.

pub mod bounded;
pub mod canonical;
pub mod object;
