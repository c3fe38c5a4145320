"""A gateway on the embedded default, run as its users run it, for whoever reads only its document.

It has its two simulated brokers beside it and keys that the tests know. Its clock is the real
one, so what is asked of it names the next session and never a date.
"""

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

from app.cli.stage.ports import free_port
from app.clock import SystemClock
from app.web.access.keyfile import SCOPES, Grant, create_key
from tests.servers.process import Process, Program

JSON: Final = "application/json"
CLIENT: Final = frozenset({"orders:read", "orders:write"})
START_S_MAX: Final = 60.0
CALL_S_MAX: Final = 20.0
# Its brokers are two more processes, which it ends first.
END_S_MAX: Final = 30.0


class Operation(NamedTuple):
    """One operation of the document."""

    name: str
    method: str
    path: str
    told: Mapping[str, Any]

    @property
    def example(self) -> Any:
        """Return the body that the document shows; None: it takes none."""
        content = self.told.get("requestBody", {}).get("content", {})
        return content.get(JSON, {}).get("example")


def _take_scopes(keys: Path, name: str) -> None:
    """Leave a key nothing: no key is made so, and every scope that one could have opens a door."""
    held = json.loads(keys.read_text())
    for key in held["keys"] if isinstance(held, dict) else held:
        if key["name"] == name:
            key["scopes"] = []
    keys.write_text(json.dumps(held))


class Stage:
    """One gateway, and what is known of it."""

    def __init__(self, directory: Path) -> None:
        keys, clock = directory / "keys.json", SystemClock()
        self.client = create_key(keys, Grant("client", CLIENT, ("*",)), clock)
        self.operator = create_key(keys, Grant("operator", SCOPES, ("*",)), clock)
        self.approver = create_key(keys, Grant("approver", SCOPES, ("*",)), clock)
        self.nobody = create_key(keys, Grant("nobody", frozenset({"admin:read"}), ("*",)), clock)
        _take_scopes(keys, "nobody")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        # The operator's key is also the token of the alert hooks: one run opens every door.
        hooks = {name: {"token": self.operator} for name in ("alertmanager", "grafana", "generic")}
        said = [f"OPENBELL_HOOKS={json.dumps(hooks)}", f"OPENBELL_KEYS_FILE={keys}"]
        serve = [sys.executable, "-m", "app", "serve", "--port", str(port)]
        program = Program(
            name="gateway",
            command=["env", *said, *serve, "--data-dir", str(directory / "data")],
            directory=directory,
            ready=self._ready,
            start_s_max=START_S_MAX,
            end_s_max=END_S_MAX,
        )
        self.process = Process(program)

    @cached_property
    def document(self) -> dict[str, Any]:
        return dict(json.loads(self._read("/openapi.json")))

    @property
    def operations(self) -> Iterator[Operation]:
        for path, methods in self.document["paths"].items():
            for method, told in methods.items():
                yield Operation(told["operationId"], method.upper(), path, told)

    def call(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, dict[str, str], Any]:
        """Ask with the operator's key, or with what `headers` say instead."""
        data = None if body is None else json.dumps(body).encode()
        told = {"Authorization": f"Bearer {self.operator}", "Content-Type": JSON}
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        asked = urllib.request.Request(self.url + path, data, told, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(asked, timeout=CALL_S_MAX) as reply:  # noqa: S310
                return reply.status, dict(reply.headers), json.loads(reply.read())
        except urllib.error.HTTPError as e:
            with e:
                return e.code, dict(e.headers), json.loads(e.read())

    def close(self) -> None:
        self.process.stop()

    def _ready(self) -> None:
        self._read("/readyz")

    def _read(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=CALL_S_MAX) as reply:  # noqa: S310
            return bytes(reply.read())
