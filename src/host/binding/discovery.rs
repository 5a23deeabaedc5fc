//! Finds the SQLite to run on for callers of the C ABI.
//!
//! # Promise
//!
//! On the first call through the C ABI, if neither this copy of the library nor another has bound the
//! process:
//!
//! 1. the SQLite in the process: the program's own symbols, or a libsqlite3 under one of its usual names. If
//!    these are two different ones, it is ambiguous and both are refused;
//! 2. else the system's libsqlite3, which is then loaded;
//! 3. else the library that the environment variable `QUEUEKEEPER_SQLITE` names;
//! 4. else an error that says so.
//!
//! No SQLite is loaded for a file that this process already has open: whoever opened it uses another SQLite
//! that cannot be found from here, such as a static copy inside a language's runtime. This is checked before
//! anything is bound.
//!
//! # How
//!
//! SQLite passes its API table only to extensions. So one is registered as an auto-extension, a connection to
//! `:memory:` calls it, and it is cancelled. Libraries stay loaded for the life of the process.
//!
//! Loading a library and opening a connection run others' code: initializers, and the program's
//! auto-extensions, which may fork, use the library, or wait for a thread that does. So no lock is held
//! meanwhile. Several threads may search at once; the first result counts. Code that runs within a search
//! cannot start another.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::{OsString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr;
use std::sync::Mutex;

use rusqlite::ffi;

use super::libraries::{self, Library, PROGRAM};
use super::one_sqlite;
use crate::error::{Error, Result};
use crate::host::threads::lock;

/// Names a SQLite if neither the process nor the system has one.
const VARIABLE: &str = "QUEUEKEEPER_SQLITE";

thread_local! {
    static SEARCHING: Cell<bool> = const { Cell::new(false) };
    /// The table passed to this thread.
    static CAUGHT: Cell<*mut ffi::sqlite3_api_routines> = const { Cell::new(ptr::null_mut()) };
}

/// How many threads wait for the table of each SQLite, by its anchor.
pub(in crate::host) type Askers = BTreeMap<usize, usize>;

pub(in crate::host) static ASKERS: Mutex<Askers> = Mutex::new(BTreeMap::new());

/// Binds the process unless it is bound. `file` is the database that will be opened next.
pub fn ensure(file: Option<&Path>) -> Result<()> {
    struct Ended;
    impl Drop for Ended {
        fn drop(&mut self) {
            SEARCHING.set(false);
        }
    }

    if super::adopt()? {
        return Ok(());
    }
    if SEARCHING.replace(true) {
        return Err(Error::new(
            ffi::SQLITE_MISUSE,
            "this thread is looking for a SQLite to run on, and this call comes from an auto-extension or an initializer that runs \
             meanwhile; call qk_bind() with the API table there, or before the first qk_open()",
        ));
    }
    let _ended = Ended;
    let table = search(file);
    // Another thread may have bound the process meanwhile, and opened the file.
    if super::is_bound() {
        return Ok(());
    }
    // SAFETY: this SQLite has just handed the table to an extension.
    unsafe { super::bind(table?) }
}

fn search(file: Option<&Path>) -> Result<*mut ffi::sqlite3_api_routines> {
    let found = match present()? {
        Some(found) => found,
        None => {
            if let Some(file) = file {
                one_sqlite::refuse_open(file)?;
            }
            load()?
        }
    };
    if let Some(file) = file {
        one_sqlite::refuse_shared(file, found.anchor)?;
    }
    found.table()
}

/// A candidate.
struct Found {
    name: String,
    library: Library,
    /// The address of one of its functions, which identifies the copy.
    anchor: usize,
}

impl Found {
    fn new(name: String, library: Library) -> Option<Self> {
        let anchor = library.address(c"sqlite3_libversion")?;
        Some(Self { name, library, anchor })
    }
}

fn present() -> Result<Option<Found>> {
    let program = libraries::program().and_then(|library| Found::new(PROGRAM.to_owned(), library));
    let named = libraries::NAMES.iter().find_map(|name| Found::new((*name).to_owned(), libraries::loaded(name)?));
    match (program, named) {
        (Some(program), Some(named)) if program.anchor != named.anchor => Err(Error::usage(format!(
            "this process has two copies of SQLite, {PROGRAM}'s own and {}; two SQLites that share files destroy each \
             other's locks, so say which one to use: call qk_bind() with its API table, or load queuekeeper into it as \
             an extension",
            named.name
        ))),
        (program, named) => Ok(program.or(named)),
    }
}

fn load() -> Result<Found> {
    for name in libraries::NAMES {
        let found = libraries::load(name.as_ref()).ok().and_then(|library| Found::new((*name).to_owned(), library));
        if let Some(found) = found {
            return Ok(found);
        }
    }
    let Some(named) = std::env::var_os(VARIABLE).filter(|named| !named.is_empty()) else {
        return Err(Error::usage(format!(
            "there is no SQLite to run on: none in this process, and no {} on this system; install it, name a SQLite \
             library in the environment variable {VARIABLE}, call qk_bind(), or load queuekeeper into a SQLite as an \
             extension",
            libraries::NAMES.join(" or ")
        )));
    };
    load_named(&named)
}

fn load_named(named: &OsString) -> Result<Found> {
    let shown = named.to_string_lossy().into_owned();
    let library = libraries::load(named).map_err(|reason| {
        Error::usage(format!("cannot load '{shown}', which {VARIABLE} names ({reason}); name a SQLite library there"))
    })?;
    Found::new(shown.clone(), library)
        .ok_or_else(|| Error::usage(format!("'{shown}', which {VARIABLE} names, is no SQLite library")))
}

type Entry = unsafe extern "C" fn(*mut ffi::sqlite3, *mut *mut c_char, *mut ffi::sqlite3_api_routines) -> c_int;
type Initialize = unsafe extern "C" fn() -> c_int;
type Register = unsafe extern "C" fn(Entry) -> c_int;
type Open = unsafe extern "C" fn(*const c_char, *mut *mut ffi::sqlite3) -> c_int;
type Close = unsafe extern "C" fn(*mut ffi::sqlite3) -> c_int;

unsafe extern "C" fn catch(
    _db: *mut ffi::sqlite3,
    _message: *mut *mut c_char,
    api: *mut ffi::sqlite3_api_routines,
) -> c_int {
    CAUGHT.set(api);
    ffi::SQLITE_OK
}

impl Found {
    fn function(&self, name: &std::ffi::CStr) -> Result<*mut c_void> {
        let address = self.library.address(name).map(ptr::with_exposed_provenance_mut::<c_void>);
        address.ok_or_else(|| {
            Error::usage(format!("the SQLite of {} has no function {}", self.name, name.to_string_lossy()))
        })
    }

    fn begin_asking(&self, register: impl FnOnce() -> c_int) {
        let mut askers = lock(&ASKERS);
        register();
        *askers.entry(self.anchor).or_default() += 1;
    }

    /// The last thread cancels the registration, which all share.
    fn end_asking(&self, cancel: impl FnOnce() -> c_int) {
        let mut askers = lock(&ASKERS);
        match askers.get_mut(&self.anchor) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                askers.remove(&self.anchor);
                cancel();
            }
        }
    }

    fn table(&self) -> Result<*mut ffi::sqlite3_api_routines> {
        let initialize = self.function(c"sqlite3_initialize")?;
        let register = self.function(c"sqlite3_auto_extension")?;
        let cancel = self.function(c"sqlite3_cancel_auto_extension")?;
        let (open, close) = (self.function(c"sqlite3_open")?, self.function(c"sqlite3_close")?);
        // SAFETY: these functions have these signatures in every SQLite; the registered entry has the one
        // that SQLite calls it with.
        unsafe {
            let initialize = std::mem::transmute::<*mut c_void, Initialize>(initialize);
            let register = std::mem::transmute::<*mut c_void, Register>(register);
            let cancel = std::mem::transmute::<*mut c_void, Register>(cancel);
            let open = std::mem::transmute::<*mut c_void, Open>(open);
            let close = std::mem::transmute::<*mut c_void, Close>(close);
            let mut db = ptr::null_mut();
            // Another thread's registration may have run on any connection of this thread.
            CAUGHT.set(ptr::null_mut());
            // Else `register` would run a program's initialization hooks under the lock.
            initialize();
            self.begin_asking(|| register(catch));
            open(c":memory:".as_ptr(), &raw mut db);
            self.end_asking(|| cancel(catch));
            close(db);
        }
        let table = CAUGHT.replace(ptr::null_mut());
        if table.is_null() {
            return Err(Error::usage(format!(
                "the SQLite of {} hands out no API table: it was built without extension loading, or another \
                 auto-extension fails; use a SQLite that can load extensions",
                self.name
            )));
        }
        Ok(table)
    }
}
