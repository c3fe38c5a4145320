"""Folds news into incidents, and says which of it is worth a person's attention. Pure.

An incident is the newest word about each of its anomalies and failovers, so hearing a word
twice, or late, changes nothing. What is told is an edge: opened, worse, over, a switch that
started, is held, is done; the figures in between ride along with the next edge. An event that is
no longer true is not told: an open anomaly ends with its `valid_until` (what goes on says so
again within seconds), anything else with the hour.

The trap is the restart: what was heard and not told must be heard again. So `told` keeps each
incident as people know it, apart from `incidents`, and only the former outlives a process.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple

from app.alarms.news import Act, Level, News, Switch, Trouble

# An incident has one or two of each. What comes beyond is counted with the rest of the topic.
FACTS_MAX: Final = 20
# A broker's bad evening is a handful; the oldest, and those that are over, are forgotten first.
INCIDENTS_MAX: Final = 200
# Older than this, a fact without an end of its own is history: a new subscriber that reads thirty
# days of a topic must not tell them.
STALE_MS: Final = 3_600_000
# What people hear of a failover; the states between them last for seconds.
TOLD_STATES: Final = frozenset({"held", "fencing", "done", "aborted", "halted"})
ENDED_STATES: Final = frozenset({"done", "aborted"})


class Heard(Enum):
    """What became of an event that tells nobody anything."""

    KNOWN = "known"
    STALE = "stale"
    QUIET = "quiet"


class Edge(NamedTuple):
    """Something to tell: of which incident, in one line."""

    incident_id: str
    line: str


class Incident(NamedTuple):
    """One episode: the newest word about all that it touches."""

    incident_id: str
    since: int
    facts: Mapping[str, News]

    @property
    def troubles(self) -> list[Trouble]:
        """Its anomalies, the loudest first; what is over comes last."""
        found = [fact for fact in self.facts.values() if isinstance(fact, Trouble)]
        return sorted(found, key=lambda it: (it.resolved, -it.level, it.at))

    @property
    def switch(self) -> Switch | None:
        """The failover that spoke last."""
        found = [fact for fact in self.facts.values() if isinstance(fact, Switch)]
        return max(found, key=lambda it: it.at, default=None)

    @property
    def act(self) -> Act | None:
        """What an operator did last."""
        found = [fact for fact in self.facts.values() if isinstance(fact, Act)]
        return max(found, key=lambda it: it.sequence, default=None)

    @property
    def drill(self) -> bool:
        """Whether nothing in it is meant."""
        return all(fact.drill for fact in self.facts.values())

    @property
    def level(self) -> Level:
        """How loud it is now."""
        open_ones = [it.level for it in self.troubles if not it.resolved]
        return max([*open_ones, self._level_of_switch(), self._level_of_act()])

    def _level_of_switch(self) -> Level:
        switch, troubles = self.switch, self.troubles
        if switch is None or switch.state in ENDED_STATES:
            return Level.OVER
        if troubles and all(it.resolved for it in troubles) and switch.state in {"held", "halted"}:
            return Level.OVER
        return Level.PAGE if switch.state == "halted" else Level.CRITICAL

    def _level_of_act(self) -> Level:
        return Level.OVER if self.act is None else self.act.level


class Digest:
    """What is known, and what people know."""

    def __init__(self) -> None:
        self.incidents: dict[str, Incident] = {}
        self.told: dict[str, Incident] = {}

    def hear(self, news: News, now: int) -> Edge | Heard:
        """Fold one word in; return what there is to tell, or why there is nothing."""
        incident = self.incidents.get(news.incident_id)
        before = incident.facts.get(news.id) if incident else None
        if isinstance(news, Act) and incident is not None:
            before = incident.act  # one chain: what came before the last act is told
        if before is not None and before.sequence >= news.sequence:
            return Heard.KNOWN
        if is_stale(news, now):
            return Heard.STALE
        if incident is None or _is_over(incident):
            incident = Incident(news.incident_id, news.at, {})
        facts = {name: fact for name, fact in incident.facts.items() if name != news.id}
        self._keep(incident._replace(facts=_bounded(facts) | {news.id: news}))
        line = _line(before, news, now)
        return Edge(news.incident_id, line) if line else Heard.QUIET

    def is_told(self, incident: Incident) -> None:
        """Note that people know the incident as it was then."""
        self.told.pop(incident.incident_id, None)
        self.told[incident.incident_id] = incident
        _forget_some(self.told)

    def recall(self, incident: Incident) -> None:
        """Take up what people knew when a former process ended."""
        self._keep(incident)
        self.is_told(incident)

    def _keep(self, incident: Incident) -> None:
        self.incidents.pop(incident.incident_id, None)
        self.incidents[incident.incident_id] = incident
        _forget_some(self.incidents)


def is_stale(news: News, now: int) -> bool:
    """Return whether this is no longer true, or no longer news."""
    if isinstance(news, Trouble) and not news.resolved:
        return news.valid_until < now
    return news.at < now - STALE_MS


def _is_over(incident: Incident) -> bool:
    """Return whether the next word of this name is another episode: only of what people did."""
    act = incident.act
    return act is not None and act.ends


def _bounded(facts: Mapping[str, News]) -> dict[str, News]:
    """Make room for one more: what is over goes first, then the oldest."""
    kept = dict(facts)
    while len(kept) >= FACTS_MAX:
        ended = [name for name, fact in kept.items() if _has_ended(fact)]
        del kept[(ended or list(kept))[0]]
    return kept


def _has_ended(fact: News) -> bool:
    match fact:
        case Trouble():
            return fact.resolved
        case Switch():
            return fact.state in ENDED_STATES
        case Act():
            return fact.ends


def _forget_some(incidents: dict[str, Incident]) -> None:
    while len(incidents) > INCIDENTS_MAX:
        former = list(incidents)[:-1]
        over = [name for name in former if incidents[name].level is Level.OVER]
        del incidents[(over or former)[0]]


def _line(before: News | None, after: News, now: int) -> str | None:
    """Return what is new about it, for a person, or None."""
    match after:
        case Trouble():
            return _line_of_trouble(before if isinstance(before, Trouble) else None, after, now)
        case Switch():
            return _line_of_switch(before if isinstance(before, Switch) else None, after)
        case Act():
            return f"{after.what} (by {after.actor}: {after.reason})"


def _line_of_trouble(before: Trouble | None, after: Trouble, now: int) -> str | None:
    if after.silenced_until > now:
        return None
    was_silent = before is not None and before.silenced_until > before.at
    name = f"{after.rule} on {after.subject}"
    level = after.level.name.lower()
    if after.resolved:
        is_known = before is not None and (before.resolved or was_silent)
        return None if is_known else f"{name}: over"
    if before is None or was_silent or before.resolved:
        return f"{name}: {level} ({after.observed}; raised at {after.raised})"
    if after.level > before.level:
        return f"{name}: now {level} ({after.observed})"
    if after.acknowledged_by and not before.acknowledged_by:
        return f"{name}: acknowledged by {after.acknowledged_by}"
    return None


def _line_of_switch(before: Switch | None, after: Switch) -> str | None:
    same = before is not None and (before.state, before.held_by) == (after.state, after.held_by)
    if after.state not in TOLD_STATES or same:
        return None
    kind = "failback" if after.kind == "failback" else f"{after.kind} failover"
    where = f"{kind} of {after.route}, {after.from_broker} -> {after.to_broker or 'nowhere'}"
    match after.state:
        case "held":
            return f"{where}: held by {', '.join(after.held_by) or after.reason}"
        case "fencing":
            return f"{where}: started ({after.reason})"
        case "done":
            return f"{where}: done, {after.moved} moved, {after.pinned} pinned in doubt"
        case "halted":
            return f"{where}: halted ({after.reason})"
        case _:
            return f"{where}: given up ({after.reason})"
