"""What scripts/proof runs: a line for each part.

A new part is one more `Part` in `PARTS`. Each is one of

- `Workload`: `python -m proof.workloads NAME` in python-tests/, which goes on for the seconds
  that it is given, and prints its record as one line of JSON, see workloads/record.py;
- `Tests`: files of python-tests/ that pytest runs with QUEUEKEEPER_PROOF=long, in an order that
  depends on the seed; after QUEUEKEEPER_PROOF_OVER (seconds since 1970) no other test begins;
- `Tests` with `own_clock`: files of tests that end by themselves after QUEUEKEEPER_PROOF_SECONDS,
  and take their random choices from QUEUEKEEPER_PROOF_SEED;
- `Tests` with `sanitizer`: files of either kind, on the library that sanitizers.py builds;
- `Targets`: the fuzzers in fuzz/, see fuzzers.py. With all other parts each takes ten
  minutes, besides their shares; alone, or among some that were asked for, they take their share.

Tests print their figures; a regular expression with one group says where a number stands, and the
numbers of all tests are added up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Workload:
    """A part of workloads/."""

    name: str


@dataclass(frozen=True)
class Tests:
    """Files of tests, and what they print."""

    files: tuple[str, ...]
    figures: Mapping[str, str] = field(default_factory=dict)
    own_clock: bool = False
    #: One of sanitizers.KINDS, or none.
    sanitizer: str = ""


@dataclass(frozen=True)
class Targets:
    """The fuzzers in fuzz/."""


@dataclass(frozen=True)
class Part:
    """A line of the results."""

    name: str
    #: Of the whole time, compared with the others.
    share: int
    #: What the results page says about it.
    text: str
    how: Workload | Tests | Targets


PARTS = (
    Part(
        "crash",
        9,
        "A process that backs up, rotates, deletes, verifies, restores, checkpoints, vacuums, "
        "optimizes, requeues or runs the due jobs is killed (SIGKILL) at a random moment, while "
        "two writers commit, of which some are killed, too. After each kill `integrity_check` is "
        "content; every commit of which a writer was told is there (or, where a restore had come "
        "to its end, in the backup that it made before, and the content is one of the two, not a "
        "mix); every backup that the catalog lists verifies; the same action succeeds in another "
        "process, and leaves nothing lying about. Actions are done by each SQLite in turn, in WAL "
        "mode and with a rollback journal. A kill counts if the process had not yet answered.",
        Workload("crash"),
    ),
    Part(
        "corruption",
        10,
        "A byte is changed, the end cut off, something appended, or a range zeroed, at random, in "
        "artifacts of each type and compression, in a backup that others build on, in hash files "
        "and in the manifest. `queue_verify` finds it, at whatever level; `queue_restore` refuses "
        "the artifact before anything is touched (the directory is compared byte for byte). A "
        "damaged hash file or manifest never leads to another content. Every hundredth case "
        "damages pages of a live database: what SQLite's own check finds, `queue_integrity` lists, "
        "a verified backup refuses to pass on, and a restore replaces.",
        Workload("corruption"),
    ),
    Part(
        "snapshot",
        3,
        "Four processes transfer money and number the transfers in the order of their commits, "
        "while backups of each type and compression are made. Each is restored and read without "
        "the library: no money is lost, every transfer up to one is there and none after it, each "
        "balance is what these lead to, and whatever was acknowledged before the backup began is "
        "in it.",
        Workload("snapshot"),
    ),
    Part(
        "leases",
        3,
        "Four workers claim tasks, finish them, renew their leases, dawdle longer than these, or "
        "kill themselves; two rescuers call `queue_requeue_stale`, and are killed now and then. By "
        "a trigger's notes of every change: each task was completed, and just once; none was "
        "changed after that; no lease was taken before its time, and, where that counts, from no "
        "worker that had shown a sign of life; what workers were told is true.",
        Workload("leases"),
    ),
    Part(
        "fuzz",
        5,
        "Made-up deltas, hash files, manifests, artifacts, settings, options, policies, and "
        "arguments of every function and table, in a child with 256 MB to spare: no crash, no "
        "hang, no panic, and an error for whatever is wrong.",
        Tests(
            ("hostile/test_fuzz.py",),
            {"cases": r"(\d+) cases", "calls": r"(\d+) calls"},
            own_clock=True,
        ),
    ),
    Part(
        "fuzz targets",
        5,
        "Each reader of what others may write (manifests and pointers, their objects, hash files, "
        "deltas, gzip and zstd frames, settings and policies, cron expressions, the memory of "
        "loaded libraries) is fed by a fuzzer that sees which code an input reaches, with "
        "AddressSanitizer: no crash, no bad access, no hang, memory within the bounds; what is "
        "read can be written and is then read as the same; nothing expands beyond its limit; a "
        "delta that is accepted makes exactly the pages that its catalog says.",
        Targets(),
    ),
    Part(
        "deaths by design",
        4,
        "Each action is killed at its 1st, 2nd, 3rd … operation that changes or syncs a file, or "
        "in the middle of a write, until it completes; and for each such moment the power is lost, "
        "with what a disk must have kept by then. Each time the old state or the new one is there, "
        "and the next run succeeds and sweeps.",
        Tests(
            ("faults/test_injected_crashes.py",),
            {
                "deaths": r"died (\d+) times",
                "losses of power": r"lost power (\d+) times",
            },
        ),
    ),
    Part(
        "I/O errors",
        4,
        "Each file operation of each action fails in turn (no space, I/O error, no permission), "
        "once and from then on; the place goes away, the disk is full, the file system can only be "
        "read. An error names path and cause, nothing half-written stays, the source is untouched, "
        "and the action succeeds when the cause is gone.",
        Tests(
            ("faults/test_injected_errors.py",),
            {"faults": r"(\d+) faults", "errors that were reported": r"(\d+) errors"},
        ),
    ),
    Part(
        "swapped names",
        2,
        "Root makes compact and incremental backups, restores, and pushes and pulls in a directory "
        "whose owner exchanges what is made there with links to other files and directories, as "
        "fast as a process can, and sometimes back. Nothing outside of that directory changes, to "
        "the byte, the owner and the time of the last change, and each result is a right backup or "
        "an error.",
        Tests(
            ("hostile/test_symlink_races.py",),
            {"rounds": r"(\d+) rounds", "swaps": r"(\d+) swaps"},
            own_clock=True,
        ),
    ),
    Part(
        "memory",
        2,
        "Each action with less and less memory for SQLite (hard heap limit) and for the process "
        "(address space): an error, never a crash of the host, and success afterwards.",
        Tests(("faults/test_injected_memory.py",)),
    ),
    Part(
        "AddressSanitizer",
        5,
        "The library, its C code and a SQLite are built with AddressSanitizer and with all "
        "assertions, and tests from all over the suite run on them: every function and table, "
        "rightly and wrongly, in SQLite's shell, in Python (as an extension of each SQLite, and "
        "through ctypes), and in C programs that fork, cancel, reenter, interrupt and forget; all "
        "types of backups, damaged, hostile and made-up artifacts, I/O errors at each operation. A "
        "report of any process is a failure, and so is a leak of a C program's that is the "
        "library's. Tests of their own see that the sanitizer finds what was done wrong on "
        "purpose.",
        Tests(
            (
                "upkeep/test_analyze.py",
                "hostile/test_bad_input.py",
                "c_abi/test_c_client.py",
                "c_abi/test_c_locks.py",
                "c_abi/test_c_misuse.py",
                "c_abi/test_c_threads.py",
                "doors/test_caller_states.py",
                "upkeep/test_checkpoint.py",
                "hostile/test_schema_calls.py",
                "backup/test_damage.py",
                "backup/test_frames.py",
                "backup/test_histories.py",
                "hostile/test_hostile_artifacts.py",
                "backup/test_incremental.py",
                "restore/test_restore.py",
                "restore/test_restore_live.py",
                "hostile/test_fuzz.py",
                "upkeep/test_health.py",
                "hostile/test_hostile.py",
                "hostile/test_hostile_backups.py",
                "doors/test_hosts.py",
                "doors/test_hosts_handlers.py",
                "faults/test_injected_errors.py",
                "upkeep/test_integrity.py",
                "faults/test_interrupt.py",
                "faults/test_interrupt_truth.py",
                "queue/test_requeue.py",
                "queue/test_requeue_blocked.py",
                "retention/test_rotate.py",
                "doors/test_same_answers.py",
                "c_abi/test_sanitizers.py",
                "schedule/test_schedule.py",
                "schedule/test_schedule_failures.py",
                "queue/test_settings.py",
                "backup/test_snapshot.py",
                "backup/test_sources.py",
                "upkeep/test_vacuum.py",
            ),
            {"made-up cases": r"(\d+) cases", "calls of threads": r"(\d+) calls, \d+ interrupted"},
            sanitizer="address",
        ),
    ),
    Part(
        "ThreadSanitizer",
        3,
        "The library, Rust's standard library, the C code and a SQLite are built with "
        "ThreadSanitizer. Eleven threads of a C program back up (every type and compression), "
        "verify, restore, requeue, rotate, checkpoint, vacuum, set and look, through handles that "
        "they share, through their own, and through SQLite's connections that the library is "
        "loaded into; another interrupts them at random. A race that any of this has is a failure, "
        "and a test of its own sees that the sanitizer finds one that was made on purpose.",
        Tests(
            ("c_abi/test_c_misuse.py", "c_abi/test_c_threads.py", "c_abi/test_sanitizers.py"),
            {"calls": r"(\d+) calls", "interrupted": r"(\d+) interrupted"},
            own_clock=True,
            sanitizer="thread",
        ),
    ),
)
