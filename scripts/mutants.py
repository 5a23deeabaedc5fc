"""Ways to break the library, and the test that has to notice; see mutations.

Each breaks one of the design's eight rules, or belongs to a topic of `TOPICS` that no rule covers.
It is a piece of a source file and what stands there instead. A test may be written as pytest's
arguments, one or more, without `python-tests/` before the file's name.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One way."""

    #: The number of the rule that it breaks, or its topic.
    breaks: int | str
    what: str
    file: str
    old: str
    new: str
    tests: str


#: What no rule covers, in the order of the list. Each needs at least one way.
TOPICS = ("requeue", "direct reading", "delta", "compression", "upkeep")

STRAIGHT = "test_engine_straight.py -k both_ways"
DELTA = "test_engine_by_hand.py -k chain"
FRAMES = "test_engine_frames.py"
CRASHES = "test_injected_crashes.py::test_loss_of_power_after_each_operation[full]"

MUTANTS = (
    Mutant(
        1,
        "a second SQLite in the process is not refused",
        "src/host.rs",
        "if first.table != table as usize {",
        "if first.table == 0 {",
        "test_binding.py::test_a_second_sqlite_in_the_process_is_refused_and_the_first_works_on",
    ),
    Mutant(
        1,
        "a copy of the library binds to another SQLite than the copy before it",
        "src/host/process.rs",
        "path, .. } if theirs != table => {",
        "path, .. } if theirs == 0 => {",
        "test_binding_copies.py -k another_sqlite",
    ),
    Mutant(
        1,
        "two copies of the library that bind at once do not see each other",
        "src/host/process.rs",
        "Seen::Claims { address: theirs, table: wanted } if wanted != table => {",
        "Seen::Claims { address: theirs, table: wanted } if wanted == 0 => {",
        "test_binding_copies.py -k waits_for_another",
    ),
    Mutant(
        1,
        "an older copy of the library is taken for none",
        "src/host/process.rs",
        "None => return seen.push(Seen::Older(image.name())),",
        "None => return,",
        "test_binding_copies.py -k older",
    ),
    Mutant(
        1,
        "the C ABI looks for a SQLite of its own beside a copy that is bound",
        "src/host/discovery.rs",
        "if super::adopt()? {",
        "if super::is_bound() {",
        "test_binding_copies.py -k adopts",
    ),
    Mutant(
        1,
        "the C ABI opens a file that a hidden copy of SQLite holds",
        "src/host/sole.rs",
        "if running == 0 && !super::process::is_told() && is_open(id) {",
        "if false && !super::process::is_told() && is_open(id) {",
        "test_c_locks.py::test_a_hidden_sqlite_that_opens_the_file_later_is_noticed",
    ),
    Mutant(
        2,
        "File::open on each live database, to see that it is there",
        "src/files/live.rs",
        "            live.names.push(resolved(&database));",
        "            let _ = File::open(&database);\n"
        "            live.names.push(resolved(&database));",
        "test_live_database.py -k locks",
    ),
    Mutant(
        2,
        "what is a live database is not asked",
        "src/files/live.rs",
        "if self.names.contains(&resolved(path)) {\n            return true;\n        }",
        "if path.is_relative() || path.is_absolute() {\n            return false;\n        }",
        "test_engine_live_files.py",
    ),
    Mutant(
        2,
        "the identity of a journal that went is remembered",
        "src/files/live.rs",
        "            live.databases.extend(file_id(&database));",
        "            live.databases.extend(file_id(&database));\n"
        '            live.databases.extend(file_id(&with_suffix(&database, "-journal")));',
        "test_recycled_inodes.py",
    ),
    Mutant(
        3,
        "no read transaction is held during the copy",
        "src/backup/snapshot.rs",
        "            Source::Sidecar(sidecar)\n        };",
        '            sidecar.connection().execute_batch("COMMIT")?;\n'
        "            Source::Sidecar(sidecar)\n        };",
        "test_snapshot.py::test_a_backup_under_two_writers_is_one_snapshot_in_one_pass[apsw]",
    ),
    Mutant(
        4,
        "a file gets its name before it is synced",
        "src/files/staged.rs",
        "let synced = file.sync_all();",
        "let synced: io::Result<()> = Ok(drop(file));",
        CRASHES,
    ),
    Mutant(
        4,
        "the directory is not synced after a file got its name",
        "src/files/staged.rs",
        "Ok(names.sync().map_or_else(Placed::Fragile, |()| Placed::Durable))",
        "Ok(Some(names).map_or(Placed::Taken, |_| Placed::Durable))",
        CRASHES,
    ),
    Mutant(
        4,
        "writers of a catalog do not wait for its lock",
        "src/files/lock.rs",
        "        loop {\n            match file.try_lock() {",
        "        loop {\n            match Ok::<(), TryLockError>(()) {",
        "test_crash.py::test_processes_that_back_up_and_rotate_at_once_keep_one_catalog",
    ),
    Mutant(
        4,
        "temporary files of living runs are swept, too",
        "src/files/staged.rs",
        "        file.try_lock().is_ok().then_some(",
        "        file.metadata().is_ok().then_some(",
        "test_crash.py::test_a_temporary_file_that_a_living_run_has_locked_is_left",
    ),
    Mutant(
        5,
        "the newest verified backup is not shielded",
        "src/retention/plan.rs",
        '[(newest, "newest backup"), (verified, "newest verified backup")]',
        '[(newest, "newest backup"), (verified.and(None), "newest verified backup")]',
        "test_rotate.py::test_the_newest_verified_backup_is_never_deleted",
    ),
    Mutant(
        5,
        "rotation forgets what a kept backup builds on",
        "src/retention/chains.rs",
        "            self.stays[parent] = true;\n",
        "            self.stays[parent] = self.wanted[parent];\n",
        "test_engine_catalog.py::test_rotation_keeps_what_a_kept_incremental_builds_on",
    ),
    Mutant(
        5,
        "a manifest may name files outside its directory",
        "src/backup/catalog.rs",
        "        check_name(&entry.backup_path, path)?;\n",
        "        let _ = check_name(&entry.backup_path, path);\n",
        "test_hostile_backups.py -k absolute",
    ),
    Mutant(
        5,
        "a catalog object that somebody changed is believed",
        "src/backup/entry.rs",
        "self.object_digest.is_some() && self.object_digest == self.computed_digest()",
        "self.object_digest.is_some() || self.computed_digest().is_some()",
        "test_rotate.py::test_an_entry_that_somebody_changed_is_shown_but_not_obeyed",
    ),
    Mutant(
        5,
        "a restore does not save the present content",
        "src/backup/restore/live.rs",
        "        let saved = save(self.caller, &self.path)?;\n        pour(",
        '        let saved = save(self.caller, Path::new("")).unwrap_or_default();\n        pour(',
        "test_engine_restore.py::test_the_safety_backup_is_a_backup_like_any_other",
    ),
    Mutant(
        5,
        "another source's backup is taken for the latest",
        "src/backup/locate.rs",
        "source.as_ref().is_none_or(|source| source.owns(made))",
        "source.as_ref().is_none_or(|source| source.owns(made) || source.is_known())",
        "test_sources.py::test_a_restore_of_the_latest_takes_ones_own",
    ),
    Mutant(
        5,
        "a rotation plans for other sources, too",
        "src/backup/rotate/groups.rs",
        "filter(|&place| source.owns(&entries[place])).collect();",
        "filter(|&place| source.owns(&entries[place]) || place > 0).collect();",
        "test_sources.py::test_a_rotation_deletes_ones_own_only",
    ),
    Mutant(
        5,
        "a backup that could not be deleted is adopted",
        "src/backup/catalog/listing.rs",
        "self.backups.iter().chain(&self.going))",
        "self.backups.iter().chain(&self.going[..0]))",
        "test_failed_deletions.py::test_rotation_tells_each_time_of_what_resists_and_deletes_the_rest",
    ),
    Mutant(
        5,
        "a hash file is set aside while its artifact may be on its way",
        "src/backup/orphans.rs",
        "    Some(found.modified().ok()?.max(changed))\n",
        "    Some(found.modified().ok()?.min(changed))\n",
        "test_arriving_backups.py::test_hash_files_that_arrive_first_wait_for_their_artifacts",
    ),
    Mutant(
        5,
        "a copy that has the name of its original goes on",
        "src/backup/source.rs",
        "Some(path) if asked.get(path) == Some(&There::Another)",
        "Some(path) if asked.get(path) == Some(&There::Another) && name.is_empty()",
        "test_sources.py -k copy",
    ),
    Mutant(
        5,
        "a pointer is followed to whatever it names",
        "src/backup/elsewhere.rs",
        "source.is_none_or(|own| own.owns(entry))",
        "source.is_none_or(|own| own.owns(entry) || own.is_known())",
        "test_sources.py::test_a_pointer_leads_only_to_what_is_listed_there_as_ones_own",
    ),
    Mutant(
        6,
        "every error has the same code",
        "src/calls/guard.rs",
        "        _ => error.code(),\n",
        "        _ => ffi::SQLITE_ERROR,\n",
        "test_bad_input.py -k path",
    ),
    Mutant(
        6,
        "memory is taken without asking for the limit",
        "src/memory.rs",
        "Some(left) if left < length.saturating_add(MARGIN) =>",
        "Some(left) if left < length.min(0) =>",
        "test_injected_memory.py",
    ),
    Mutant(
        6,
        "a page that the disk does not give is told as damage",
        "src/host/reading.rs",
        "cause.filter(|_| error.is_damage())",
        "cause.filter(|_| error.is_damage() && error.code() == 0)",
        "test_disk_errors_live.py -k queue_depth",
    ),
    Mutant(
        6,
        "damage after an error of the disk is told as another such error",
        "src/host/reading.rs",
        "read_past_end(conn, ffi::SQLITE_FCNTL_FILE_POINTER);",
        "let _ = conn;",
        "test_disk_errors_live.py -k told_as_such",
    ),
    Mutant(
        7,
        "no SQLite is thought to have the WAL-reset bug",
        "src/upkeep/checkpoint/outcome.rs",
        "        _ => (3_007_000..3_051_003).contains(&version),",
        "        _ => (3_007_000..3_007_001).contains(&version),",
        "test_checkpoint.py::test_passive_and_a_writer",
    ),
    Mutant(
        7,
        "a connection of ours makes a checkpoint after each commit",
        "src/connection/sidecar.rs",
        "PRAGMA wal_autocheckpoint=0",
        "PRAGMA wal_autocheckpoint=1",
        "test_analyze.py::test_its_commit_stays_in_the_wal",
    ),
    Mutant(
        8,
        "the functions are not DIRECTONLY",
        "src/extension/functions.rs",
        "FunctionFlags::UTF8 | FunctionFlags::DIRECTONLY",
        "FunctionFlags::UTF8",
        "test_surface.py -k loading_adds_exactly",
    ),
    Mutant(
        8,
        "only SQLite itself holds DIRECTONLY",
        "src/extension/functions.rs",
        "direct::require(&caller, name)?;",
        "let _ = direct::require;",
        "test_direct.py -k place",
    ),
    Mutant(
        8,
        "the tables that look at files are not DIRECTONLY",
        "src/extension/tables.rs",
        "if spec.looks_at_files {",
        "if spec.looks_at_files && spec.name.is_empty() {",
        "test_unsafe.py -k looks_at_files",
    ),
    Mutant(
        8,
        "a view is taken for a table of ours",
        "src/schema.rs",
        "WHERE type = 'table' AND rootpage > 0 AND name = ?1 COLLATE NOCASE",
        "WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE",
        "test_schedule_hostile.py -k trap",
    ),
    Mutant(
        "requeue",
        "a task of each batch is left out",
        "src/queue/requeue/batches.rs",
        "keys.chunks(self.width).enumerate() {",
        "keys.chunks(self.width).enumerate().skip(1) {",
        "test_requeue_property.py",
    ),
    Mutant(
        "requeue",
        "a task that was put back counts twice",
        "src/queue/requeue/batches.rs",
        "Fate::Requeued => done.requeued += 1,",
        "Fate::Requeued => done.requeued += 2,",
        "test_requeue_property.py",
    ),
    Mutant(
        "requeue",
        "a task that violates a deferred foreign key counts as put back",
        "src/queue/requeue/row.rs",
        "if changed && !violated_before && host::has_violations(self.conn) {",
        "if changed && violated_before && host::has_violations(self.conn) {",
        'test_requeue_blocked.py -k "deferred and transaction"',
    ),
    Mutant(
        "direct reading",
        "the last frame of the WAL is not seen",
        "src/backup/snapshot/wal.rs",
        "        frames.last.sort_unstable();\n",
        "        frames.last.pop();\n        frames.last.sort_unstable();\n",
        STRAIGHT,
    ),
    Mutant(
        "direct reading",
        "of the frames of a page the first counts",
        "src/backup/snapshot/wal.rs",
        "                earlier.1 = later.1;\n",
        "                earlier.1 = earlier.1.min(later.1);\n",
        STRAIGHT,
    ),
    Mutant(
        "direct reading",
        "the WAL is thought to be copied into the database",
        "src/backup/snapshot/straight.rs",
        "(true, Some(held)) if held.without_wal => Frames::default(),",
        "(true, Some(_)) if !wal || page_size > 0 => Frames::default(),",
        STRAIGHT,
    ),
    Mutant(
        "direct reading",
        "the frame of a page is looked for one page further on",
        "src/backup/snapshot/straight.rs",
        "let start = (page - first) as usize * size;",
        "let start = (page - first + 1) as usize * size;",
        STRAIGHT,
    ),
    Mutant(
        "direct reading",
        "the header of an earlier snapshot is believed",
        "src/backup/snapshot/vfs/file.rs",
        "(Some(one), Some(other)) => one.header == other.header,",
        "(Some(one), Some(other)) => one.header.len() == other.header.len(),",
        "test_task_counts.py -k writers",
    ),
    Mutant(
        "delta",
        "a changed page is left out",
        "src/backup/delta.rs",
        "            if self.hashes.put(number, content)? {\n",
        "            if self.hashes.put(number, content)? && number != 2 {\n",
        DELTA,
    ),
    Mutant(
        "delta",
        "the last changed pages are not inserted",
        "src/backup/delta.rs",
        "        self.insert()?;\n        let meta = [",
        "        let meta = [",
        DELTA,
    ),
    Mutant(
        "delta",
        "a database that shrank keeps its end",
        "src/backup/delta/apply.rs",
        "    base.set_len(size).map_err(",
        "    base.set_len(size.max(base.metadata().map_or(0, |found| found.len()))).map_err(",
        "test_engine_incremental.py -k shrinkage",
    ),
    Mutant(
        "compression",
        "the last frame is lost",
        "src/backup/frames/compressor.rs",
        "        while !self.waiting.is_empty() {\n",
        "        while self.waiting.len() > 1 {\n",
        FRAMES,
    ),
    Mutant(
        "compression",
        "frames come out of order",
        "src/backup/frames/compressor.rs",
        "self.waiting.pop_front()",
        "self.waiting.pop_back()",
        FRAMES,
    ),
    Mutant(
        "compression",
        "only the first frame is read",
        "src/backup/frames.rs",
        "flate2::read::MultiGzDecoder::new(",
        "flate2::read::GzDecoder::new(",
        FRAMES,
    ),
    Mutant(
        "upkeep",
        "unattended VACUUM moves rowids that something refers to",
        "src/upkeep/rowids.rs",
        "    if Settings::of(conn)?.whole(&VACUUM_MOVES_ROWIDS)? != 0 {",
        "    if Settings::of(conn)?.whole(&VACUUM_MOVES_ROWIDS)? < 2 {",
        "test_rowids.py",
    ),
    Mutant(
        "upkeep",
        "tables that could not be checked are passed over",
        "src/soundness.rs",
        "            outcome.unjudged.push(needs(&table, &error));\n",
        "            drop(needs(&table, &error));\n",
        "test_application_schema.py -k integrity_names",
    ),
    Mutant(
        "upkeep",
        "the text of a path is taken for the path",
        "src/backup/rotate.rs",
        "    let path = catalog.directory().join(&entry.id);\n",
        "    let path = std::path::PathBuf::from(&entry.backup_path);\n",
        "test_path_bytes.py -k adopted",
    ),
)
