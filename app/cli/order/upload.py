"""Sends a file of orders in batches, repeats what got no answer, and counts what became of each.

Memory stays flat: one batch, the counts and the first few rejects. Every repetition carries
the bytes of the first attempt. The trap is a summary that calls silence a rejection: a row
without an answer is counted apart, because its order may exist.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, TextIO

import typer

from app.cli.asking.client import ATTEMPTS_MAX, Client
from app.cli.asking.command import Call
from app.cli.asking.output import Ends, Failure, Output, print_out, say, table, tell
from app.cli.asking.problems import Problem
from app.cli.asking.progress import working
from app.cli.order.file import BadRow, Line, Row, encoded, form_of, read
from app.cli.session import next_session

BATCH_ORDERS_MAX: Final = 1_000
# The gateway takes 1 MiB; what is left is room for the list's name and the brackets.
BATCH_BYTES_MAX: Final = 1_000_000
REJECTS_SHOWN_MAX: Final = 20
BAD_ROW: Final = "bad-row"
BUSY: Final = (429, 503)


class Reject(NamedTuple):
    """A row of which we know that no order came of it, and why."""

    line: int
    client_order_id: str
    status: int
    code: str
    detail: str


@dataclass(slots=True)
class Tally:
    """What became of the rows so far."""

    read: int = 0
    accepted: int = 0
    replayed: int = 0
    rejected: int = 0
    by_code: Counter[str] = field(default_factory=Counter)
    first_rejects: list[Reject] = field(default_factory=list)
    keep: TextIO | None = None

    @property
    def unanswered(self) -> int:
        """Rows whose order may exist, or was never sent: nobody said."""
        return self.read - self.accepted - self.rejected

    def reject(self, reject: Reject, order: bytes | None) -> None:
        self.rejected += 1
        self.by_code[reject.code] += 1
        if len(self.first_rejects) < REJECTS_SHOWN_MAX:
            self.first_rejects.append(reject)
        if self.keep is not None:
            kept = reject._asdict() | {"order": json.loads(order) if order else None}
            self.keep.write(json.dumps(kept, ensure_ascii=False) + "\n")


def upload(
    call: Call, file: Path, *, list_id: str | None, session: str | None, rejects: Path | None
) -> None:
    """Send the file, print the summary, and end with what a script needs to know."""
    form = form_of(str(file))
    failure: Failure | None = None
    tally = Tally()
    with ExitStack() as open_files:
        source = _source(open_files, file)
        if rejects is not None:
            tally.keep = open_files.enter_context(_opened(rejects))
        fill = _Sessions(call.client, session)
        size = file.stat().st_size if file.is_file() else None
        advanced = open_files.enter_context(working("orders", size))
        try:
            for batch in _batches(read(_watched(source, advanced), form), fill, tally):
                _send(call.client, batch, list_id, tally)
        except Failure as e:
            failure = e
    if failure is not None and not tally.read:
        raise failure
    _show(call, tally)
    if failure is not None:
        tell(failure)
    _end(tally, failure)


def _batches(
    lines: Iterator[Line | BadRow], fill: "_Sessions", tally: Tally
) -> Iterator[list[Row]]:
    batch: list[Row] = []
    size = 0
    for line in lines:
        tally.read += 1
        if isinstance(line, BadRow):
            tally.reject(Reject(line.line, "", 0, BAD_ROW, line.detail), None)
            continue
        row = encoded(line.number, fill(line.fields))
        if len(batch) == BATCH_ORDERS_MAX or (batch and size + len(row.body) > BATCH_BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += len(row.body) + 1
    if batch:
        yield batch


def _send(client: Client, batch: Sequence[Row], list_id: str | None, tally: Tally) -> None:
    """Send one batch until each of its rows has a final answer, or patience ends."""
    todo = batch
    name = b"" if list_id is None else b'"list_id":' + json.dumps(list_id).encode() + b","
    for attempt in range(1, ATTEMPTS_MAX + 1):
        body = b"{" + name + b'"orders":[' + b",".join(row.body for row in todo) + b"]}"
        results = _results(client.insist("/v1/orders/batch", body).document, todo)
        again = _sort(todo, results, tally)
        todo = [row for row, _ in again]
        if not again:
            return
        if attempt < ATTEMPTS_MAX:
            client.wait(attempt, _longest_wait(again), _codes(again))


def _results(document: Any, sent: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the results, provided that they are those of the rows that were sent."""
    results = document.get("results") if isinstance(document, dict) else None
    names = [r.get("client_order_id") for r in results] if isinstance(results, list) else []
    # An order that the gateway cannot read at all has no name in its result.
    if len(names) != len(sent) or any(
        name not in {None, row.client_order_id} for name, row in zip(names, sent, strict=True)
    ):
        raise Failure(
            Ends.FAILED_CHECK,
            "the gateway's answer does not fit the batch",
            why=f"expected {len(sent)} results in the order of the file",
            advice="nothing is lost: send the same file again, and report this",
        )
    return list(results or ())


def _sort(
    sent: Sequence[Row], results: Sequence[dict[str, Any]], tally: Tally
) -> list[tuple[Row, dict[str, Any]]]:
    """Count the final answers; return the rows to send again."""
    again = []
    for row, result in zip(sent, results, strict=True):
        status, error = int(result["status"]), result.get("error") or {}
        if status in BUSY:
            again.append((row, error))
        elif "order" in result and not error:
            tally.accepted += 1
            tally.replayed += status == 200  # noqa: PLR2004 - it was taken before
        else:
            code, detail = str(error.get("code", status)), str(error.get("detail") or "")
            reject = Reject(row.line, row.client_order_id, status, code, detail)
            tally.reject(reject, row.body)
    return again


def _longest_wait(again: Sequence[tuple[Row, dict[str, Any]]]) -> float | None:
    asked = [error["retry_after"] for _, error in again if error.get("retry_after") is not None]
    return max(map(float, asked), default=None)


def _codes(again: Sequence[tuple[Row, dict[str, Any]]]) -> str:
    counts = Counter(str(error.get("code", "busy")) for _, error in again)
    return ", ".join(f"{count} {code}" for code, count in counts.items())


class _Sessions:
    """Gives the rows that name no session the one that was asked for."""

    def __init__(self, client: Client, wanted: str | None) -> None:
        self._client = client
        self._wanted = wanted
        self._next: dict[str, str | None] = {}

    def __call__(self, fields: dict[str, Any]) -> dict[str, Any]:
        if self._wanted is None or fields.get("trading_session_id"):
            return fields
        session = self._of(fields.get("market"))
        return fields if session is None else fields | {"trading_session_id": session}

    def _of(self, market: object) -> str | None:
        """Return the session, or None for a market that the gateway shall refuse itself."""
        if self._wanted != "next" or not isinstance(market, str) or not market:
            return None if self._wanted == "next" else self._wanted
        if market not in self._next:
            # Asked once, so that a bell that rings meanwhile cannot split the file.
            self._next[market] = self._asked(market)
        return self._next[market]

    def _asked(self, market: str) -> str | None:
        try:
            session = next_session(self._client, market)
        except Problem as e:
            if e.status != 422:  # noqa: PLR2004 - an unknown market spoils its own rows only
                raise
            return None
        say(f"{market}: the next session is {session}")
        return session


def _show(call: Call, tally: Tally) -> None:
    if call.screen.output is Output.JSON:
        counts = {
            name: getattr(tally, name)
            for name in ("read", "accepted", "replayed", "rejected", "unanswered")
        }
        shown = [reject._asdict() for reject in tally.first_rejects]
        call.show(counts | {"by_code": dict(tally.by_code), "first_rejects": shown})
        return
    print_out(f"read        {tally.read}")
    print_out(f"accepted    {tally.accepted}  ({tally.replayed} of them were taken before)")
    print_out(f"rejected    {tally.rejected}")
    for code, count in tally.by_code.most_common():
        print_out(f"  {count:>8}  {code}")
    print_out(f"unanswered  {tally.unanswered}")
    if tally.first_rejects:
        print_out("")
        print_out("\n".join(table([reject._asdict() for reject in tally.first_rejects])))
    hidden = tally.rejected - len(tally.first_rejects)
    if hidden:
        say(f"and {hidden} more: --rejects FILE keeps them all")


def _end(tally: Tally, failure: Failure | None) -> None:
    """Silence outweighs rejects: a script that runs the file again meets those again."""
    if failure is not None or tally.unanswered:
        say("not all rows were answered: send the same file again, the ids keep each order single")
        raise typer.Exit(failure.ends if failure is not None else Ends.TRY_AGAIN)
    if tally.rejected:
        raise typer.Exit(Ends.FAILED_CHECK)


def _source(open_files: ExitStack, file: Path) -> BinaryIO:
    if str(file) == "-":
        return sys.stdin.buffer
    try:
        return open_files.enter_context(file.open("rb"))
    except OSError as e:
        raise Failure(Ends.USAGE, f"cannot read {file}", why=str(e.strerror)) from e


def _opened(rejects: Path) -> TextIO:
    try:
        return rejects.open("w", encoding="utf-8")
    except OSError as e:
        raise Failure(Ends.USAGE, f"cannot write {rejects}", why=str(e.strerror)) from e


def _watched(source: BinaryIO, advanced: Callable[[int], None]) -> Iterator[bytes]:
    for line in source:
        advanced(len(line))
        yield line
