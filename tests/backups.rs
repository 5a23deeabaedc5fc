//! Backups from many threads and processes' worth of connections, and their end by interrupt.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use queuekeeper_tests::{answer, open, queue, refusal};
use rusqlite::{Connection, ffi};

fn backups_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .map(|listing| listing.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
        .unwrap_or_default();
    names.retain(|name| name.ends_with(".db"));
    names.sort();
    names
}

/// Rule 4: many writers of one directory. Each backup gets a name of its own, and the catalog lists all of them.
#[test]
fn eight_threads_back_up_into_one_directory() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("q.db");
    drop(queue(&path, 500));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let conn = open(&path);
                for _ in 0..3 {
                    let _: String = answer(&conn, "SELECT queue_backup(NULL, '{\"verify\": \"full\"}')");
                }
            });
        }
    });
    let conn = open(&path);
    assert_eq!(answer::<i64>(&conn, "SELECT count(DISTINCT backup_path) FROM queue_backups()"), 24);
    assert_eq!(backups_in(&directory.path().join("backups")).len(), 24);
    for name in backups_in(&directory.path().join("backups")) {
        let copy = Connection::open(directory.path().join("backups").join(&name)).expect("open");
        assert_eq!(answer::<String>(&copy, "PRAGMA integrity_check"), "ok", "{name}");
    }
    assert_eq!(answer::<i64>(&conn, "SELECT queue_rotate(5)"), 19);
    assert_eq!(backups_in(&directory.path().join("backups")).len(), 5);
}

/// Rule 3: a true snapshot, while threads move money about. Their sum is the same at every commit and only there.
#[test]
fn a_backup_under_load_is_one_commit() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("q.db");
    let conn = queue(&path, 20_000);
    conn.execute_batch(
        "CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER, filler BLOB DEFAULT (zeroblob(3000)));
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
         INSERT INTO account(id, balance) SELECT i, 100 FROM n",
    )
    .expect("accounts");
    let stop = AtomicBool::new(false);
    let (stop, path) = (&stop, path.as_path());
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2).map(|writer| scope.spawn(move || transfer(path, stop, writer))).collect();
        for _ in 0..5 {
            let backup: String = answer(&conn, "SELECT json_extract(queue_backup(), '$.backup_path')");
            let copy = Connection::open(&backup).expect("open");
            assert_eq!(answer::<String>(&copy, "PRAGMA integrity_check"), "ok");
            assert_eq!(answer::<i64>(&copy, "SELECT sum(balance) FROM account"), 50_000, "{backup}");
        }
        stop.store(true, Ordering::Relaxed);
        let commits: u32 = writers.into_iter().map(|writer| writer.join().expect("writer")).sum();
        assert!(commits > 0, "the writers wrote nothing, so nothing was proved");
    });
}

fn transfer(path: &Path, stop: &AtomicBool, writer: u32) -> u32 {
    let conn = Connection::open(path).expect("open");
    conn.execute_batch("PRAGMA synchronous=OFF").expect("pragma");
    let (mut from, mut commits) = (writer, 0);
    while !stop.load(Ordering::Relaxed) {
        from = (from * 37 + 11) % 500;
        let to = (from + 251) % 500;
        let moved = conn.execute_batch(&format!(
            "BEGIN IMMEDIATE;
             UPDATE account SET balance = balance - 7 WHERE id = {from} + 1;
             UPDATE account SET balance = balance + 7 WHERE id = {to} + 1;
             COMMIT"
        ));
        commits += u32::from(moved.is_ok());
    }
    commits
}

/// Rule 6: an interrupt ends the work at once, with its code, and nothing is left behind.
#[test]
fn an_interrupt_ends_a_backup_and_leaves_nothing() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("q.db");
    let conn = open(&path);
    conn.execute_batch(
        "PRAGMA synchronous=OFF; CREATE TABLE t(x);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)
         INSERT INTO t SELECT randomblob(1000000) FROM n",
    )
    .expect("fill");
    let handle = conn.get_interrupt_handle();
    let started = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(60));
            handle.interrupt();
        });
        let (code, message) = refusal(&conn, "SELECT queue_backup(NULL, '{\"verify\": \"full\"}')");
        assert_eq!(code, ffi::SQLITE_INTERRUPT, "{message}");
    });
    assert!(started.elapsed() < Duration::from_secs(30), "an interrupt that does nothing");
    assert!(!directory.path().join("backups").exists(), "the directory was made for nothing");
    let _: String = answer(&conn, "SELECT queue_backup()");
}
