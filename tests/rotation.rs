//! Rotation and its dry run, as SQL sees them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use queuekeeper_tests::{answer, queue, refusal};
use rusqlite::{Connection, ffi};

/// A queue with these series of backups, oldest first; `-` is a backup without a name.
fn with_backups(directory: &Path, series: &[&str]) -> (Connection, Vec<PathBuf>) {
    let conn = queue(&directory.join("q.db"), 10);
    let backup = |name: &&str| {
        let options = if *name == "-" { String::from("{}") } else { format!("{{\"name\": \"{name}\"}}") };
        std::thread::sleep(std::time::Duration::from_millis(2));
        let call = format!("SELECT json_extract(queue_backup(NULL, '{options}'), '$.backup_path')");
        PathBuf::from(answer::<String>(&conn, &call))
    };
    let paths = series.iter().map(backup).collect();
    (conn, paths)
}

/// The dry run: path, decision, reasons.
fn plan(conn: &Connection, policy: &str) -> Vec<(PathBuf, String, String)> {
    let mut statement =
        conn.prepare("SELECT backup_path, decision, reasons FROM queue_rotation(?1)").expect("prepare");
    let rows = statement
        .query_map([policy], |row| Ok((PathBuf::from(row.get::<_, String>(0)?), row.get(1)?, row.get(2)?)))
        .expect("query");
    rows.collect::<Result<_, _>>().expect("rows")
}

/// Every file of a directory and below with its content.
fn content(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).expect("list").flatten() {
        found.insert(entry.path(), std::fs::read(entry.path()).expect("read"));
    }
    found
}

#[test]
fn the_dry_run_says_what_rotation_then_does_and_writes_nothing() {
    for policy in [
        "2",
        "0/0/1",
        "7/4/12",
        r#"{"name": "daily", "keep_last": 1}"#,
        r#"{"keep_yearly": 1, "max_total_bytes": 1}"#,
        r#"{"max_age_days": 1}"#,
    ] {
        let directory = tempfile::tempdir().expect("directory");
        let (conn, paths) = with_backups(directory.path(), &["daily", "-", "daily", "daily", "-"]);
        let _: i64 = answer(&conn, "SELECT queue_rotate(9)");
        let backups = directory.path().join("backups");
        std::fs::remove_file(backups.join("backup_manifest.json.lock")).expect("the lock file is there");
        let before = content(&backups);
        let planned = plan(&conn, policy);
        assert_eq!(content(&backups), before, "{policy}");
        let listed: Vec<&PathBuf> = planned.iter().map(|(path, ..)| path).collect();
        assert_eq!(listed, paths.iter().rev().collect::<Vec<_>>(), "newest first");
        assert!(planned.iter().all(|(_, _, reasons)| !reasons.is_empty()));

        let deleted = planned.iter().filter(|(_, decision, _)| decision == "delete").count();
        let rotate = format!("SELECT queue_rotate('{policy}')");
        assert_eq!(answer::<i64>(&conn, &rotate), i64::try_from(deleted).expect("few"), "{policy}");
        for (path, decision, _) in planned {
            assert_eq!(path.exists(), decision == "keep", "{policy}: {}", path.display());
        }
        assert_eq!(answer::<i64>(&conn, &rotate), 0, "{policy}");
    }
}

#[test]
fn series_rotate_by_themselves() {
    let directory = tempfile::tempdir().expect("directory");
    let (conn, paths) = with_backups(directory.path(), &["daily", "weekly", "daily", "weekly", "daily"]);
    assert_eq!(answer::<i64>(&conn, r#"SELECT queue_rotate('{"name": "daily", "keep_last": 1}')"#), 2);
    let left: Vec<bool> = paths.iter().map(|path| path.exists()).collect();
    assert_eq!(left, [false, true, false, true, true]);
    let (_, message) = refusal(&conn, r#"SELECT queue_rotate('{"name": "a/b", "keep_last": 1}')"#);
    assert!(message.contains("'a/b'"), "{message}");
}

/// Rule 5: what was lost or changed by others neither counts nor goes, so it never pushes a good backup out.
#[test]
fn backups_that_are_not_as_the_catalog_says_do_not_count() {
    let directory = tempfile::tempdir().expect("directory");
    let (conn, paths) = with_backups(directory.path(), &["-"; 6]);
    std::fs::remove_file(&paths[5]).expect("remove");
    std::fs::write(&paths[4], b"cut short").expect("write");
    let manifest = directory.path().join("backups/backup_manifest.json");
    let text = std::fs::read_to_string(&manifest).expect("read");
    let name = |path: &PathBuf| path.file_name().expect("name").to_string_lossy().into_owned();
    let changed = text.replace(&name(&paths[3]), "somebody_elses.db");
    std::fs::write(&manifest, changed).expect("write");

    // The file whose entry bears another name now is nobody's backup but by its name, which has no more than the second.
    let (adopted, planned): (Vec<_>, Vec<_>) =
        plan(&conn, "1").into_iter().partition(|(path, _, _)| *path == paths[3]);
    let decisions: Vec<&str> = planned.iter().map(|(_, decision, _)| decision.as_str()).collect();
    assert_eq!(decisions, ["keep", "keep", "keep", "keep", "delete", "delete"]);
    assert!(
        matches!(adopted.as_slice(), [(_, keep, why)] if keep == "keep" && why.contains("adopted")),
        "{adopted:?}"
    );
    assert_eq!(planned[0].2, "its file is missing");
    assert_eq!(planned[1].2, "its file is not as long as the catalog says");
    assert_eq!(planned[2].2, "its catalog entry was changed by somebody else");
    assert_eq!(planned[3].2, "last backup (1 of 1), newest backup");
    assert_eq!(answer::<i64>(&conn, "SELECT queue_rotate(1)"), 2);
    assert!(paths[2].exists() && !paths[1].exists() && !paths[0].exists());
}

#[test]
fn an_entry_that_is_listed_twice_is_left_alone() {
    let directory = tempfile::tempdir().expect("directory");
    let (conn, paths) = with_backups(directory.path(), &["-"; 3]);
    let manifest = directory.path().join("backups/backup_manifest.json");
    let text = std::fs::read_to_string(&manifest).expect("read");
    let doubled: String = conn
        .query_row("SELECT json_insert(?1, '$[#]', json_extract(?1, '$[0]'))", [text], |row| row.get(0))
        .expect("insert");
    std::fs::write(&manifest, doubled).expect("write");
    assert_eq!(answer::<i64>(&conn, "SELECT queue_rotate(1)"), 1);
    assert!(paths[0].exists() && !paths[1].exists() && paths[2].exists());
}

#[test]
fn bad_policies_are_refused_alike_and_nothing_happens() {
    let directory = tempfile::tempdir().expect("directory");
    let (conn, paths) = with_backups(directory.path(), &["-"; 3]);
    for (policy, named) in [
        ("NULL", "keep is required"),
        ("0", "from 1 to 1000000"),
        ("-1", "from 1 to 1000000"),
        ("1.5", "REAL with a fraction"),
        ("x'37'", "BLOB"),
        ("'soon'", "'7/4/12'"),
        ("'7/4'", "'7/4/12'"),
        ("'0/0/0'", "keeps nothing"),
        ("'{}'", "keeps nothing"),
        ("'{\"keep_last\": 0}'", "keeps nothing"),
        ("'{\"keep_lsat\": 1}'", "`keep_last`"),
        ("'{\"keep_last\": \"1\"}'", "keep_last: "),
        ("'{\"keep_within\": \"soon\"}'", "2y5m7d3h"),
    ] {
        for sql in [format!("SELECT queue_rotate({policy})"), format!("SELECT * FROM queue_rotation({policy})")] {
            let (code, message) = refusal(&conn, &sql);
            assert_eq!(code, ffi::SQLITE_ERROR, "{sql}: {message}");
            assert!(message.contains(named), "{sql}: {message}");
        }
    }
    let (_, message) = refusal(&conn, "SELECT * FROM queue_rotation");
    assert!(message.contains("keep is required"), "{message}");
    let (_, message) = refusal(&conn, "SELECT * FROM queue_rotation() WHERE dir = '/'");
    assert!(message.contains("keep is required"), "{message}");
    assert!(paths.iter().all(|path| path.exists()));
}

#[test]
fn the_dry_run_takes_a_directory_composes_and_is_not_for_views() {
    let directory = tempfile::tempdir().expect("directory");
    let (conn, _) = with_backups(directory.path(), &["-"; 3]);
    let backups = directory.path().join("backups");
    let counts: (i64, i64) = conn
        .query_row(
            "SELECT count(*) FILTER (WHERE decision = 'keep'), count(*) FILTER (WHERE decision = 'delete')
             FROM queue_rotation(2.0, ?1)",
            [backups.to_string_lossy()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .expect("query");
    assert_eq!(counts, (2, 1));
    let joined = "SELECT group_concat(kept, ' ') FROM (SELECT keep.value, count(*) AS kept
                  FROM json_each('[1, 2, 3]') AS keep JOIN queue_rotation(keep.value) WHERE decision = 'keep' GROUP BY 1)";
    assert_eq!(answer::<String>(&conn, joined), "1 2 3");
    conn.execute_batch("CREATE VIEW v AS SELECT * FROM queue_rotation(1)").expect("view");
    let (_, message) = refusal(&conn, "SELECT * FROM v");
    assert!(message.contains("unsafe use"), "{message}");
    let (code, _) = refusal(&conn, "SELECT * FROM queue_rotation(1, '/nowhere/at/all')");
    assert_eq!(code, ffi::SQLITE_CANTOPEN);

    let fresh = queue(&directory.path().join("elsewhere.db"), 1);
    std::fs::remove_dir_all(&backups).expect("remove");
    assert_eq!(answer::<i64>(&fresh, "SELECT count(*) FROM queue_rotation(1)"), 0);
    assert_eq!(answer::<i64>(&fresh, "SELECT queue_rotate('7/4/12')"), 0);
    assert!(!backups.exists());
}
