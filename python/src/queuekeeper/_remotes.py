"""Which off-site remotes are believed when a database names them.

# Promise

A plain path, and `name:path` with a name of rclone's own configuration. A connection string of
rclone (`:sftp,ssh=…:path`, `name,option=value:path`) says which program is started, so it comes
from a flag or the environment only, never from a row that whoever wrote the database put there.

# How

The same rule as the library's own for `queue_set('remote', …)`; a row may get there without it.
"""

from __future__ import annotations

import unicodedata

from queuekeeper.errors import Error

#: What rclone allows in the name of a remote besides letters and digits.
NAME_SIGNS = "_-.+@ "


def stored_remote(text: str) -> str:
    """The remote that a database names; refused where it is more than a name and a path."""
    if not is_plain(text):
        raise Error(
            "the setting remote in the database is neither a path nor a remote of rclone's own "
            "configuration such as 'gdrive:Backups', and is not believed; name the remote with "
            "--remote or QUEUEKEEPER_REMOTE, and see 'queuekeeper settings'"
        )
    return text.strip()


def is_plain(text: str) -> bool:
    """Whether a text is a path or `name:path`."""
    text = text.strip()
    if not text or text.startswith("-") or any(unicodedata.category(each) == "Cc" for each in text):
        return False
    slash, colon = (text.find(sign) % (len(text) + 1) for sign in "/:")
    if slash == colon:
        return True
    first = text[: min(slash, colon)]
    if slash < colon and "," not in first and "=" not in first:
        return True
    return bool(first) and not first.endswith(" ") and all(map(_is_of_a_name, first))


def _is_of_a_name(letter: str) -> bool:
    return letter.isalnum() or letter in NAME_SIGNS
