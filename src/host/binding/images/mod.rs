//! The libraries loaded in this process, and their exported symbols.
//!
//! # Promise
//!
//! [`each`] visits all of them, even if the file was deleted, replaced or loaded twice under two names, and
//! if no one else sees the symbols (`RTLD_LOCAL`). It loads nothing, opens no file, and runs none of their
//! code. A library is not unloaded while it is visited. [`stay`] keeps this library from being unloaded;
//! where the linker flag does (see build.rs), it has nothing to do.

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
