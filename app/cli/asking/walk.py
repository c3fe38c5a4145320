"""Reads a long listing to its end, through a gateway that is busy or starts anew meanwhile.

Reading changes nothing, so it may be asked again, unlike anything else here. The trap is the other
end: a gateway that never answered is not waited for, it is simply not there.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from app.cli.asking.client import ATTEMPTS_MAX, PAGE, Client
from app.cli.asking.problems import BUSY, Problem, Unreachable

AUDIT: Final = "/admin/v1/audit"
Row = dict[str, Any]


class Walk:
    """One client, and whether anybody has answered it yet."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._has_answered = False

    def get(self, path: str, **query: object) -> Any:
        """Return the document at `path`, asked again for as long as that may help."""
        for attempt in range(1, ATTEMPTS_MAX):
            try:
                found = self._client.get(path, **query)
            except Problem as e:
                if e.status not in BUSY:
                    raise
                self._client.wait(attempt, e.retry_after_s, e.code or str(e.status))
            except Unreachable as e:
                if not self._has_answered:
                    raise
                self._client.wait(attempt, None, e.why)
            else:
                self._has_answered = True
                return found
        return self._client.get(path, **query)

    def pages(self, path: str, query: Mapping[str, object]) -> Iterator[Row]:
        """Yield every row of a listing that has a cursor."""
        cursor = None
        while True:
            page = self.get(path, **query, cursor=cursor, limit=PAGE)
            yield from page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def audit(self, after: int) -> Iterator[Row]:
        """Yield the rows of the audit log after a sequence, oldest first."""
        while rows := self.get(AUDIT, after=after, limit=PAGE)["data"]:
            yield from rows
            after = int(rows[-1]["sequence"])


def last_where(get: Callable[..., Any], holds: Callable[[Row], bool]) -> int:
    """Return the sequence of the last audit row up to which `holds`, in a few questions.

    Sequences count up without gaps, so it asks in doubling steps, however long the log is.
    """
    seen, step = 0, 1
    while step:
        rows = get(AUDIT, after=seen + step - 1, limit=1)["data"]
        if rows and holds(rows[0]):
            seen += step
            step *= 2
        else:
            step //= 2
    return seen
