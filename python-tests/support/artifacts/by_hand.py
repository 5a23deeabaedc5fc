"""The commands that restore each kind of artifact without the library: docs/restore-by-hand.md.

In the commands, `backup` stands for the artifact's name without its endings, and `queue.db` is the
database that comes out.
"""

from __future__ import annotations

#: For each compression, how a full backup or a snapshot becomes a database.
SHELL = {
    "none": "cp backup.db queue.db",
    "gzip": "gzip -dc backup.db.gz > queue.db",
    "zstd": "zstd -dcq backup.db.zst > queue.db",
}

#: For each compression, how a delta becomes plain.
UNPACK = {
    "none": "",
    "gzip": "gzip -dkf backup.delta.db.gz",
    "zstd": "zstd -dqkf backup.delta.db.zst",
}

#: Applies a plain delta to the database that its parent restores to.
APPLY = """\
import sqlite3
delta = sqlite3.connect("backup.delta.db")
meta = dict(delta.execute("SELECT key, value FROM delta_meta"))
with open("queue.db", "r+b") as database:
    for pgno, content in delta.execute("SELECT pgno, content FROM delta_page"):
        database.seek((pgno - 1) * meta["page_size"])
        database.write(content)
    database.truncate(meta["page_count"] * meta["page_size"])
"""

#: The same with the shell's own tools.
APPLY_SHELL = """\
size=$(sqlite3 backup.delta.db "SELECT value FROM delta_meta WHERE key = 'page_size'")
count=$(sqlite3 backup.delta.db "SELECT value FROM delta_meta WHERE key = 'page_count'")
for page in $(sqlite3 backup.delta.db "SELECT pgno FROM delta_page"); do
  sqlite3 backup.delta.db \\
    "SELECT writefile('page', content) FROM delta_page WHERE pgno = $page" > page.size
  dd if=page of=queue.db bs="$size" seek=$((page - 1)) conv=notrunc status=none
done
truncate -s $((size * count)) queue.db
"""

#: What tells that the outcome is sound.
CHECK = 'sqlite3 queue.db "PRAGMA integrity_check"'
