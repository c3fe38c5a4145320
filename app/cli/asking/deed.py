"""The verbs that do one thing to one thing, as rows of a table: pause, release, approve, undo.

A row says which door, what it does, and what stands in the way; whatever is true of every change
(the version that was read, the question, the name that is typed) is `change`'s business. The trap
is the verb that needs a word more than its siblings: it is a function of its own, beside its table.
"""

from collections.abc import Callable, Mapping
from inspect import Parameter
from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import unquote

import typer

from app.cli.asking.change import Grade, Hand, changes
from app.cli.asking.command import Call, Expires, Reason, made_of, seconds_of
from app.cli.asking.output import say

AuditId = Annotated[
    int,
    typer.Argument(min=1, help="The change, as its answer named it.", metavar="AUDIT_ID"),
]
AN_AUDIT_ID: Final = "1204"
_KIND: Final = Parameter.KEYWORD_ONLY


class Deed(NamedTuple):
    """One verb: its name, its door below the thing, and one sentence for the help."""

    name: str
    does: str
    why: tuple[str, str]  # the reasons of the two examples
    door: str = ""  # else the name
    method: str = "POST"
    # The part of the thing whose version it names; None: the thing itself, empty: nothing's.
    seen: str | None = None
    role: str = "operator"
    grade: Grade = Grade.YES
    tries: bool = False
    expires: bool = False
    undoes: bool = False  # names a change by its audit row
    fixed: Mapping[str, object] = {}
    after: str = ""  # what is said when it is done


class Thing(NamedTuple):
    """What the verbs of a noun are about."""

    noun: str
    argument: str
    annotation: Any
    path: Callable[[Call, str], str]
    example: str


def name_in(path: str) -> str:
    """Return the id that a path ends with: what `next:XNYS` came to."""
    return unquote(path.rpartition("/")[2])


def undo_of(what: str, door: str = "undo", seen: str | None = None) -> Deed:
    """Return the verb that takes a change of such a thing back."""
    return Deed(
        "undo",
        f"Take a change of {what} back, if it is still the last one.",
        ("a slip of the hand", "the wrong one, OPS-12"),
        door=door,
        seen=seen,
        undoes=True,
    )


def declare(app: typer.Typer, thing: Thing, *deeds: Deed) -> None:
    """Add these verbs to a noun."""
    for deed in deeds:
        _declare(app, thing, deed)


def _declare(app: typer.Typer, thing: Thing, deed: Deed) -> None:
    def run(hand: Hand, *, reason: str, **given: Any) -> None:
        path = thing.path(hand.call, given[thing.argument])
        body = {**deed.fixed, "reason": reason}
        if given.get("expires") is not None:
            body["ttl_s"] = seconds_of(given["expires"])
        query = {"audit_id": given["audit_id"]} if deed.undoes else {}
        seen = path if deed.seen is None else deed.seen and f"{path}/{deed.seen}"
        door = deed.door or deed.name
        target = path if door == "." else f"{path}/{door}"
        done = hand.turn(deed.method, target, body, seen=seen, name=name_in(path), query=query)
        if done is not None and deed.after:
            say(deed.after)

    made_of(run, _parameters(thing, deed), deed.does)
    subject = f"{thing.example} {AN_AUDIT_ID}" if deed.undoes else thing.example
    one, other = (f'{thing.noun} {deed.name} {subject} --reason "{why}"' for why in deed.why)
    changes(
        app,
        deed.name,
        examples=(f"{one}{' --expires 15m' if deed.expires else ''}", f"{other} --yes"),
        role=deed.role,
        grade=deed.grade,
        tries=deed.tries,
    )(run)


def _parameters(thing: Thing, deed: Deed) -> list[Parameter]:
    """Return what the verb takes; the first is the hand."""
    own = [
        Parameter("hand", _KIND, annotation=Hand),
        Parameter(thing.argument, _KIND, annotation=thing.annotation),
    ]
    if deed.undoes:
        own.append(Parameter("audit_id", _KIND, annotation=AuditId))
    own.append(Parameter("reason", _KIND, annotation=Reason))
    if deed.expires:
        own.append(Parameter("expires", _KIND, default=None, annotation=Expires))
    return own
