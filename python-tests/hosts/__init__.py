"""The SQLite hosts that the library is loaded into, each as a process of its own."""

from hosts.discover import HOST_NAMES, Host, find_host
from hosts.protocol import HostDiedError, Result, Row, Session, SqlError, Value

__all__ = [
    "HOST_NAMES",
    "Host",
    "HostDiedError",
    "Result",
    "Row",
    "Session",
    "SqlError",
    "Value",
    "find_host",
]
