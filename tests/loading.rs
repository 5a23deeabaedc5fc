//! The entry point: what it accepts, and what it refuses in words (rules 1 and 6).
//!
//! Hosts that are too old or built differently are made from the real one: a copy of its API table is, to the library, the
//! table of another SQLite, and slots of the copy can be changed at will.

use std::ffi::{CStr, c_char, c_int};
use std::sync::Mutex;

use queuekeeper_tests::{answer, library, load};
use rusqlite::{Connection, ffi};

/// The table as of SQLite 3.40: newer ones only add to its end.
type Api = sqlite3ext_sys::sqlite3_api_routines;
type Init = unsafe extern "C" fn(*mut ffi::sqlite3, *mut *mut c_char, *mut Api) -> c_int;

/// The same, in the words of rusqlite.
type SqliteInit =
    unsafe extern "C" fn(*mut ffi::sqlite3, *mut *mut c_char, *const ffi::sqlite3_api_routines) -> c_int;

static TABLE: Mutex<usize> = Mutex::new(0);

unsafe extern "C" fn remember(_db: *mut ffi::sqlite3, _message: *mut *mut c_char, api: *mut Api) -> c_int {
    *TABLE.lock().unwrap() = api as usize;
    ffi::SQLITE_OK
}

/// A copy of the API table that this process's SQLite hands to extensions.
fn copy_of_table() -> Box<Api> {
    // SAFETY: the callback has the signature that SQLite calls it with, and is cancelled again.
    unsafe {
        let entry = std::mem::transmute::<Init, SqliteInit>(remember as Init);
        ffi::sqlite3_auto_extension(Some(entry));
        let conn = Connection::open_in_memory().expect("open");
        ffi::sqlite3_cancel_auto_extension(Some(entry));
        drop(conn);
        Box::new(std::ptr::read(*TABLE.lock().unwrap() as *const Api))
    }
}

/// Calls the entry point with `table`; its message when it refuses.
fn offer(table: *mut Api) -> Result<(), (c_int, String)> {
    let conn = Connection::open_in_memory().expect("open");
    // SAFETY: the symbol has this signature, the arguments are what it asks for.
    unsafe {
        let loaded = libloading::Library::new(library()).expect("dlopen");
        let init = loaded.get::<Init>(b"sqlite3_queuekeeper_init").expect("entry point");
        let mut message = std::ptr::null_mut();
        let code = init(conn.handle(), &mut message, table);
        std::mem::forget(loaded);
        if code == ffi::SQLITE_OK {
            return Ok(());
        }
        assert!(!message.is_null() || table.is_null(), "a refusal without words");
        let text = match message.is_null() {
            true => String::new(),
            false => CStr::from_ptr(message).to_string_lossy().into_owned(),
        };
        ffi::sqlite3_free(message.cast());
        Err((code, text))
    }
}

/// Rule 1: one SQLite per process. The first goes on working after each refusal.
#[test]
fn every_other_sqlite_is_refused_and_the_first_works_on() {
    let first = Connection::open_in_memory().expect("open");
    load(&first).expect("load");
    let works = || assert_eq!(answer::<String>(&first, "SELECT queue_version()"), "0.1.0");
    works();

    let (code, text) = offer(Box::into_raw(copy_of_table())).unwrap_err();
    assert_eq!(code, ffi::SQLITE_ERROR);
    assert!(text.contains("one") || text.contains("another copy of SQLite"), "{text}");
    assert_eq!(text.matches(rusqlite::version()).count(), 2, "both versions are named: {text}");
    works();

    let mut old = copy_of_table();
    unsafe extern "C" fn old_number() -> c_int {
        3_036_000
    }
    unsafe extern "C" fn old_text() -> *const c_char {
        c"3.36.0".as_ptr()
    }
    old.libversion_number = Some(old_number);
    old.libversion = Some(old_text);
    let (_, text) = offer(Box::into_raw(old)).unwrap_err();
    assert!(text.contains("3.36.0") && text.contains("3.37.0"), "{text}");
    works();

    let (code, _) = offer(std::ptr::null_mut()).unwrap_err();
    assert_eq!(code, ffi::SQLITE_ERROR);
    works();

    load(&first).expect("the same SQLite may load it again");
    works();
}

/// Loading, closing and loading again must not leave SQLite with pointers into an unloaded library.
#[test]
fn a_hundred_connections_in_turn() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("q.db");
    for round in 0..100 {
        let conn = queuekeeper_tests::open(&path);
        conn.execute_batch("CREATE TABLE IF NOT EXISTS t(x); INSERT INTO t VALUES (1)").expect("insert");
        if round % 20 == 0 {
            let backup: String = answer(&conn, "SELECT queue_backup()");
            assert!(backup.contains("\"backup_type\":\"full\""), "{backup}");
        }
        conn.close().expect("close");
    }
}
