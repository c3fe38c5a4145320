"""What is held back until a person says so: the release of a session, and a proposal.

Both stand in the banner for as long as they hold something back: the trap is a pause that a
colleague set and nobody else knows of, and a proposal whose approver looks at a calm screen.
"""

from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

from app.domain.proposal import Proposal, ProposalState
from app.domain.session import SessionPause, TradingSession
from app.web.console.acts import TUNE, Act, Field, button
from app.web.console.grades import Grade
from app.web.console.markup import Safe, tag
from app.web.console.shapes import mark, moment
from app.web.console.sight import Book, Sight, Viewer

APPROVE: Final = "admin:approve"
EVERYBODY: Final = "*"
# A proposal of a thousand orders is read in the API; here one sees whom and what it is about.
TOLD_MAX: Final = 300


def paused(sight: Sight, book: Book) -> Iterator[SessionPause]:
    """Yield the pauses that hold back what is on the screen; one of last week holds nothing."""
    shown = {one.trading_session_id for one in (*sight.tonight, *sight.following)}
    for pause in book.pauses:
        if pause.paused and pause.trading_session_id in shown:
            yield pause


def release_button(session: TradingSession, book: Book, viewer: Viewer) -> Safe | None:
    """Return what holds a session's release back, or lets it go again."""
    name = session.trading_session_id
    known = {pause.trading_session_id: pause for pause in book.pauses}
    act = _release_act(known.get(name, SessionPause(name)), session.market)
    return button(act, viewer, TUNE)


def _release_act(pause: SessionPause, market: str) -> Act:
    name = pause.trading_session_id
    path = f"/admin/v1/sessions/{quote(name, safe='')}"
    if pause.paused:
        return Act(
            label=f"Release {market}…",
            title=f"{name}: release its orders again",
            says=f"{pause.changed_by} paused it: {pause.reason}. Its orders leave again after the"
            " bell, at the rates that are set. Undo: pause.",
            method="POST",
            path=f"{path}/resume",
            grade="name",
            version=pause.version,
            typed=name,
            previews=True,
            key="release",
        )
    return Act(
        label=f"Pause {market}…",
        title=f"{name}: pause its release",
        says="The bell rings, and no order of this session is released. What was released before"
        " goes on leaving, and cancels still pass. Undo: release.",
        method="POST",
        path=f"{path}/pause",
        grade="name",
        version=pause.version,
        fields=(Field("ttl_s", "Ends by itself after so many seconds", "number", required=False),),
        typed=name,
        previews=True,
        key="release",
    )


def asks(sight: Sight, viewer: Viewer) -> bool:
    """Whether something waits that this person has proposed: his screen is no other's then."""
    asked = sight.book.proposals if sight.book else ()
    return any(p.state is ProposalState.OPEN and p.proposed_by == viewer.name for p in asked)


def waiting(book: Book, viewer: Viewer) -> Iterator[Safe]:
    """Yield the proposals that wait for a second person, each with its two answers."""
    for one in book.proposals:
        mine = one.proposed_by == viewer.name
        if one.state is not ProposalState.OPEN or not (mine or EVERYBODY in viewer.accounts):
            continue
        answers = None if mine else [button(act, viewer, APPROVE) for act in _answers(one)]
        yield tag(
            "li",
            mark(Grade.WARNING, "ASKED"),
            f" {one.proposed_by} proposes: {_asks(one)}: {one.reason}",
            tag("span", " → another person decides, until ", moment(one.expires_at), class_="fix"),
            " ",
            answers,
            class_="warning",
        )


def _asks(one: Proposal) -> str:
    about = " ".join(str(part) for part in one.call["parts"].values())
    return f"{one.operation.replace('_', ' ')} {about}".strip()


def _answers(one: Proposal) -> Iterator[Act]:
    path = f"/admin/v1/proposals/{quote(one.proposal_id, safe='')}"
    asked = {**one.call.get("query", {}), **one.call.get("body", {})}
    told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in asked.items())
    told = told if len(told) <= TOLD_MAX else f"{told[:TOLD_MAX]}…"
    yield Act(
        label="Approve…",
        title=f"Approve: {_asks(one)}",
        says=f"{one.proposed_by} proposes {told or 'it'}: {one.reason}. It is done at once, in"
        " both your names. If what it is about has changed meanwhile, nothing happens.",
        method="POST",
        path=f"{path}/approve",
        grade="name",
        version=one.version,
        typed=one.operation,
    )
    yield Act(
        label="Decline",
        title=f"Decline: {_asks(one)}",
        says="Nothing of it happens, and it is closed.",
        method="POST",
        path=f"{path}/decline",
        grade="step",
        version=one.version,
    )
