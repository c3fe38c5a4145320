"""What an operator can do from the console, said as data: the one script asks and sends it.

An `Act` is a call of the operator API: its path, the version that was on the screen, what to
fill in, and how it is confirmed. Three grades: a small step is one click and a reason; a large
one wants its number typed a second time; a dangerous one wants the name of what it moves. The
server holds the line again on its own: no version, no reason or no name is refused there too.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import quote

from app.domain.halts import version_of
from app.domain.records import BrokerControl, Doubt, Halt, Route
from app.web.console.markup import Safe, as_json, tag
from app.web.console.sight import Viewer

TUNE: Final = "admin:tune"
HALT: Final = "admin:halt"
RESUME: Final = "admin:resume"
SETTLE: Final = "admin:settle"
MOVE: Final = "admin:failover"
# Up to here a step of the rate is small: it can be taken back before much has left.
STEP_PERCENT: Final = 5
SCOPES: Final = ("all", "route", "broker", "account", "symbol")
VERDICTS: Final = ("not_received", "accepted", "rejected", "canceled", "filled")

Grade = Literal["step", "number", "name"]


class Field(NamedTuple):
    """One thing to fill in; with `header`, it is sent beside the body and kept nowhere."""

    name: str
    label: str
    kind: Literal["number", "text", "select", "password"] = "text"
    value: str = ""
    options: tuple[str, ...] = ()
    header: str = ""
    required: bool = True
    shown_for: str = ""  # `verdict=filled|accepted`: only where another field says so


class Act(NamedTuple):
    """One call, and how it is asked about first."""

    label: str
    title: str
    says: str  # what it does, what it does not, how it is undone
    method: str
    path: str
    grade: Grade
    version: int | None = None
    fixed: Mapping[str, Any] = {}  # goes along as it is
    fields: tuple[Field, ...] = ()
    typed: str = ""  # for a name: what to type; `=a|b` is what stands in the first filled field
    previews: bool = False
    now: int | None = None  # for a number: what it is, to see how large the step is
    key: str = ""  # the key that presses it
    go: str = ""  # what the button in the dialog says, where it is not the label
    like: str = ""  # what fifty rows say alike stands on the page once, under this name


def button(act: Act, viewer: Viewer, scope: str, **attributes: str) -> Safe | None:
    """Return the button, if this viewer may press it."""
    if not viewer.may(scope):
        return None
    alike = ("says", "fields") if act.like else ()
    told = {name: value for name, value in _told(act).items() if name not in alike}
    return tag(
        "button",
        act.label,
        type="button",
        data_act=as_json(told),
        data_key=act.key or None,
        title=act.title,
        **attributes,
    )


def templates() -> Iterator[Safe]:
    """Yield what the acts of many rows have in common, for the script to look up."""
    doubt = Doubt("", "", "", "", "", 0, 0)
    for act in doubt_acts(doubt):
        alike = {name: value for name, value in _told(act).items() if name in {"says", "fields"}}
        yield tag("template", id=f"like-{act.like}", data_like=as_json(alike))


def _told(act: Act) -> dict[str, Any]:
    told = act._asdict() | {"fields": [field._asdict() for field in act.fields]}
    del told["label"]
    return told


def rate_acts(control: BrokerControl, contract: int) -> Iterator[Act]:
    """Yield a step down, a step up, and any number."""
    step = max(1, control.tps * STEP_PERCENT // 100)
    path = f"{_broker(control)}/rate"
    who = control.broker_id
    for label, tps, key in (
        (f"\N{MINUS SIGN}{step:,}", control.tps - step, "minus"),
        (f"+{step:,}", min(contract, control.tps + step), "plus"),
    ):
        if tps >= 1 and tps != control.tps:
            yield Act(
                label=label,
                title=f"{who}: {control.tps:,} to {tps:,} messages a second",
                says="Acts on the next message. Undo is offered afterwards.",
                method="PATCH",
                path=path,
                grade="step",
                version=control.version,
                fixed={"tps": tps},
                key=key,
            )
    yield rate_act(control, contract, control.tps, "Set…", "set")


def rate_act(control: BrokerControl, contract: int, tps: int, label: str, key: str = "") -> Act:
    """Return the act that sets any rate, with one to begin from."""
    return Act(
        label=label,
        title=f"{control.broker_id}: set the rate",
        says=f"Now {control.tps:,} a second; the contract allows {contract:,}. It acts on the next"
        " message. A step of more than a fifth wants the number twice, one of more than twice the"
        f" name {control.broker_id} as well.",
        method="PATCH",
        path=f"{_broker(control)}/rate",
        grade="number",
        version=control.version,
        fields=(
            Field("tps", "Messages a second", "number", str(tps)),
            Field("ttl_s", "Ends by itself after so many seconds", "number", required=False),
        ),
        typed=control.broker_id,
        previews=True,
        now=control.tps,
        go="Set the rate" if key else "",
        key=key,
    )


def dispatch_act(control: BrokerControl) -> Act:
    paused = control.dispatch != "running"
    return Act(
        label="Resume sending" if paused else "Pause…",
        title=f"{control.broker_id}: " + ("let orders leave again" if paused else "pause"),
        says="Orders leave again at the rate that is set."
        if paused
        else "No order leaves for this broker. What works there stays, and cancels still pass."
        " Undo: resume sending.",
        method="PUT",
        path=f"{_broker(control)}/dispatch",
        grade="step" if paused else "name",
        version=control.version,
        fixed={"state": "running" if paused else "paused"},
        typed="" if paused else control.broker_id,
        key="pause",
    )


def breaker_act(control: BrokerControl) -> Act:
    return Act(
        label="Breaker…",
        title=f"{control.broker_id}: what rules its breaker",
        says="auto: it rules itself. forced_open: nothing leaves. forced_closed: orders leave"
        " whatever the broker answers, so failures go on. Undo: auto.",
        method="PUT",
        path=f"{_broker(control)}/breaker",
        grade="name",
        version=control.version,
        fields=(
            Field(
                "mode",
                "Ruled by",
                "select",
                control.breaker,
                ("auto", "forced_open", "forced_closed", "metrics_only"),
            ),
            Field("ttl_s", "Ends by itself after so many seconds", "number", required=False),
        ),
        typed=control.broker_id,
        go="Set the breaker",
    )


def halt_act() -> Act:
    return Act(
        label="HALT…",
        title="Halt",
        says="Stops new sends in scope within 100 ms. It does NOT cancel working orders, and"
        " cancels still pass. Undo: resume, by another person than you.",
        method="POST",
        path="/admin/v1/halt",
        grade="name",
        fields=(
            Field("scope", "What", "select", "all", SCOPES),
            Field("id", "Which one", shown_for="scope=" + "|".join(SCOPES[1:])),
        ),
        typed="=id|scope",
        previews=True,
        key="halt",
    )


def resume_act(halt: Halt) -> Act:
    everything = halt.scope == "all"
    named = {} if everything else {"id": halt.target}
    return Act(
        label="Resume…",
        title=f"Resume {halt.scope if everything else halt.target}",
        says=f"{halt.halted_by} halted it: {halt.reason}. Orders in scope leave again at once, at"
        " the rates that are set. Only another person may resume. Undo: halt again.",
        method="POST",
        path="/admin/v1/resume",
        grade="name",
        version=version_of(halt),
        fixed={"scope": halt.scope, **named},
        typed="all" if everything else halt.target,
        previews=True,
    )


def failover_act(route: Route, brokers: tuple[str, ...]) -> Act:
    others = tuple(name for name in brokers if name != route.active_broker)
    return Act(
        label="Fail over…",
        title=f"Lead {route.route_id} to another broker",
        says=f"Leads {route.route_id} away from {route.active_broker}. Orders that were never sent"
        " go along; what was sent and what is in doubt stays there. forced passes over the checks."
        " Undo: fail over again.",
        method="POST",
        path=f"/admin/v1/routes/{quote(route.route_id, safe='')}/failover",
        grade="name",
        fixed={"expected_epoch": route.epoch},
        fields=(
            Field("to", "To", "select", others[0] if others else "", others),
            Field("kind", "Kind", "select", "planned", ("planned", "forced")),
        ),
        typed="=to",
        previews=True,
        key="failover",
    )


def doubt_acts(doubt: Doubt) -> Iterator[Act]:
    path = f"/admin/v1/in-doubt/{quote(doubt.order_id, safe='')}"
    yield Act(
        label="Probe",
        title=f"Ask {doubt.broker_id} about {doubt.order_id}",
        says="Asks the broker now and says what that proved. It sends no order.",
        method="POST",
        path=f"{path}/probe",
        grade="step",
        like="probe",
    )
    yield Act(
        label="Resolve…",
        title=f"Settle {doubt.order_id} by evidence",
        says="Your word ends the doubt. not_received lets the order be sent AGAIN: if the broker"
        " has it after all, it is there twice. There is no undo, and a second person stands by it.",
        method="POST",
        path=f"{path}/resolve",
        grade="name",
        version=doubt.version,
        fixed={"attempt_id": doubt.broker_order_key},
        fields=(
            Field("verdict", "What became of it", "select", "accepted", VERDICTS),
            Field("price", "At what price", shown_for="verdict=filled"),
            Field(
                "broker_order_id",
                "The broker's id, if it is known",
                required=False,
                shown_for="verdict=accepted|filled",
            ),
            Field("evidence", "Evidence, and where it stands"),
            Field("approver", "The second person's key", "password", header="X-Approver-Key"),
        ),
        typed=doubt.order_id,
        like="resolve",
    )


def seen_act(what: str, path: str, title: str, version: int) -> Act:
    return Act(
        label="Seen",
        title=title,
        says=f"Says that somebody has read this {what}. It stops nothing.",
        method="POST",
        path=path,
        grade="step",
        version=version,
    )


def _broker(control: BrokerControl) -> str:
    return f"/admin/v1/brokers/{quote(control.broker_id, safe='')}"
