"""Finds the words for an incident: what happened, what the gateway did, what is left to do. Pure.

The words fit any channel; `payload` gives them Slack's shape. Each says everything that is known
now, so that whoever reads only the last one has missed nothing. The trap is a message that
reports and does not help: at the open somebody reads it on a telephone, and acts on it.
"""

from typing import Final, NamedTuple
from urllib.parse import quote

from app.alarms.digest import ENDED_STATES, Incident
from app.alarms.news import Act, Level, Switch, Trouble
from app.alarms.waiting import Ticket
from app.domain.values import rfc3339

SHOWN_MAX: Final = 8  # anomalies of one incident that are described
LOUD: Final = {
    Level.OVER: "OVER",
    Level.NOTICE: "NOTICE",
    Level.WARNING: "WARNING",
    Level.CRITICAL: "CRITICAL",
    Level.PAGE: "PAGE",
}
# What to do about a switch that is held, by the reason that policy gives.
_HELD: Final = {
    "automation_off": "Automatic failover is off here: decide by hand.",
    "automation_advise": "Automation only advises here: fail over by hand if you agree.",
    "locked": "The route is locked: lift the lock, or force a failover by hand.",
    "common_cause": "Several brokers are bad at once: look at our own network and clock first.",
    "cooldown": "It goes on by itself when the cool-down is over; force it if that is too late.",
    "session_limit": "It switched often enough today: choose a broker by hand, and lock the route.",
    "unacknowledged": "Acknowledge the last failover, so that the next may start by itself.",
    "target_bad": "The new broker is bad too: choose by hand where this route goes.",
}
# From here on the route has its new broker, whatever comes of it.
_FENCED: Final = frozenset({"fencing", "draining", "ramping"})
_RECOMMENDED: Final = {
    "failover": "Nothing yet: a switch needs confirmation. Watch it, or fail over by hand.",
    "lower_rate": "Lower the broker's rate if it goes on: openbell broker rate set",
    "raise_tps": "Raise the rate, or open a second route: openbell broker rate set",
    "halt_route": "Halt the route until it is understood: openbell halt on",
    "reconcile": "Settle what is in doubt: openbell doubt list",
}


class Message(NamedTuple):
    """What people are told, in no channel's shape."""

    incident_id: str
    level: Level
    drill: bool
    title: str
    news: tuple[str, ...]  # what is new, one line each
    did: str
    left: str
    fields: tuple[tuple[str, str], ...] = ()
    context: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        """All of it that matters, where nothing but text is shown."""
        parts = [self.title, *self.news, self.did]
        parts += [f"To do: {self.left}"] if self.left else []
        return "\n".join(part for part in parts if part)


def compose(incident: Incident, ticket: Ticket, console_url: str | None) -> Message:
    """Return the message about an incident as it is now."""
    switch, act, troubles = incident.switch, incident.act, incident.troubles
    mark = "DRILL " if incident.drill else ""
    return Message(
        incident_id=incident.incident_id,
        level=incident.level,
        drill=incident.drill,
        title=f"{mark}{LOUD[incident.level]}: {_summary(switch, act, troubles)}",
        news=_news(ticket),
        did=_did(switch, act),
        left=_left(incident),
        fields=_fields(incident),
        context=(*map(_described, troubles[:SHOWN_MAX]), f"incident {incident.incident_id}"),
        links=_links(incident, console_url),
    )


def compose_many(ticket: Ticket) -> Message:
    """Return the one message about incidents that found no place of their own."""
    return Message(
        incident_id=ticket.incident_id,
        level=ticket.level,
        drill=False,
        title=f"{LOUD[ticket.level]}: {ticket.incidents} further incidents",
        news=_news(ticket),
        did="",
        left="More happened than can be told one by one. See them all: openbell anomaly list",
    )


def test_message(console_url: str | None) -> Message:
    """Return what a person sends to see that people would be told."""
    return Message(
        incident_id="test",
        level=Level.NOTICE,
        drill=True,
        title="DRILL NOTICE: openbell can tell you here",
        news=("Somebody ran: openbell slack test",),
        did="Nothing has happened.",
        left="Nothing.",
        links=() if console_url is None else (("Console", console_url),),
    )


def _news(ticket: Ticket) -> tuple[str, ...]:
    more = (f"(and {ticket.unsaid} before these)",) if ticket.unsaid else ()
    return (*more, *ticket.lines)


def _summary(switch: Switch | None, act: Act | None, troubles: list[Trouble]) -> str:
    if switch is not None:
        target = switch.to_broker or "nowhere"
        if switch.state == "held" and _is_fenced(switch):
            return f"route {switch.route} is at {target} now, and held there"
        return {
            "held": f"route {switch.route} stays at {switch.from_broker}, its failover is held",
            "done": f"route {switch.route} moved from {switch.from_broker} to {target}",
            "aborted": f"route {switch.route} stays at {switch.from_broker}, failover given up",
            "halted": f"route {switch.route} is halted, no broker can take its orders",
        }.get(switch.state, f"route {switch.route} moves from {switch.from_broker} to {target}")
    if troubles:
        more = f" and {len(troubles) - 1} more" if len(troubles) > 1 else ""
        return f"{troubles[0].subject}, {troubles[0].rule}{more}"
    return act.what if act is not None else "nothing is known"


def _did(switch: Switch | None, act: Act | None) -> str:
    if switch is not None:
        return _did_by_switch(switch)
    if act is not None:
        return f"{act.actor} did it: {act.reason}"
    return "The gateway has changed nothing."


def _did_by_switch(switch: Switch) -> str:
    match switch.state:
        case "held":
            return f"The gateway holds still: {', '.join(switch.held_by) or switch.reason}."
        case "aborted":
            return f"The gateway gave the switch up: {switch.reason}. Nothing has moved."
        case "halted":
            return (
                f"The gateway stopped sending on {switch.route}: {switch.reason}."
                " Orders stay queued and durable."
            )
        case "done":
            return (
                f"The gateway moved {switch.moved} orders that were never sent to"
                f" {switch.to_broker}; {switch.pinned} in doubt stay at {switch.from_broker}"
                f" and are never sent again by themselves.{_took(switch)}"
            )
        case _:
            return (
                f"The gateway is moving {switch.route} to {switch.to_broker}: {switch.reason}."
                f" Orders that were sent stay at {switch.from_broker}."
            )


def _took(switch: Switch) -> str:
    if not switch.steps:
        return ""
    began = switch.steps[0][1]
    told = ", ".join(f"{state} +{(at - began) / 1000:.1f} s" for state, at in switch.steps)
    return f" ({told})"


def _left(incident: Incident) -> str:
    switch, act = incident.switch, incident.act
    parts = _left_by_switch(switch) if switch is not None else []
    if switch is None:
        parts = [_RECOMMENDED[it.action] for it in incident.troubles if _helps(it)][:1]
    if act is not None and act.left:
        parts.append(act.left)
    open_ones = [it for it in incident.troubles if not it.resolved]
    if open_ones and not any(it.acknowledged_by for it in open_ones):
        parts.append(f"Say that you look at it: openbell anomaly ack {open_ones[0].id}")
    return " ".join(parts) if parts else "Nothing."


def _helps(trouble: Trouble) -> bool:
    return not trouble.resolved and trouble.action in _RECOMMENDED


def _left_by_switch(switch: Switch) -> list[str]:
    doubts = f"Settle the {switch.pinned} in doubt at {switch.from_broker}: openbell doubt list."
    parts = [doubts] if switch.pinned else []
    match switch.state:
        case "held":
            known = [_HELD[name] for name in switch.held_by if name in _HELD]
            parts += known or ["Decide by hand."]
        case "done":
            parts.append("Acknowledge the failover, so that the next may start by itself.")
        case "halted":
            parts.append("Bring one broker back; nothing is sent on this route before that.")
        case _:
            pass
    return parts


def _is_fenced(switch: Switch) -> bool:
    return any(state in _FENCED for state, _ in switch.steps)


def _fields(incident: Incident) -> tuple[tuple[str, str], ...]:
    switch, troubles = incident.switch, incident.troubles
    route = switch.route if switch else next((it.route for it in troubles if it.route), None)
    epoch = switch.epoch if switch else next((it.epoch for it in troubles if it.epoch), None)
    known = {
        "Route": route,
        "From -> to": f"{switch.from_broker} -> {switch.to_broker or '-'}" if switch else None,
        "Epoch": epoch,
        "In doubt, pinned": switch.pinned if switch else _figure(troubles, "in_doubt"),
        "Backlog": _figure(troubles, "backlog"),
        "ETA": _seconds(_figure(troubles, "eta_s")),
        "Since": rfc3339(incident.since),
    }
    return tuple((name, str(value)) for name, value in known.items() if value is not None)


def _figure(troubles: list[Trouble], name: str) -> float | None:
    """Return the newest figure of this name that some rule has seen."""
    seen = [it for it in troubles if name in it.evidence]
    return max(seen, key=lambda it: it.at).evidence[name] if seen else None


def _seconds(value: float | None) -> str | None:
    return None if value is None else f"{value:.0f} s"


def _described(trouble: Trouble) -> str:
    state = "over" if trouble.resolved else trouble.level.name.lower()
    witnesses = f"; witnesses {', '.join(trouble.witnesses)}" if trouble.witnesses else ""
    return (
        f"{trouble.rule} on {trouble.subject}, {state}:"
        f" {trouble.observed}, raised at {trouble.raised}{witnesses}"
    )


def _links(incident: Incident, console_url: str | None) -> tuple[tuple[str, str], ...]:
    """Return where to look further; a fragment leads to the console, whatever it knows."""
    if console_url is None:
        return ()
    console = console_url.rstrip("/")
    links = [("Incident", f"{console}#incident={quote(incident.incident_id, safe='')}")]
    switch = incident.switch
    if switch is not None:
        links.append(("Route", f"{console}#route={quote(switch.route, safe='')}"))
        if switch.pinned or switch.state not in ENDED_STATES:
            links.append(("In doubt", f"{console}#in-doubt"))
    return tuple(links)
