"""What a rule is, and how an operator's version of one is read. Pure.

A rule raises above one number and clears below another, so that what stands between them starts
nothing and ends nothing. A document is an operator's: every fault in it is named at once, before
it is in force, because the next one who reads it is a broker at the open.
"""

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from app.diagnostics.signals import SIGNALS
from app.domain.anomaly import Severity

# As far back as the watch remembers: no window can be longer.
WINDOW_S_MAX: Final = 600.0
# Above it a float is not the number that was written, and of what is longer nobody is shown all.
NUMBER_MAX: Final = 2.0**53
SHOWN_CHARACTERS: Final = 40
SAMPLE_MAX: Final = 1_000_000
ACTIONS: Final = frozenset(
    {"failover", "lower_rate", "raise_tps", "halt_route", "reconcile", "none"}
)


class BadRule(ValueError):
    """A document that is no rule; the message names every fault."""


class Level(NamedTuple):
    """When it is how bad: the short window shows that it goes on, the long one that it is real."""

    severity: Severity
    raise_at: float
    window_s: float
    for_s: float = 0.0
    long_raise_at: float | None = None
    long_window_s: float | None = None


class Rule(NamedTuple):
    """One thing to watch for. It raises at or above a level, and clears at or below `clear_at`."""

    rule_id: str
    signal: str
    levels: tuple[Level, ...]  # the worst first
    clear_at: float
    clear_window_s: float
    clear_for_s: float = 0.0
    sample_min: int = 1  # fewer say nothing; clearing needs none
    action: str = "none"
    confidence: float = 1.0
    valid_for_s: float = 30.0
    version: int = 1
    enabled: bool = True


def document_of(rule: Rule) -> dict[str, object]:
    """Return a rule as operators see and edit it, as plain JSON values."""
    levels = {level.severity.value: _level_document(level) for level in rule.levels}
    return {
        "rule_id": rule.rule_id,
        "version": rule.version,
        "enabled": rule.enabled,
        "signal": rule.signal,
        "unit": SIGNALS[rule.signal].unit,
        **levels,
        "clear": {
            "at": rule.clear_at,
            "window_s": rule.clear_window_s,
            "for_s": rule.clear_for_s,
        },
        "sample_min": rule.sample_min,
        "action": rule.action,
        "confidence": rule.confidence,
        "valid_for_s": rule.valid_for_s,
    }


def _level_document(level: Level) -> dict[str, object]:
    found = level._asdict()
    del found["severity"]
    return {name: value for name, value in found.items() if value is not None}


def rule_from(document: Mapping[str, object], shipped: Mapping[str, Rule]) -> Rule:
    """Return an operator's version of a shipped rule, or raise `BadRule`.

    What the document leaves out stays as shipped; a level that is null is left out of the rule.
    """
    rule_id = document.get("rule_id")
    rule = shipped.get(rule_id) if isinstance(rule_id, str) else None
    if rule is None:
        raise BadRule(f"expected a rule_id among {sorted(shipped)}, was {rule_id!r}")
    reader = _Reader(document)
    found = reader.rule(rule)
    faults = reader.faults or _contradictions(found)
    if faults:
        raise BadRule("; ".join(faults))
    return found


class _Reader:
    """Reads one document and keeps every fault that it finds."""

    def __init__(self, document: Mapping[str, object]) -> None:
        self._document = document
        self.faults: list[str] = []

    def rule(self, shipped: Rule) -> Rule:
        given = self._document
        self._known("", given, {*document_of(shipped), *(s.value for s in Severity)})
        self._fixed(shipped)
        clear = self._part("clear", given.get("clear", {}))
        self._known("clear.", clear, {"at", "window_s", "for_s"})
        action = given.get("action", shipped.action)
        if action not in ACTIONS:
            self.faults.append(f"action: expected one of {sorted(ACTIONS)}, was {action!r}")
        enabled = given.get("enabled", shipped.enabled)
        if not isinstance(enabled, bool):
            self.faults.append(f"enabled: expected true or false, was {enabled!r}")
        levels = (self._level(severity, shipped) for severity in reversed(Severity))
        window = ("window_s", WINDOW_S_MAX)
        return shipped._replace(
            levels=tuple(level for level in levels if level is not None),
            clear_at=self._number("clear.", clear, "at", shipped.clear_at),
            clear_window_s=self._number("clear.", clear, window, shipped.clear_window_s),
            clear_for_s=self._number("clear.", clear, ("for_s", WINDOW_S_MAX), shipped.clear_for_s),
            sample_min=self._count("sample_min", shipped.sample_min, SAMPLE_MAX),
            action=str(action),
            confidence=self._number("", given, ("confidence", 1.0), shipped.confidence),
            valid_for_s=self._number("", given, ("valid_for_s", 3_600.0), shipped.valid_for_s),
            version=self._count("version", shipped.version, 2**53),
            enabled=enabled is True,
        )

    def _fixed(self, shipped: Rule) -> None:
        for name in ("signal", "unit"):
            word = document_of(shipped)[name]
            if self._document.get(name, word) != word:
                self.faults.append(f"{name}: {shipped.rule_id} is about {word!r}, for ever")

    def _level(self, severity: Severity, shipped: Rule) -> Level | None:
        standing = next((lv for lv in shipped.levels if lv.severity is severity), None)
        given = self._document.get(severity.value, {} if standing else None)
        if given is None:
            return None
        part = self._part(severity.value, given)
        where = f"{severity.value}."
        self._known(where, part, set(Level._fields) - {"severity"})
        basis = standing or Level(severity, math.nan, shipped.clear_window_s)
        window = ("window_s", WINDOW_S_MAX)
        return Level(
            severity,
            self._number(where, part, "raise_at", basis.raise_at),
            self._number(where, part, window, basis.window_s),
            self._number(where, part, ("for_s", WINDOW_S_MAX), basis.for_s),
            self._maybe(where, part, "long_raise_at", basis.long_raise_at),
            self._maybe(where, part, ("long_window_s", WINDOW_S_MAX), basis.long_window_s),
        )

    def _part(self, name: str, given: object) -> Mapping[str, object]:
        if isinstance(given, Mapping):
            return given
        self.faults.append(f"{name}: expected an object, was {given!r}")
        return {}

    def _known(self, where: str, given: Mapping[str, object], known: set[str]) -> None:
        strange = sorted(str(name) for name in given if name not in known)
        if strange:
            self.faults.append(f"{where or 'rule'}: unknown {strange}, known are {sorted(known)}")

    def _count(self, name: str, standing: int, most: int) -> int:
        value = self._document.get(name, standing)
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most:
            return value
        self.faults.append(f"{name}: expected a whole number from 1 to {most}, was {value!r}")
        return standing

    def _maybe(
        self,
        where: str,
        given: Mapping[str, object],
        name: str | tuple[str, float],
        standing: float | None,
    ) -> float | None:
        key = name if isinstance(name, str) else name[0]
        if given.get(key, standing) is None:
            return None
        return self._number(where, given, name, standing or 0.0)

    def _number(
        self,
        where: str,
        given: Mapping[str, object],
        name: str | tuple[str, float],
        standing: float,
    ) -> float:
        key, most = (name, NUMBER_MAX) if isinstance(name, str) else name
        value: Any = given.get(key, standing)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and 0 <= value <= most:  # neither is NaN
            return float(value)
        was = repr(value)[:SHOWN_CHARACTERS]
        self.faults.append(f"{where}{key}: expected a number from 0 to {most:g}, was {was}")
        return 0.0


def _contradictions(rule: Rule) -> list[str]:
    """Return what is wrong with a rule whose every word is right."""
    faults = [] if rule.levels else ["expected a warning or a critical level"]
    for level in rule.levels:
        name = level.severity.value
        if level.raise_at <= rule.clear_at:
            faults.append(
                f"{name}: expected to raise above {rule.clear_at:g}, where it clears,"
                f" was {level.raise_at:g}"
            )
        if (level.long_raise_at is None) != (level.long_window_s is None):
            faults.append(f"{name}: long_raise_at and long_window_s go together")
        if level.long_window_s is not None and level.long_window_s <= level.window_s:
            faults.append(f"{name}: expected long_window_s above {level.window_s:g}")
    return faults
