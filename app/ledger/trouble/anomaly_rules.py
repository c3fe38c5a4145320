"""Operators' versions of the rules: a document each, compare-and-set and audited.

What stands here was checked before it came; what a rule is, the ledger does not know. A rule
without a row is as it was shipped, and its first version here follows the shipped one's number.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, text

from app import codec
from app.domain.errors import Code, Refused
from app.domain.records import Actor, Change
from app.domain.reverting import Spell
from app.domain.values import rfc3339
from app.ledger.operators import audit
from app.ledger.operators.control import one_by_one
from app.ports.trouble import RuleKept

_ALL: Final = text(
    "SELECT rule_id, version, document, changed_by, changed_at, reason, expires_at, reverts_to"
    " FROM anomaly_rules ORDER BY rule_id"
)
_PUT: Final = text(
    "INSERT INTO anomaly_rules (rule_id, version, document, changed_by, changed_at, reason,"
    " expires_at, reverts_to) VALUES (:rule_id, :version, :document, :changed_by, :changed_at,"
    " :reason, :expires_at, :reverts_to)"
    " ON CONFLICT (rule_id) DO UPDATE SET version = excluded.version,"
    " document = excluded.document, changed_by = excluded.changed_by,"
    " changed_at = excluded.changed_at, reason = excluded.reason,"
    " expires_at = excluded.expires_at, reverts_to = excluded.reverts_to"
)


def rules(connection: Connection) -> list[RuleKept]:
    return [
        RuleKept(*row)._replace(document=codec.decode(row.document))
        for row in connection.execute(_ALL)
    ]


def put(
    connection: Connection,
    wanted: tuple[str, Mapping[str, object]],
    seen: int,
    spell: Spell,
    by: Actor,
    now: int,
) -> RuleKept:
    """Keep (rule id, document) as the version after the one seen, or say which one stands."""
    rule_id, document = wanted
    one_by_one(connection)
    before = next((rule for rule in rules(connection) if rule.rule_id == rule_id), None)
    if before is not None and before.version != seen:
        raise Refused(
            Code.STALE_VERSION,
            f"{before.changed_by} changed this: the version is {before.version}",
            current=before._asdict(),
            changed_by=before.changed_by,
            changed_at=rfc3339(before.changed_at),
        )
    version = seen + 1
    kept = RuleKept(
        rule_id, version, {**document, "version": version}, by.name, now, by.reason, *spell
    )
    connection.execute(_PUT, kept._asdict() | {"document": codec.text(kept.document)})
    was = None if before is None else before._asdict()
    change = Change("anomaly.rule", f"anomaly-rule/{rule_id}", was, kept._asdict())
    audit.append(connection, by, change, now)
    return kept
