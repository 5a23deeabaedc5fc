"""The SQLite hosts that the library is loaded into, each as a process of its own."""

from hosts.discover import FURTHER_NAMES, HOST_NAMES, SCRIPTED_NAMES, Host, find_host
from hosts.protocol import HostDiedError, Result, Row, Session, SqlError, Value

__all__ = [
    "FURTHER_NAMES",
    "HOST_NAMES",
    "SCRIPTED_NAMES",
    "Host",
    "HostDiedError",
    "Result",
    "Row",
    "Session",
    "SqlError",
    "Value",
    "find_host",
]
