"""Where each value of the configuration comes from.

# Promise

- A value is looked for in four places, and the first that has it counts: what the caller passes (a
  flag of the command line), the environment, the `.env` file, the settings in the database.
- The `.env` file is the one that `env_file` or the environment variable QUEUEKEEPER_ENV_FILE names,
  which must then exist, else the file `.env` in the current directory, if there is one. It is never
  searched for in directories above. It changes nothing in the process's own environment. One that
  another user owns or may write is refused.
- rclone's own variables count in the file, too: `rclone_environment()` is what rclone runs in.
- A remote that the database names is a path or a name of rclone's configuration; see `_remotes`.
- An empty value in the environment or the file counts as none. An empty flag is a choice: there
  shall be no value, whatever the other places say.
- What may carry a secret is never a setting of the database, whose backups are copied to other
  places; and is shown by no `repr()`. `redacted()` takes it out of any text, also the parts of it
  that are secret by themselves, such as a password in the middle of a URL.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Callable, Union
from urllib.parse import unquote, urlsplit

from queuekeeper import _env_file
from queuekeeper._queue import Queue
from queuekeeper._remotes import stored_remote
from queuekeeper.errors import Error

Settings = Callable[[], Mapping[str, Any]]
Flag = Union[str, bool, Iterable[str], None]

ENV_FILE = "QUEUEKEEPER_ENV_FILE"
#: How the variables begin that are rclone's own, or name it.
RCLONE = ("RCLONE_", "QUEUEKEEPER_RCLONE")
#: What stands in the place of a secret.
HIDDEN = "****"
#: Shorter words occur by chance, and hiding them would make a text unreadable.
SHORTEST_SECRET = 4
#: A part of a URL that is as long as this is no ordinary word.
LONG = 12
SECRET_KEYS = re.compile("pass|secret|key|token|auth|credential", re.I)

YES = {"1", "true", "yes", "on"}
NO = {"0", "false", "no", "off"}


@dataclass(frozen=True)
class Known:
    """A value that there is."""

    #: The environment variables that may have it, the first one first; the same in `.env`.
    variables: tuple[str, ...]
    #: The setting in the database that may have it.
    setting: str | None = None
    secret: bool = False


KNOWN = {
    "database": Known(("PRISMQ_QUEUE_DB_PATH", "DATABASE_URL")),
    "remote": Known(("QUEUEKEEPER_REMOTE",), setting="remote", secret=True),
    "remote_keep": Known(("QUEUEKEEPER_REMOTE_KEEP",), setting="remote_keep"),
    "notify": Known(("QUEUEKEEPER_NOTIFY",), secret=True),
    "quiet": Known(("QUEUEKEEPER_QUIET",)),
    "heartbeat": Known(("QUEUEKEEPER_HEARTBEAT",), secret=True),
}


class Configuration:
    """The values, each looked for when it is asked for."""

    def __init__(
        self,
        flags: Mapping[str, Flag] | None = None,
        *,
        env_file: str | os.PathLike[str] | None = None,
        environment: Mapping[str, str] | None = None,
        settings: Settings | None = None,
    ) -> None:
        """`flags` has the names of `KNOWN`; `settings` reads those of the database."""
        self._flags = {name: each for name, each in (flags or {}).items() if each not in (None, ())}
        self._environment = os.environ if environment is None else environment
        self._file = _env_file.read(env_file or self._environment.get(ENV_FILE))
        self._settings = settings

    def __repr__(self) -> str:
        return f"<queuekeeper.configuration.Configuration {sorted(self._flags)}>"

    def with_settings(self, settings: Settings) -> Configuration:
        """The same, which also looks into the settings of a database."""
        other = Configuration(self._flags, environment=self._environment)
        other._file, other._settings = self._file, settings
        return other

    def text(self, name: str) -> str | None:
        """A value; None if it is nowhere."""
        found, stored = self._found(name)
        if found in (None, ""):
            return None
        if stored and not isinstance(found, (str, int)):
            raise Error(
                f"the setting {KNOWN[name].setting} in the database is neither a text nor a whole "
                "number, and cannot be used; see 'queuekeeper settings'"
            )
        return stored_remote(str(found)) if stored and name == "remote" else str(found)

    def has(self, name: str) -> bool:
        """Whether there is a value, be it one that `text()` refuses."""
        return self._find(name) not in (None, "")

    def texts(self, name: str) -> list[str]:
        """A value that may have several parts, which white space separates outside of flags."""
        found = self._find(name)
        if found is None:
            return []
        return found.split() if isinstance(found, str) else [str(each) for each in found]

    def truth(self, name: str) -> bool:
        """A value that is yes or no; no if it is nowhere."""
        found = self._find(name)
        if found is None or isinstance(found, bool):
            return bool(found)
        word = str(found).strip().lower()
        if word not in YES | NO:
            where = " or ".join(KNOWN[name].variables)
            raise Error(f"{where} must be 1 (yes) or 0 (no), but is '{word}'")
        return word in YES

    def rclone_environment(self) -> dict[str, str]:
        """The environment, and what the `.env` file adds of rclone's variables."""
        added = {
            name: value
            for name, value in self._file.items()
            if name.upper().startswith(RCLONE) and not self._environment.get(name)
        }
        return {**os.environ, **self._environment, **added}

    def secrets(self) -> list[str]:
        """All values that may carry a secret, whole."""
        # Whether URLs or not, only those to notify are separated by spaces.
        single = [self._find(name) for name, known in KNOWN.items() if known.secret]
        return [str(each) for each in (*self.texts("notify"), *single) if each]

    def redacted(self, text: str) -> str:
        """A text without the secrets."""
        return redacted(text, self.secrets())

    def _find(self, name: str) -> Any:
        return self._found(name)[0]

    def _found(self, name: str) -> tuple[Any, bool]:
        """A value, and whether the database has it."""
        known = KNOWN[name]
        if name in self._flags:
            return self._flags[name], False
        for place in (self._environment, self._file):
            for variable in known.variables:
                if place.get(variable):
                    return place[variable], False
        if known.setting is None or self._settings is None:
            return None, False
        return self._settings().get(known.setting), True


def of_queue(queue: Queue) -> Configuration:
    """What there is without flags, the settings of that queue's database included."""
    return Configuration(settings=lambda: {each.name: each.value for each in queue.settings()})


def database_path(named: str) -> str:
    """The path of the database: as it is, or that in a URL such as `sqlite:///queue.db`.

    In a URL, three slashes stand before a relative path, four before one from the root, as
    SQLAlchemy has it.
    """
    found = re.fullmatch(r"sqlite(?:\+\w+)?://(?:/(.*))?", named, re.S)
    if found is None:
        if re.match(r"\w+(\+\w+)?://", named):
            scheme = named.split(":", 1)[0]
            raise Error(f"the database is named by a URL for {scheme}, but must be a SQLite file")
        return named
    path = unquote((found[1] or "").split("?", 1)[0])
    if not path:
        raise Error(f"the URL {named} names no file; write sqlite:///queue.db")
    return path


def redacted(text: str, secrets: Iterable[str], *, every_part: bool = False) -> str:
    """A text without these secrets, their secret parts, and passwords in any URL.

    With `every_part`, also without those that may be ordinary words, such as a short topic: for a
    text that speaks of nothing but a URL.
    """
    parts = {part for each in secrets for part in _parts(each, every_part)}
    for part in sorted(parts, key=len, reverse=True):
        text = text.replace(part, HIDDEN)
    return re.sub(r"(://)[^/@\s]+@", rf"\1{HIDDEN}@", text)


def _parts(secret: str, every_part: bool) -> set[str]:
    if not re.match(r"[A-Za-z][\w+.-]*://", secret):
        # rclone's: `gdrive:backups` has none, `:s3,access_key_id=…,secret_access_key=…:bucket` has.
        values = re.findall(r"(\w+)=('[^']*'|\"[^\"]*\"|[^,:]+)", secret)
        found = {value.strip("'\"") for key, value in values if SECRET_KEYS.search(key)}
        return {part for part in found if part}
    url = urlsplit(secret)
    user, _, host = url.netloc.rpartition("@")
    name, _, password = user.partition(":")
    found = {secret, password or name}
    behind = {*re.split(r"[/&=]", f"{url.path}/{url.query}"), name}
    if not url.path.strip("/"):
        # In a service's own scheme, what stands in the place of a server may be the key: ntfy://topic
        behind.add(host)
    found |= {part for part in behind if every_part or len(part) >= LONG}
    found |= {unquote(part) for part in found}
    return {part for part in found if len(part) >= SHORTEST_SECRET}
