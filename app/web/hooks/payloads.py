"""Reads what Alertmanager, Grafana and others post, as leniently as it can be read.

    {"alerts": [{status, labels, annotations, startsAt, fingerprint}, …], "status", …}
    {"name"|"title"|"alertname", "status"|"state", "subject", "severity", "message", …}

Templates replace payloads, versions add and drop fields, and a refusal is for ever: a sender
does not repeat what was answered with a 400. So only what has no alert in it is nonsense. The
labels `openbell_subject`, `openbell_severity` and `openbell_drill` say what we cannot guess. The
trap is what strangers put into labels: whatever names an account or a customer is left out.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from app import codec
from app.domain.alerts import OutsideAlert
from app.domain.anomaly import Severity, Subject
from app.domain.values import legible

Item = Mapping[str, Any]

# A group of alerts is some hundreds at the worst; more is not read by anybody.
ALERTS_MAX: Final = 1_000
LABELS_MAX: Final = 32
LETTERS_MAX: Final = 200
SUMMARY_MAX: Final = 500
INSTANT_MAX: Final = 2**53
SUBJECT: Final = re.compile(r"([a-z][a-z0-9_]{0,31})/([A-Za-z0-9._:-]{1,64})")
OVER: Final = frozenset({"resolved", "ok", "recovered", "normal", "inactive", "closed"})
LOUD: Final = frozenset({"critical", "page", "emergency", "fatal", "error", "p1", "high"})
PRIVATE: Final = re.compile(r"account|customer|client_order", re.IGNORECASE)
NAMES: Final = ("alertname", "name", "rule", "title")
STATES: Final = ("status", "state")
STARTS: Final = ("startsAt", "starts_at", "activeAt", "timestamp", "@timestamp")
SUMMARIES: Final = ("summary", "description", "message", "reason")


class Nonsense(ValueError):
    """There is no alert in it."""


def alerts_of(source: str, raw: bytes, now: int) -> list[OutsideAlert]:
    """Return the alerts of a payload, or raise `Nonsense`."""
    try:
        body = codec.decode(raw)
    except (codec.Malformed, RecursionError, UnicodeDecodeError) as e:
        raise Nonsense("expected JSON") from e
    if isinstance(body, list):
        body = {"alerts": body}
    if not isinstance(body, dict):
        raise Nonsense("expected an object")
    listed = body.get("alerts")
    if not isinstance(listed, list):
        if not (_first(body, NAMES) or _first(_texts(body.get("labels")), NAMES)):
            raise Nonsense("expected `alerts`, or one alert with a name")
        return [_alert(source, body, {}, now)]
    items = [item for item in listed[:ALERTS_MAX] if isinstance(item, dict)]
    if listed and not items:
        raise Nonsense("expected objects in `alerts`")
    return [_alert(source, item, body, now) for item in items]


def _alert(source: str, item: Item, around: Item, now: int) -> OutsideAlert:
    labels = _texts(around.get("commonLabels")) | _texts(item.get("labels"))
    notes = _texts(around.get("commonAnnotations")) | _texts(item.get("annotations"))
    name = _first(labels, NAMES) or _first(item, NAMES) or _first(around, NAMES) or "unnamed"
    state = _first(item, STATES) or _first(around, STATES) or "firing"
    loudness = labels.get("openbell_severity") or labels.get("severity") or item.get("severity")
    summary = _first(notes, SUMMARIES) or _first(item, SUMMARIES) or _first(around, SUMMARIES)
    return OutsideAlert(
        source=source,
        fingerprint=_first(item, ("fingerprint", "id", "alert_id")) or _print_of(name, labels),
        starts_at=_instant(_first(item, STARTS)) or now,
        firing=state.lower() not in OVER,
        name=name,
        subject=_subject(source, labels, item),
        severity=Severity.CRITICAL if str(loudness).lower() in LOUD else Severity.WARNING,
        summary=(summary or "")[:SUMMARY_MAX],
        labels=dict(sorted(labels.items())[:LABELS_MAX]),
        drill=labels.get("openbell_drill", "").lower() == "true",
    )


def _subject(source: str, labels: Mapping[str, str], item: Item) -> Subject:
    for named in (labels.get("openbell_subject"), item.get("subject")):
        found = SUBJECT.fullmatch(str(named))
        if found:
            return Subject(found[1], found[2])
    for kind in ("broker", "route"):
        named = labels.get(kind) or labels.get(f"{kind}_id")
        if named and SUBJECT.fullmatch(f"{kind}/{named}"):
            return Subject(kind, named)
    return Subject("gateway", source)


def _texts(given: object) -> dict[str, str]:
    """Return labels as short plain texts, without what is nobody's business."""
    if not isinstance(given, dict):
        return {}
    return {
        legible(name)[:LETTERS_MAX]: _text(value)
        for name, value in given.items()
        if isinstance(value, str | int | float) and not PRIVATE.search(name)
    }


def _text(value: object) -> str:
    return legible(str(value))[:LETTERS_MAX]


def _first(given: Item, names: Sequence[str]) -> str | None:
    for name in names:
        value = given.get(name)
        if isinstance(value, str | int | float) and value != "":
            return legible(str(value))[:SUMMARY_MAX]
    return None


def _print_of(name: str, labels: Mapping[str, str]) -> str:
    """Return a fingerprint for who sends none: the same alert has the same one."""
    return hashlib.sha256(codec.encode([name, sorted(labels.items())])).hexdigest()[:16]


def _instant(text: str | None) -> int | None:
    """Return milliseconds since 1970; what cannot be read, or is no time at all, is none."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
        milliseconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000
    except (ValueError, OverflowError):
        return None
    return int(milliseconds) if 0 < milliseconds < INSTANT_MAX else None
