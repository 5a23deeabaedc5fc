//! The libraries that are loaded in this process, and the symbols that they export.
//!
//! # Promise
//!
//! [`each`] visits them all, those included whose file was deleted, replaced or loaded twice under two names, and whose symbols
//! nobody else can see (`RTLD_LOCAL`). Nothing is loaded, no file is opened, no code of theirs runs. While one is visited it is
//! not unloaded. [`stay`] keeps this very library from being unloaded; where the linker has marked it so (see build.rs), nothing is left to do.

#[cfg(all(unix, not(target_vendor = "apple")))]
mod elf;
#[cfg(all(any(test, feature = "fuzzing"), unix, not(target_vendor = "apple")))]
pub use elf::find_in;
#[cfg(all(unix, not(target_vendor = "apple")))]
pub use elf::{Image, each, stay};

#[cfg(target_vendor = "apple")]
mod macho;
#[cfg(target_vendor = "apple")]
pub use macho::{Image, each, stay};

#[cfg(windows)]
mod modules;
#[cfg(windows)]
pub use modules::{Image, each, stay};
