//! Shared libraries: those in the process, and the system's.

use std::ffi::{CStr, OsStr};

/// The name for the program's own symbols.
pub const PROGRAM: &str = "the program";

/// SQLite's usual names, likeliest first.
#[cfg(target_os = "macos")]
pub const NAMES: &[&str] = &["libsqlite3.dylib", "libsqlite3.0.dylib", "/usr/lib/libsqlite3.dylib"];
/// SQLite's usual names, likeliest first.
#[cfg(windows)]
pub const NAMES: &[&str] = &["sqlite3.dll", "winsqlite3.dll"];
/// SQLite's usual names, likeliest first. `libsqlite3.so` exists where SQLite's headers are installed, and on
/// Android.
#[cfg(not(any(target_os = "macos", windows)))]
pub const NAMES: &[&str] = &["libsqlite3.so.0", "libsqlite3.so"];

#[cfg(unix)]
use libloading::os::unix as native;
#[cfg(windows)]
use libloading::os::windows as native;

/// A library that is never unloaded.
pub struct Library(std::mem::ManuallyDrop<native::Library>);

impl Library {
    fn kept(library: native::Library) -> Self {
        Self(std::mem::ManuallyDrop::new(library))
    }

    /// The address of a function.
    pub fn address(&self, name: &CStr) -> Option<usize> {
        // SAFETY: only the address is taken; nothing is called or read through this type.
        let symbol = unsafe { self.0.get::<*mut std::ffi::c_void>(name.to_bytes_with_nul()) };
        symbol.ok().map(|symbol| symbol.as_raw_ptr().expose_provenance()).filter(|address| *address != 0)
    }
}

/// The symbols of the program and the libraries linked to it.
pub fn program() -> Option<Library> {
    #[cfg(unix)]
    let library = native::Library::this();
    #[cfg(windows)]
    let library = native::Library::this().ok()?;
    Some(Library::kept(library))
}

/// A library that is already in the process.
#[cfg(unix)]
pub fn loaded(name: &str) -> Option<Library> {
    let flags = native::RTLD_NOW | native::RTLD_LOCAL | libc::RTLD_NOLOAD;
    // SAFETY: a library in the process has run its initializers.
    unsafe { native::Library::open(Some(name), flags) }.ok().map(Library::kept)
}

/// A library that is already in the process.
#[cfg(windows)]
pub fn loaded(name: &str) -> Option<Library> {
    native::Library::open_already_loaded(name).ok().map(Library::kept)
}

/// Loads a library; the error is the system's.
pub fn load(name: &OsStr) -> Result<Library, String> {
    #[cfg(unix)]
    // SAFETY: SQLite's initializers are harmless; whoever names another library is trusted.
    let library = unsafe { native::Library::open(Some(name), native::RTLD_NOW | native::RTLD_LOCAL) };
    #[cfg(windows)]
    // SAFETY: as above. The current directory is not searched: anybody may have put a file of that name
    // there.
    let library = unsafe { native::Library::load_with_flags(name, native::LOAD_LIBRARY_SEARCH_DEFAULT_DIRS) };
    library.map(Library::kept).map_err(|error| error.to_string())
}
