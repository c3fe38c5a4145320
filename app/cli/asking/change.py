"""How an operator changes anything from here: it is read, shown, agreed to, and then sent.

    @changes(app, "lock", examples=(…), tries=True)
    def lock(hand: Hand, *, route_id: RouteId, reason: Reason) -> None: ...
        hand.turn("PUT", f"{path}/lock", body, seen=path, name=route_id)

The version that was read leaves as `If-Match`, the name that was typed as `X-Confirm`: for a door
that does not ask for them they are nothing. Nobody is asked where there is no terminal, for a
script has decided when it was written; what is dangerous is refused by the door itself unless
`--confirm` names it. The trap is a yes to what was never shown: so what was read before the
question is what the change is sent on, and whoever was faster turns it into a conflict.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum
from inspect import Parameter, signature
from typing import Annotated, Any, Final, NamedTuple

import typer

from app.cli.asking.client import Client, with_query
from app.cli.asking.command import Body, Call, DryRun, made_of, verb
from app.cli.asking.difference import would_lines
from app.cli.asking.output import Ends, Failure, say
from app.cli.asking.problems import Problem

# An operator sees more than this at a glance, and hardly reads it.
LINES_MAX: Final = 24
CONFIRM_REQUIRED: Final = "confirm-required"
IF_MATCH_REQUIRED: Final = "if-match-required"
NO_SUCH_READ: Final = (404, 405)
Ask = Callable[[str], str]


class Grade(IntEnum):
    """What a person at a terminal has to answer."""

    NOTHING = 0  # it takes nothing away, and is soon put right
    YES = 1
    NAME = 2  # type the name of what is changed


class Seen(NamedTuple):
    """What stood there, and which version that was."""

    document: Mapping[str, Any] = {}
    etag: str | None = None
    missing: Problem | None = None  # why there is nothing


class Sure(NamedTuple):
    """How certain somebody is: what was said beforehand, and whom to ask for the rest."""

    yes: bool = False
    confirm: str | None = None
    dry_run: bool = False
    ask: Ask | None = None

    def agreed(self, question: str, name: str, grade: Grade) -> str | None:
        """Return the name that confirms it, or raise: nothing is to be done."""
        if self.confirm is not None:
            if self.confirm != name:
                raise Failure(
                    Ends.USAGE, f"expected --confirm {name}, was {self.confirm}; nothing is changed"
                )
            return name
        if self.ask is None or grade is Grade.NOTHING:
            return None
        if grade is Grade.NAME:
            return self.typed(question, name)
        if not self.yes and self.ask(f"{question}? [y/N] ").strip().lower() not in {"y", "yes"}:
            raise _unwanted()
        return None

    def typed(self, question: str, name: str) -> str:
        assert self.ask is not None, "somebody is there"
        if self.ask(f"{question}: type {name} to go on: ").strip() != name:
            raise _unwanted()
        return name


def _unwanted() -> Failure:
    return Failure(Ends.FAILED_CHECK, "nothing is changed", why="it was not agreed to")


class _Turn(NamedTuple):
    """One change: what is sent, and what it was decided on."""

    method: str
    path: str
    body: Mapping[str, Any]
    found: Seen
    query: Mapping[str, object]
    headers: Mapping[str, str]

    def made(self, client: Client, confirm: str | None, **more: str) -> Any:
        """Send it, and return the answer; whoever comes second is told what stands there now."""
        headers = {**self.headers} | ({"X-Confirm": confirm} if confirm else {})
        path = with_query(self.path, {**self.query} | more)
        try:
            return client.call(self.method, path, self.body, headers).document
        except Problem as e:
            if e.code == IF_MATCH_REQUIRED and self.found.missing is not None:
                # It wants the version of something that is not there: that is what is wrong.
                raise self.found.missing from e
            e.compare(self.found.document)
            raise


class Hand(NamedTuple):
    """What a changing verb works with: a call, and how sure somebody is."""

    call: Call
    word: str
    grade: Grade
    tries: bool  # the door knows what would happen
    sure: Sure

    def turn(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any],
        *,
        seen: str | Seen,
        name: str,
        query: Mapping[str, object] | None = None,
    ) -> Any:
        """Change it as it was seen and show the answer; return it, or None after a dry run."""
        done = self.sent(method, path, body, seen=seen, name=name, query=query)
        self.call.show(done)
        return None if self.sure.dry_run else done

    def sent(  # noqa: PLR0913 - what a change is
        self,
        method: str,
        path: str,
        body: Mapping[str, Any],
        *,
        seen: str | Seen,
        name: str,
        query: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Change it as it was seen, after a yes; return the answer, or that of a dry run."""
        found = seen if isinstance(seen, Seen) else look(self.call.client, seen)
        own = {"If-Match": found.etag} if found.etag else {}
        turn = _Turn(method, path, body, found, query or {}, own | dict(headers or {}))
        if self.sure.dry_run:
            return turn.made(self.call.client, name, dry_run="true")
        if self.asks:
            would = turn.made(self.call.client, name, dry_run="true") if self.tries else None
            self.tell(would_lines(found.document, body, would))
        question = f"{self.said} {name}"
        confirmed = self.sure.agreed(question, name, self.grade)
        try:
            return turn.made(self.call.client, confirmed)
        except Problem as e:
            if e.code != CONFIRM_REQUIRED or confirmed is not None:
                raise
            wanted = str((e.document.get("context") or {}).get("confirm", name))
            if self.sure.ask is None:
                e.advice = self.call.again("--confirm", wanted)
                raise
            say(e.why)
        return turn.made(self.call.client, self.sure.typed(question, wanted))

    @property
    def said(self) -> str:
        """Return the verb with its nouns, as they were typed: `halt off`, not `off`."""
        words = self.call.words
        return " ".join(words[: words.index(self.word) + 1]) if self.word in words else self.word

    @property
    def asks(self) -> bool:
        """Whether somebody is asked, and so has to see what it is about."""
        sure = self.sure
        needless = sure.yes and self.grade is not Grade.NAME
        return not (sure.ask is None or sure.confirm or needless or self.grade is Grade.NOTHING)

    def tell(self, lines: list[str]) -> None:
        """Say what would change, on the other stream than the data."""
        for line in lines[:LINES_MAX]:
            say(f"  {line}")
        if len(lines) > LINES_MAX:
            say(f"  and {len(lines) - LINES_MAX} lines more: --json of the verb that shows it")


def look(client: Client, path: str) -> Seen:
    """Return what stands at a path and its version; nothing, where no door shows it."""
    if not path:
        return Seen()
    try:
        reply = client.call("GET", path)
    except Problem as e:
        if e.status in NO_SUCH_READ:
            return Seen(missing=e)  # what is first set by this change has no read either
        raise
    document = reply.document if isinstance(reply.document, dict) else {}
    return Seen(document, reply.headers.get("etag"))


def row(client: Client, path: str, wanted: Mapping[str, str], missing: str, advice: str) -> Seen:
    """Return the row of a listing that has these facts, and its version; raise if none has."""
    for one in client.get(path)["data"]:
        if all(one.get(name) == text for name, text in wanted.items()):
            return seen_in(one)
    raise Failure(Ends.NOT_FOUND, missing, advice=advice)


def seen_in(document: Mapping[str, Any]) -> Seen:
    """Return what a row or an answer says: its version is what its ETag would be."""
    version = document.get("version")
    return Seen(document, None if version is None else f'"v{version}"')


def _asked(question: str) -> str:
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline()


def someone() -> Ask | None:
    """Return how to ask whoever sits there; None where nobody does."""
    return _asked if sys.stdin.isatty() and sys.stderr.isatty() else None


Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; --reason has said why.")]
Confirm = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Name what is changed, where its name would be asked for."),
]


def changes(
    app: typer.Typer,
    name: str,
    *,
    examples: tuple[str, ...],
    role: str = "operator",
    grade: Grade = Grade.YES,
    tries: bool = False,
    **how: Any,
) -> Callable[[Callable[..., None]], Body]:
    """Declare a verb that changes something: its body takes a `Hand`."""

    def declare(body: Callable[..., None]) -> Body:
        def run(call: Call, **options: Any) -> None:
            yes, confirm = options.pop("yes"), options.pop("confirm")
            sure = Sure(yes, confirm, options.pop("dry_run", False), someone())
            body(Hand(call, name, grade, tries, sure), **options)

        first, *own = signature(body).parameters.values()
        made_of(run, [first, *own, *_how_sure(tries=tries)], body.__doc__)
        return verb(app, name, role=role, examples=examples, **how)(run)

    return declare


def _how_sure(*, tries: bool) -> Iterator[Parameter]:
    kind = Parameter.KEYWORD_ONLY
    yield Parameter("yes", kind, default=False, annotation=Yes)
    yield Parameter("confirm", kind, default=None, annotation=Confirm)
    if tries:
        yield Parameter("dry_run", kind, default=False, annotation=DryRun)
