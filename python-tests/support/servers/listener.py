"""A server on loopback that speaks ntfy's protocol, and counts who fetches a heartbeat.

A message is published by a POST of JSON to the server's root, with the topic in it, and answered by
the message as the server has it (docs.ntfy.sh, "Publish as JSON"). The priority comes in a header.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USER, PASSWORD = "operator", "hunter2-and-more"
TOPIC = "queue-of-ours-5d41402a"
BEAT = "/ping/0e8a7c52-93f1-4e0c-8a41-6b1d2c3e4f50"


@dataclass(frozen=True)
class Received:
    """A message that arrived."""

    topic: str
    title: str
    body: str
    priority: str

    @property
    def kind(self) -> str:
        """What the title says happened."""
        words = (("failed", "failure"), ("again", "recovery"), ("done", "success"))
        return next((kind for word, kind in words if self.title.endswith(word)), self.title)


@dataclass
class Listener:
    """The server, what it received, and what it is told to answer."""

    port: int = 0
    messages: list[Received] = field(default_factory=list)
    beats: int = 0
    #: How it answers: 200, or an error.
    status: int = 200
    #: Everything that arrived, as it came over the line.
    raw: list[str] = field(default_factory=list)

    @property
    def ntfy(self) -> str:
        """The address as apprise takes it, with secrets in it."""
        return f"ntfy://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{TOPIC}"

    @property
    def heartbeat(self) -> str:
        """The URL of the heartbeat, which is a secret as a whole."""
        return f"http://127.0.0.1:{self.port}{BEAT}"

    @property
    def kinds(self) -> list[str]:
        """What was told, in its order."""
        return [each.kind for each in self.messages]

    def take(self) -> list[Received]:
        """The messages since the last call."""
        taken, self.messages = self.messages, []
        return taken


#: What nobody may ever read anywhere but in a request's own address and credentials.
SECRETS = (PASSWORD, TOPIC, BEAT, BEAT.rpartition("/")[2])


@contextmanager
def listening() -> Iterator[Listener]:
    """The server, while the block runs."""
    state = Listener()
    expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"])).decode()
            state.raw.append(text)
            if self.headers.get("Authorization") != expected:
                self.answer(401, {"code": 40101, "http": 401, "error": "unauthorized"})
            elif state.status != 200:
                self.answer(state.status, {"code": 50001, "http": state.status, "error": "error"})
            else:
                told = json.loads(text)
                priority = self.headers.get("X-Priority", "3")
                message = Received(told["topic"], told["title"], told["message"], priority)
                state.messages.append(message)
                self.answer(200, {"id": f"m{len(state.messages)}", "event": "message", **told})

        def do_GET(self) -> None:
            state.beats += self.path == BEAT and state.status == 200
            self.answer(state.status if self.path == BEAT else 404, {})

        def answer(self, status: int, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nobody wants to read it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
