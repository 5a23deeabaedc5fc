"""Catalog objects as the library could have written them."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any


def sealed(number: int, **fields: Any) -> dict[str, Any]:
    """An object with these fields and the digest that belongs to them; None leaves one out.

    A field that the library always writes has to be there for the digest to fit.
    """
    always = {
        "id": str(uuid.UUID(int=number + 1)),
        "backup_type": "full",
        "name": None,
        "source_path": "/queue.db",
        "backup_path": f"{number}.db",
        "created_at": "2026-01-01T00:00:00.000Z",
        "size_bytes": 1,
        "compressed": False,
        "compression": "none",
        "checksum": "00",
        "database_version": None,
        "page_count": None,
        "page_size": None,
        "parent_id": None,
        "content_digest": None,
        "hash_file_checksum": None,
        "pages_stored": None,
        "task_counts": None,
        "duration_ms": None,
        "verified_at": None,
        "verified_level": None,
    }
    entry = {**always, **fields}
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return {**entry, "object_digest": hashlib.sha256(text.encode()).hexdigest()}
