"""The events as AsyncAPI 3 describes them, for whoever reads the topics: `openbell events`.

Everything in it is made from what the code uses: the topics, their settings, the types and the
schemas. The trap is a document that was true once; a test holds what is really emitted against
it.
"""

from typing import Final, NamedTuple

from app.bus import schemas, trouble_schemas
from app.bus.schemas import Schema
from app.bus.topics import configuration
from app.bus.trouble_schemas import FAILOVER_STATES
from app.domain.anomaly import AnomalyStep
from app.domain.messages import ExecutionType
from app.domain.trades import TRADES
from app.domain.values import Status
from app.letters import PARKED, topic_of_letters

# Of AsyncAPI's Kafka bindings.
BINDING: Final = "0.5.0"


class _Message(NamedTuple):
    """One kind of event: its words, its key, and which types it has today."""

    title: str
    key: str
    schema: str
    types: tuple[str, ...]


class _Channel(NamedTuple):
    """One topic, the messages in it, and what we do with it."""

    topic: str
    action: str
    messages: tuple[str, ...]


def _named(about: str, *happenings: str) -> tuple[str, ...]:
    return tuple(f"io.openbell.{about}.{happening}.v1" for happening in happenings)


_MESSAGES: Final = {
    "order": _Message(
        "An order has moved: all of it, as it is now.",
        "account_id",
        "order",
        _named("order", *Status, "pending_request"),
    ),
    "execution": _Message(
        "The drop copy of an execution, once.",
        "account_id",
        "report",
        _named("execution", *sorted(TRADES)),
    ),
    "audit": _Message(
        "Somebody changed something.", "resource", "audit", _named("audit", "recorded")
    ),
    "anomaly": _Message(
        "Trouble was noticed, goes on or is over.",
        "subject",
        "anomaly",
        _named("anomaly", *AnomalyStep),
    ),
    "failover": _Message(
        "A route's broker is about to change, changes, or does not.",
        "route/route_id",
        "failover",
        _named("failover", *FAILOVER_STATES),
    ),
    "anomaly_state": _Message(
        "How an anomaly stands: the last one of each key is the truth.",
        "anomaly_id",
        "anomaly",
        _named("anomaly", "state"),
    ),
    "broker_report": _Message(
        "What a broker reports, before it is applied; the key is our order's id.",
        "order_id",
        "report",
        _named("broker-report", *ExecutionType),
    ),
    "dead_letter": _Message(
        "An event that nobody could apply, with the cause.",
        "the event's own",
        "dead_letter",
        (PARKED,),
    ),
}
_CHANNELS: Final = {
    "orders": _Channel("openbell.orders.v1", "send", ("order",)),
    "executions": _Channel("openbell.executions.v1", "send", ("execution",)),
    "audit": _Channel("openbell.audit.v1", "send", ("audit",)),
    "anomalies": _Channel("openbell.anomalies.v1", "send", ("anomaly", "failover")),
    "anomaly_state": _Channel("openbell.anomaly-state.v1", "send", ("anomaly_state",)),
    "broker_reports": _Channel("openbell.broker-reports.v1", "receive", ("broker_report",)),
    "dead_orders": _Channel(topic_of_letters("openbell.orders.v1"), "send", ("dead_letter",)),
    "dead_broker_reports": _Channel(
        topic_of_letters("openbell.broker-reports.v1"), "send", ("dead_letter",)
    ),
}


def document(version: str) -> Schema:
    """Return the AsyncAPI document of everything that leaves or enters by the bus."""
    return {
        "asyncapi": "3.0.0",
        "id": "urn:openbell:events",
        "info": {
            "title": "openbell events",
            "version": version,
            "description": "CloudEvents 1.0 in binary mode. They arrive at least once, in order"
            " within a key. Where there is a `ce_sequence`, it ends the `ce_id` after a hyphen, and"
            " rises for what stands before it: drop what is not higher, and bear repetition. Fields"
            " and words may be added: accept what you do not know.",
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(channel) for name, channel in _CHANNELS.items()},
        "operations": {
            f"{channel.action}_{name}": _operation(name, channel)
            for name, channel in _CHANNELS.items()
        },
        "components": {
            "messages": {name: _message(name, message) for name, message in _MESSAGES.items()},
            "schemas": {
                "cloud_event": schemas.headers_schema(),
                "order": schemas.order_schema(),
                "report": schemas.report_schema(),
                "audit": schemas.audit_schema(),
                "anomaly": trouble_schemas.anomaly_schema(),
                "failover": trouble_schemas.failover_schema(),
                "dead_letter": schemas.letter_schema(),
            },
        },
    }


def _channel(channel: _Channel) -> Schema:
    made_with = configuration(channel.topic, min_insync=1)
    return {
        "address": channel.topic,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in channel.messages},
        "bindings": {
            "kafka": {
                "topic": channel.topic,
                "topicConfiguration": {
                    "cleanup.policy": made_with["cleanup.policy"].split(","),
                    "retention.ms": int(made_with["retention.ms"]),
                    "max.message.bytes": int(made_with["max.message.bytes"]),
                },
                "bindingVersion": BINDING,
            }
        },
    }


def _operation(name: str, channel: _Channel) -> Schema:
    where = f"#/channels/{name}"
    return {
        "action": channel.action,
        "channel": {"$ref": where},
        "messages": [{"$ref": f"{where}/messages/{name}"} for name in channel.messages],
    }


def _message(name: str, message: _Message) -> Schema:
    return {
        "name": name,
        "title": message.title,
        "contentType": "application/json",
        "headers": {
            "allOf": [
                {"$ref": "#/components/schemas/cloud_event"},
                {"properties": {"ce_type": {"x-known-words": list(message.types)}}},
            ]
        },
        "payload": {"$ref": f"#/components/schemas/{message.schema}"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": message.key},
                "bindingVersion": BINDING,
            }
        },
    }
