"""Ends what was set for a time: policies of routes, bells and pauses of sessions, rules.

Each goes back to what it was for good, as the next version, audited as openbell's own doing. What
brokers' rows give back stands in `control`. A reader looks first, so that nothing is written four
times a second because nothing is due. The trap is several processes, each of which looks: they come
in the same quarter of a second, and whoever is second must find nothing left, not a newer version.
"""

from typing import Final

from sqlalchemy import Connection, text

from app.domain.records import Actor
from app.domain.reverting import FOR_GOOD, Spell, bells_ended
from app.ledger.failover import failovers
from app.ledger.operators import bells, control, pauses
from app.ledger.trouble import anomaly_rules

_DUE: Final = text(
    "SELECT (SELECT count(*) FROM session_overrides WHERE expires_at <= :now)"
    " + (SELECT count(*) FROM anomaly_rules WHERE expires_at <= :now)"
    " + (SELECT count(*) FROM session_pauses WHERE expires_at <= :now)"
)


def is_due(connection: Connection, now: int) -> bool:
    """Whether the time of something is over; the policies are few, and read whole."""
    rows: int = connection.execute(_DUE, {"now": now}).scalar_one()
    policies = failovers.policies(connection).values()
    return bool(rows) or any(p.ended(now) is not p for p in policies)


def end(connection: Connection, now: int) -> list[str]:
    """Bring back what stood before each; return what changed."""
    control.one_by_one(connection)  # before the first look: who waits here sees what the other did
    return [
        *_policies(connection, now),
        *_bells(connection, now),
        *_rules(connection, now),
        *_pauses(connection, now),
    ]


def _by(version: int) -> Actor:
    return Actor("openbell", f"time to live of version {version} is over")


def _policies(connection: Connection, now: int) -> list[str]:
    ended = []
    for policy in failovers.policies(connection).values():
        back = policy.ended(now)
        if back is not policy:
            failovers.set_policy(connection, back, policy.version, _by(policy.version), now)
            ended.append(f"route/{policy.route_id}")
    return ended


def _bells(connection: Connection, now: int) -> list[str]:
    ended = []
    for override in bells.in_force(connection):
        back = bells_ended(override, now)
        if back is not override:
            bells.put(connection, back, override.version, _by(override.version), now)
            ended.append(f"session/{override.trading_session_id}")
    return ended


def _pauses(connection: Connection, now: int) -> list[str]:
    ended = []
    for pause in pauses.every(connection):
        if Spell(pause.expires_at).is_over(now):
            back = pause._replace(paused=False, expires_at=None)
            pauses.put(connection, back, pause.version, _by(pause.version), now)
            ended.append(f"session-release/{pause.trading_session_id}")
    return ended


def _rules(connection: Connection, now: int) -> list[str]:
    ended = []
    for rule in anomaly_rules.rules(connection):
        spell = Spell(rule.expires_at, rule.reverts_to)
        if spell.is_over(now):
            back = (rule.rule_id, spell.back["document"])
            anomaly_rules.put(connection, back, rule.version, FOR_GOOD, _by(rule.version), now)
            ended.append(f"anomaly-rule/{rule.rule_id}")
    return ended
