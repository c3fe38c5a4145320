"""Finds the audit row of a change that was just made, to name it in the answer.

The store writes the row inside the change and tells its sequence to nobody. Rows count up
without gaps, so the end is found by asking ahead in doubling steps, and remembered.
"""

from app.ports.control import ControlStore

PAGE = 100


class Trail:
    """The end of the audit log, as far as we have seen it."""

    def __init__(self, control: ControlStore) -> None:
        self._control = control
        self._seen = 0

    async def end(self) -> int:
        """Return the sequence of the last row; ask before a change, to know where to look."""
        step = 1
        while step:
            if await self._control.audit(self._seen + step - 1, 1):
                self._seen += step
                step *= 2
            else:
                step //= 2
        return self._seen

    async def written(self, since: int, request_id: str) -> int | None:
        """Return the sequence of the row that this request wrote after `since`."""
        while rows := await self._control.audit(since, PAGE):
            for row in rows:
                since = _sequence(row)
                if row["request_id"] == request_id:
                    return since
        return None


def _sequence(row: dict[str, object]) -> int:
    found = row["sequence"]
    assert isinstance(found, int), "the store numbers its audit rows"
    return found
