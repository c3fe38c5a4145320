"""One gateway at two ports: operators have theirs, and each path is asked where it stands.

The trap is a command that looks at both, as `session pause` does: at the wrong port there is no
such thing, and a person would look for a mistake of his own.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from app.cli.asking.client import Client, Reply

# What answers at the operators' own port alone, where a gateway has one.
ADMIN: Final = ("/admin/", "/hooks/", "/metrics")


class TwoPorts(Client):
    """A client of the clients' port that knows the other one."""

    operators: Client

    def call(
        self,
        method: str,
        path: str,
        body: bytes | Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        if not path.startswith(ADMIN):
            return super().call(method, path, body, headers)
        self.operators.patience = self.patience
        return self.operators.call(method, path, body, headers)

    def lines(self, path: str, headers: Mapping[str, str]) -> Iterator[bytes]:
        if path.startswith(ADMIN):
            return self.operators.lines(path, headers)
        return super().lines(path, headers)

    def close(self) -> None:
        super().close()
        self.operators.close()
