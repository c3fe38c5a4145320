"""The topics and their settings. Pure: `cluster` makes them, `asyncapi` describes them.

Each has its dead letters beside it, with as many partitions, so that a letter stands where the
event stood. One topic is compacted, the state of anomalies by their id: its events always have
data, for one without would be a deletion.
"""

from collections.abc import Mapping
from typing import Final

from app.letters import LETTER_BYTES_MAX, SUFFIX, topic_of_letters

# An order's event has 1 kB. What is larger is parked, with its cause, before Kafka sees it.
RECORD_BYTES_MAX: Final = 1 << 20
# A batch of one record is larger than the record, by its headers and what wraps them.
WRAPPING_BYTES_MAX: Final = 16 << 10
DAY_MS: Final = 86_400_000
# The ledger can tell orders, executions and audit rows again at any time; here they are kept
# over the longest holidays of Seoul, so that a consumer that was off need not ask for that. A
# broker's report stands nowhere else until it is applied.
RETENTION_DAYS: Final[Mapping[str, int]] = {
    "openbell.orders.v1": 14,
    "openbell.executions.v1": 14,
    "openbell.broker-reports.v1": 14,
    "openbell.audit.v1": 30,
    "openbell.anomalies.v1": 30,
    "openbell.anomaly-state.v1": 30,
}
# Of each key the last record is enough, and it is all that a newcomer has to read. Age ends what
# was resolved long ago; what goes on is told again every ten seconds.
COMPACTED: Final = frozenset({"openbell.anomaly-state.v1"})
# Kafka compacts only what it has closed, and closes by itself after a week.
COMPACTED_EVERY_MS: Final = 3_600_000
# Somebody has to look at them, find the cause, and publish them again.
LETTER_RETENTION_DAYS: Final = 90
TOPICS: Final = tuple(each for topic in RETENTION_DAYS for each in (topic, topic_of_letters(topic)))


def bytes_max(topic: str) -> int:
    """Return how large a record of this topic may be, key and payload."""
    return LETTER_BYTES_MAX + WRAPPING_BYTES_MAX if topic.endswith(SUFFIX) else RECORD_BYTES_MAX


def configuration(topic: str, min_insync: int) -> dict[str, str]:
    """Return the settings with which a topic is made."""
    days = RETENTION_DAYS.get(topic, LETTER_RETENTION_DAYS)
    compacted = topic in COMPACTED
    return {
        "cleanup.policy": "compact,delete" if compacted else "delete",
        "retention.ms": str(days * DAY_MS),
        "max.message.bytes": str(bytes_max(topic) + WRAPPING_BYTES_MAX),
        "min.insync.replicas": str(min_insync),
        # A replica that has not what was acknowledged must never lead.
        "unclean.leader.election.enable": "false",
        **({"segment.ms": str(COMPACTED_EVERY_MS)} if compacted else {}),
    }
