"""How endpoints and deliveries look outside, and what an id of one looks like.

The trap is a field more than its owner should see: a salt is half of a secret, so the shapes name
what they show.
"""

import re
from typing import Any, Final

from app.domain.webhooks import Delivery, DeliveryState, Endpoint
from app.web.shapes import instant, rfc3339

_ENDPOINT_ID: Final = re.compile(r"we_[0-9A-Z]{26}", re.ASCII)
_DELIVERY_ID: Final = re.compile(r"msg_[0-9a-f]{26}", re.ASCII)


def is_endpoint_id(text: str) -> bool:
    return _ENDPOINT_ID.fullmatch(text) is not None


def is_delivery_id(text: str) -> bool:
    return _DELIVERY_ID.fullmatch(text) is not None


def endpoint_shape(endpoint: Endpoint, now: int) -> dict[str, Any]:
    two_sign = len(endpoint.salts(now)) > 1
    return {
        "endpoint_id": endpoint.endpoint_id,
        "version": endpoint.version,
        "url": endpoint.url,
        "accounts": endpoint.accounts,
        "types": endpoint.types,
        "description": endpoint.description,
        "state": endpoint.state,
        "disabled_by": endpoint.disabled_by,
        "created_at": rfc3339(endpoint.created_at),
        "changed_at": rfc3339(endpoint.changed_at),
        "previous_secret_until": instant(endpoint.previous_until) if two_sign else None,
        "failing_since": instant(endpoint.failing_since),
        "quiet_until": instant(endpoint.quiet_until),
        "missed_events": endpoint.missed,
        "missed_at": instant(endpoint.missed_at),
    }


def delivery_shape(delivery: Delivery) -> dict[str, Any]:
    waits = delivery.state is DeliveryState.WAITING
    return {
        "delivery_id": delivery.delivery_id,
        "endpoint_id": delivery.endpoint_id,
        "event_id": delivery.event_id,
        "type": delivery.type,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "next_attempt_at": rfc3339(delivery.due_at) if waits else None,
        "created_at": rfc3339(delivery.created_at),
        "last_attempt_at": instant(delivery.last_at),
        "last_status": delivery.last_status,
        "last_error": delivery.last_error,
    }
