//! The SQLite that hosts the library, and its process.
//!
//! [`binding`] decides which SQLite that is. The parts of its API that rusqlite does not wrap are
//! [`inspect`], [`handlers`], [`auto_extensions`], [`statements`] and [`disk_errors`]; [`unnamed_files`] is the VFS of
//! databases without a name. Of the process there are the [`allocator`], [`threads`] and [`forks`].

#![allow(unsafe_code)]

pub mod allocator;
pub mod auto_extensions;
pub mod binding;
pub mod disk_errors;
pub mod forks;
mod handlers;
mod inspect;
mod statements;
pub mod threads;
pub mod unnamed_files;

use std::ffi::CStr;

#[cfg(all(any(test, feature = "fuzzing"), unix, not(target_vendor = "apple")))]
pub use self::binding::find_in;
pub use self::binding::{
    adopt, bind, bind_as_told, discovery, has_progress_handler, one_sqlite, process, sqlite_version,
};
pub use self::handlers::{interruptible, while_busy};
pub use self::inspect::{
    Transaction, alias, data_version, database_file, has_moved, has_violations, is_immutable, is_same, is_unlocked,
    locks_alone, longest_value, transaction, transaction_on, vfs_name,
};
pub use self::statements::{Running, running};

/// The schema name of the database that all functions work on.
pub const MAIN: &CStr = c"main";
