//! Shared libraries: those that are in the process, and those of the system.

use std::ffi::{CStr, OsStr};

/// What to call the program's own symbols.
pub const PROGRAM: &str = "the program";

/// The usual names of SQLite, the likelier first.
#[cfg(target_os = "macos")]
pub const NAMES: &[&str] = &["libsqlite3.dylib", "libsqlite3.0.dylib", "/usr/lib/libsqlite3.dylib"];
/// The usual names of SQLite, the likelier first.
#[cfg(windows)]
pub const NAMES: &[&str] = &["sqlite3.dll", "winsqlite3.dll"];
/// The usual names of SQLite, the likelier first. `libsqlite3.so` is there where SQLite's headers are installed, or on Android.
#[cfg(not(any(target_os = "macos", windows)))]
pub const NAMES: &[&str] = &["libsqlite3.so.0", "libsqlite3.so"];

#[cfg(unix)]
use libloading::os::unix as native;
#[cfg(windows)]
use libloading::os::windows as native;

/// A library that stays in the process.
pub struct Library(std::mem::ManuallyDrop<native::Library>);

impl Library {
    fn kept(library: native::Library) -> Self {
        Self(std::mem::ManuallyDrop::new(library))
    }

    /// Where a function of the library is.
    pub fn address(&self, name: &CStr) -> Option<usize> {
        // SAFETY: only the address is taken; nothing is called or read through this type.
        let symbol = unsafe { self.0.get::<*mut std::ffi::c_void>(name.to_bytes_with_nul()) };
        symbol.ok().map(|symbol| symbol.as_raw_ptr().expose_provenance()).filter(|address| *address != 0)
    }
}

/// The symbols that the program itself offers, with those of the libraries that it was linked with.
pub fn program() -> Option<Library> {
    #[cfg(unix)]
    let library = native::Library::this();
    #[cfg(windows)]
    let library = native::Library::this().ok()?;
    Some(Library::kept(library))
}

/// A library that is in the process already.
#[cfg(unix)]
pub fn loaded(name: &str) -> Option<Library> {
    let flags = native::RTLD_NOW | native::RTLD_LOCAL | libc::RTLD_NOLOAD;
    // SAFETY: what is in the process already has run its initializers.
    unsafe { native::Library::open(Some(name), flags) }.ok().map(Library::kept)
}

/// A library that is in the process already.
#[cfg(windows)]
pub fn loaded(name: &str) -> Option<Library> {
    native::Library::open_already_loaded(name).ok().map(Library::kept)
}

/// Loads a library, or says why that failed.
pub fn load(name: &OsStr) -> Result<Library, String> {
    #[cfg(unix)]
    // SAFETY: initializers of a SQLite do nothing that this process could not bear; who names another library is trusted.
    let library = unsafe { native::Library::open(Some(name), native::RTLD_NOW | native::RTLD_LOCAL) };
    #[cfg(windows)]
    // SAFETY: as above. The current directory is not searched: anybody may have put a file of that name there.
    let library = unsafe { native::Library::load_with_flags(name, native::LOAD_LIBRARY_SEARCH_DEFAULT_DIRS) };
    library.map(Library::kept).map_err(|error| error.to_string())
}
