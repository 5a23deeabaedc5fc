//! Pre-generated bindings to `sqlite3ext.h`, the header for SQLite's loadable
//! extensions: the types (`sqlite3_api_routines`, `sqlite3_module`,
//! `sqlite3_index_info`, ...) and the `SQLITE_*` constants, and nothing else.
//!
//! # Why this crate exists
//!
//! `sqlite-loadable` depends on the crates.io crate `sqlite3ext-sys` 0.0.1,
//! whose build script runs bindgen (so every build needs libclang) and compiles
//! a complete copy of SQLite that a loadable extension never calls: an
//! extension reaches SQLite only through the `sqlite3_api_routines` table that
//! the host program passes to its entry point. This crate has the same name and
//! version, and takes its place through
//!
//! ```toml
//! [patch.crates-io]
//! sqlite3ext-sys = { path = "sqlite3ext-sys" }
//! ```
//!
//! It has no build script and no dependencies. Unlike the original it declares
//! no `sqlite3_*` functions, since there is no SQLite here to link them to.
//!
//! # Where the bindings come from
//!
//! `src/bindings.rs` was generated with bindgen-cli 0.72.1 (libclang 18.1.1)
//! from the `sqlite3.h` and `sqlite3ext.h` of SQLite 3.40.1, as packaged by
//! Debian 12 (`libsqlite3-dev`). To generate it again, run
//! `./regenerate.sh DIR`, `DIR` being the directory that holds both headers.
//! It amounts to
//!
//! ```sh
//! cargo install bindgen-cli --version 0.72.1 --locked
//! mkdir stub && echo 'typedef void *va_list;' > stub/stdarg.h
//! bindgen DIR/sqlite3ext.h \
//!     --allowlist-type 'sqlite3.*' --allowlist-var 'SQLITE_.*' \
//!     --no-doc-comments --no-layout-tests \
//!     --rust-target 1.70 --rust-edition 2021 \
//!     --output src/bindings.rs -- -I stub -I DIR
//! ```
//!
//! # Portability
//!
//! The one file serves every platform. SQLite's headers use only types that
//! bindgen renders through `std::os::raw`, apart from `va_list`, which differs
//! from one ABI to the next. The stub `stdarg.h` above makes it a plain
//! `void *`. The members of `sqlite3_api_routines` that take a `va_list`
//! (`vmprintf`, `xvsnprintf`, `str_vappendf`) therefore have the right size and
//! place in the table, but must not be called.

#[allow(
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    dead_code,
    clippy::all
)]
mod bindings;

pub use bindings::*;
