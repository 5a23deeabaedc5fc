"""How much is read of what others may write: each number, with its reason.

Those of files and entries of a catalog are the library's own (`src/bounds.rs`).
"""

from __future__ import annotations

#: Fifty thousand backups; one takes about a kilobyte.
CATALOG_BYTES = 64 << 20
ENTRY_BYTES = 256 << 10
NESTING = 64
#: Objects and lists in a catalog; an entry of ours has two. Each takes 200 bytes of memory, however
#: short it is as text.
CONTAINERS = 400_000
#: Commas in a catalog; an entry of ours has 27, and each status of a queue one. Each ends a value,
#: which may take 60 bytes.
COMMAS = 4_000_000
#: An answer of rclone. The longest lists a remote with a full catalog: an artifact and its hash
#: file for each entry, with a name and a hash of 300 bytes in all.
ANSWER_BYTES = 128 << 20
#: A line of what rclone says besides.
LINE = 4096
#: What the holder of a lock says of itself; that has a hundred bytes.
LOCK_BYTES = 64 << 10
#: An .env file. Some programs keep certificates in it.
ENV_BYTES = 1 << 20
