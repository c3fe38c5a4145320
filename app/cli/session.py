"""Trading sessions as the gateway knows them, overrides included.

Instants are RFC 3339 with an offset, or so long from now; the trap is "22:30", which is right in
Seoul for half of the year, so a time without an offset is refused. `next:XNYS` is the next
session of that market: "next" alone would be another market's on half of all days. `now:XNYS` is
the one that is open: after the bell, the next one is tomorrow's, and nothing waits for it.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import typer

from app.cli.asking.change import Hand, changes
from app.cli.asking.client import Client, segment
from app.cli.asking.command import Call, Reason, seconds_of, verb
from app.cli.asking.complete import session_ids
from app.cli.asking.deed import Deed, Thing, declare, name_in, undo_of
from app.cli.asking.output import Ends, Failure, Output, print_out
from app.cli.asking.problems import Problem
from app.clock import SystemClock
from app.domain.values import rfc3339

app = typer.Typer(
    no_args_is_help=True, help="Trading sessions: when they open, what waits for them."
)

Market = Annotated[str | None, typer.Option(help="Only of this market, a MIC.")]
SessionId = Annotated[
    str,
    typer.Argument(
        help="The session; or a market's next, or the one that is open now (else its next).",
        metavar="SESSION_ID|next:MIC|now:MIC",
        autocompletion=session_ids,
    ),
]
NEXT: Final = "next:"
NOW: Final = "now:"
COLUMNS: Final = ("trading_session_id", "market", "trade_date", "opens_at", "closes_at")
PLAN_COLUMNS: Final = (
    "broker_id",
    "route_id",
    "backlog",
    "tps",
    "source",
    "expected_end",
    "will_miss_cut_off",
)


def _instant(text: str) -> str:
    now = rfc3339(SystemClock().now())
    if text == "now" or text.startswith("+"):
        ahead = timedelta(seconds=seconds_of(text[1:]) or 0 if text != "now" else 0)
        at: datetime | None = datetime.fromisoformat(now) + ahead
    else:
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            at = None
    if at is None or at.tzinfo is None:
        raise typer.BadParameter(
            "expected a time with an offset (2026-11-23T23:30:00+09:00), now, or +6h from now"
        )
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Instant = Annotated[
    str, typer.Option(metavar="TIME", callback=_instant, help="RFC 3339, now, or +6h from now.")
]


@verb(
    app,
    "list",
    role="client",
    examples=("session list --market XNYS", "session list --market XKRX --json"),
)
def list_(call: Call, *, market: Market = None) -> None:
    """List the sessions that are open or come next."""
    call.show(call.get("/v1/sessions", market=market)["data"], *COLUMNS)


@verb(
    app,
    "get",
    role="client",
    examples=("session get XNYS-2026-11-23-REG", "session get XNYS-2026-11-23-REG --json"),
)
def get(call: Call, *, session_id: SessionId) -> None:
    """Show one session: its bells, and whether it is open."""
    call.show(call.get(f"/v1/sessions/{segment(_named(call.client, session_id))}"))


@verb(app, "next", role="client", examples=("session next", "session next --market XNYS --json"))
def next_(call: Call, *, market: Market = None) -> None:
    """Show each market's next session."""
    following: dict[str, dict[str, Any]] = {}
    for session in _following(call.client, market):
        following.setdefault(str(session["market"]), session)
    call.show(list(following.values()), *COLUMNS)


@verb(
    app,
    "plan",
    role="operator",
    examples=(
        "session plan next:XNYS",
        "session plan now:XNYS --json",
    ),
)
def plan(call: Call, *, session_id: SessionId) -> None:
    """Show what waits for a session, and when the last of it will have left."""
    told = call.get(f"{_session(call, session_id)}/plan")
    if call.screen.output is Output.JSON:
        call.show(told)
        return
    brokers = told["brokers"]
    call.show({**told["session"], "backlog": told["backlog"], **told["conservation"]})
    print_out("")
    call.show(brokers, *PLAN_COLUMNS)
    print_out("")
    call.show([{"broker_id": b["broker_id"]} | part for b in brokers for part in b["schedule"]])


@verb(
    app,
    "release",
    role="operator",
    examples=("session release next:XNYS", "session release XNYS-2026-11-23-REG --json"),
)
def release(call: Call, *, session_id: SessionId) -> None:
    """Show whether a session's orders leave when its bell rings, and who paused them."""
    call.show(call.get(_session(call, session_id)))


@verb(
    app,
    "overrides",
    role="operator",
    examples=("session overrides", "session overrides --json"),
)
def overrides(call: Call) -> None:
    """List the sessions whose bells somebody has moved."""
    call.show(call.get("/admin/v1/sessions/overrides")["data"])


@changes(
    app,
    "override",
    tries=True,
    examples=(
        (
            "session override XNYS-2026-11-27-REG --opens 2026-11-27T23:30:00+09:00"
            ' --closes 2026-11-28T03:00:00+09:00 --reason "closes early"'
        ),
        'session override next:XNAS --opens now --closes +6h --reason "a rehearsal"',
        (
            "session override XKRX-2026-12-03-REG --opens 2026-12-03T00:00:00Z"
            ' --closes 2026-12-03T00:00:00Z --reason "a holiday by decree"'
        ),
    ),
)
def override(
    hand: Hand, *, session_id: SessionId, opens: Instant, closes: Instant, reason: Reason
) -> None:
    """Move the bells of one session; both at one instant close the day."""
    body = {"opens_at": opens, "closes_at": closes, "reason": reason}
    session = _session(hand.call, session_id)
    path = f"{session}/override"
    hand.turn("PUT", path, body, seen=path, name=name_in(session))


def next_session(client: Client, market: str) -> str:
    """Return the id of the market's next session."""
    for session in _following(client, market):
        return str(session["trading_session_id"])
    raise Failure(
        Ends.NOT_FOUND,
        f"no session to come at {market or 'a row without a market'}",
        advice="openbell session list shows what the gateway knows",
    )


def session_now(client: Client, market: str) -> str:
    """Return the id of the market's open session, the one that opened last; else of the next."""
    # The gateway's word: its clock rings the bell, and ours may be a minute off.
    live = [s for s in _listed(client, market) if s["state"] == "open"]
    if not live:
        return next_session(client, market)
    return str(max(live, key=lambda s: str(s["opens_at"]))["trading_session_id"])


def _following(client: Client, market: str | None) -> list[dict[str, Any]]:
    """Return the sessions that open after now, the first first."""
    now = rfc3339(SystemClock().now())
    sessions = _listed(client, market)
    return sorted((s for s in sessions if s["opens_at"] > now), key=lambda s: str(s["opens_at"]))


def _listed(client: Client, market: str | None) -> list[dict[str, Any]]:
    """Return the sessions that are open or come next."""
    try:
        sessions: list[dict[str, Any]] = client.get("/v1/sessions", market=market)["data"]
    except Problem as e:
        if e.code != "scope-missing":
            raise
        # An operator's own key may see no orders, and so not that list.
        seen = client.get("/admin/v1/overview")
        both = [*seen["sessions_open"], *seen["sessions_next"]]
        sessions = [session for session in both if market in {None, session["market"]}]
    return sessions


def _named(client: Client, session_id: str) -> str:
    """Return the session's id; `next:XNYS` and `now:XNYS` are asked for."""
    if session_id.startswith(NEXT):
        return next_session(client, session_id.removeprefix(NEXT))
    if session_id.startswith(NOW):
        return session_now(client, session_id.removeprefix(NOW))
    return session_id


def _session(call: Call, session_id: str) -> str:
    return f"/admin/v1/sessions/{segment(_named(call.client, session_id))}"


declare(
    app,
    Thing("session", "session_id", SessionId, _session, "XNYS-2026-11-23-REG"),
    Deed(
        "pause",
        "Release no more orders of a session; what was released before goes on leaving.",
        ("the desk waits for news", "both brokers are slow, OPS-12"),
        tries=True,
        expires=True,
        after="its bell rings, and nothing of it leaves: openbell session resume ends that",
    ),
    Deed(
        "resume",
        "Release the orders of a session again.",
        ("the news is out", "OPS-12 is closed"),
        tries=True,
    ),
    Deed(
        "lift",
        "Give a session the bells of the calendar again.",
        ("the market opens as usual", "the rehearsal is over"),
        door="override",
        method="DELETE",
        seen="override",
        tries=True,
    ),
    undo_of("a session's bells", door="override/undo", seen="override"),
)
