//! What the tests share: the library, and queues to use it on.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

/// The library under test: `QUEUEKEEPER_LIBRARY`, else the release build beside this crate.
pub fn library() -> PathBuf {
    if let Some(path) = std::env::var_os("QUEUEKEEPER_LIBRARY") {
        return PathBuf::from(path);
    }
    let name = libloading::library_filename("queuekeeper");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release").join(name);
    assert!(path.exists(), "{} is missing; run cargo build --release first", path.display());
    path
}

/// Loads the library into a connection.
pub fn load(conn: &Connection) -> rusqlite::Result<()> {
    // SAFETY: the library is the one under test.
    unsafe {
        conn.load_extension_enable()?;
        let loaded = conn.load_extension(library(), None::<&str>);
        conn.load_extension_disable()?;
        loaded
    }
}

/// A connection to a database with the library loaded.
pub fn open(path: &Path) -> Connection {
    let conn = Connection::open(path).expect("open");
    load(&conn).expect("load");
    conn
}

/// A queue with this many tasks at `path`, in WAL mode.
pub fn queue(path: &Path, tasks: u32) -> Connection {
    let conn = open(path);
    conn.execute_batch(include_str!("../../sql/schema.sql")).expect("schema");
    conn.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
         INSERT INTO task_queue(type, payload) SELECT 'render', json_object('format', 'png', 'n', i) FROM n",
        [tasks],
    )
    .expect("tasks");
    conn
}

/// The answer of a statement with one value.
pub fn answer<T: rusqlite::types::FromSql>(conn: &Connection, sql: &str) -> T {
    conn.query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// The error of a statement: its primary result code and its message.
pub fn refusal(conn: &Connection, sql: &str) -> (i32, String) {
    match conn.query_row(sql, [], |_| Ok(())) {
        Err(rusqlite::Error::SqliteFailure(failure, message)) => {
            (failure.extended_code & 0xff, message.unwrap_or_default())
        }
        other => panic!("{sql}: {other:?}"),
    }
}
