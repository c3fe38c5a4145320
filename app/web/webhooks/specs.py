"""The doors of `webhooks.py`, each with what it reads, answers and refuses."""

from collections.abc import Sequence
from typing import Any, Final

from app.domain.errors import Code
from app.web.house import House
from app.web.quotas.toll import Toll
from app.web.spec import Spec, json_of
from app.web.webhooks.doors import READ, WRITE, Webhooks
from app.web.webhooks.schemas import (
    DeliveriesAsked,
    DeliveriesTold,
    DeliveryTold,
    DeliveryWhole,
    EndpointAsked,
    EndpointChanged,
    EndpointsTold,
    EndpointTold,
    ReplayAsked,
    ReplayTold,
    Rotation,
    SecretTold,
)

_ALL: Final = "/v1/webhooks"
_ONE: Final = f"{_ALL}/{{endpoint_id}}"
_DELIVERY: Final = f"{_ONE}/deliveries/{{delivery_id}}"
_GONE: Final = (Code.NOT_FOUND,)
_BAD: Final = (Code.NOT_FOUND, Code.MALFORMED_REQUEST, Code.VALIDATION_FAILED)


def webhook_specs(house: House, toll: Toll) -> Sequence[Spec[Any, Any]]:
    if house.webhooks is None:
        return ()
    doors = Webhooks(house, house.webhooks, toll)
    return (*_endpoints(doors), *_changes(doors), *_deliveries(doors))


def _endpoints(doors: Webhooks) -> Sequence[Spec[Any, Any]]:
    return (
        Spec(
            method="POST",
            path=_ALL,
            name="create_webhook",
            scope=WRITE,
            handler=doors.create,
            reads=json_of(EndpointAsked),
            answers={201: SecretTold},
            shows=("ETag", "Location"),
            refuses=_BAD,
            replays=True,
        ),
        Spec(
            method="GET",
            path=_ALL,
            name="list_webhooks",
            scope=READ,
            handler=doors.list,
            answers={200: EndpointsTold},
        ),
        Spec(
            method="GET",
            path=_ONE,
            name="get_webhook",
            scope=READ,
            handler=doors.get,
            answers={200: EndpointTold},
            shows=("ETag",),
            refuses=_GONE,
        ),
    )


def _changes(doors: Webhooks) -> Sequence[Spec[Any, Any]]:
    stale = (Code.IF_MATCH_REQUIRED, Code.STALE_VERSION)
    return (
        Spec(
            method="PATCH",
            path=_ONE,
            name="change_webhook",
            scope=WRITE,
            handler=doors.change,
            reads=json_of(EndpointChanged),
            answers={200: EndpointTold},
            shows=("ETag",),
            refuses=(*_BAD, *stale),
            if_match="required",
        ),
        Spec(
            method="DELETE",
            path=_ONE,
            name="delete_webhook",
            scope=WRITE,
            handler=doors.delete,
            answers={200: None},
            refuses=(*_GONE, Code.STALE_VERSION),
            if_match="optional",
        ),
        Spec(
            method="POST",
            path=f"{_ONE}/rotate-secret",
            name="rotate_webhook_secret",
            scope=WRITE,
            handler=doors.rotate,
            reads=json_of(Rotation),
            answers={200: SecretTold},
            shows=("ETag",),
            refuses=(*_BAD, *stale),
            if_match="required",
            replays=True,
        ),
        Spec(
            method="POST",
            path=f"{_ONE}/test",
            name="test_webhook",
            scope=WRITE,
            handler=doors.test,
            answers={202: DeliveryTold},
            refuses=(*_GONE, Code.ENDPOINT_NOT_READY),
        ),
    )


def _deliveries(doors: Webhooks) -> Sequence[Spec[Any, Any]]:
    return (
        Spec(
            method="GET",
            path=f"{_ONE}/deliveries",
            name="list_webhook_deliveries",
            scope=READ,
            handler=doors.deliveries,
            asks=DeliveriesAsked,
            answers={200: DeliveriesTold},
            refuses=(*_GONE, Code.VALIDATION_FAILED),
        ),
        Spec(
            method="GET",
            path=_DELIVERY,
            name="get_webhook_delivery",
            scope=READ,
            handler=doors.delivery,
            answers={200: DeliveryWhole},
            refuses=_GONE,
        ),
        Spec(
            method="POST",
            path=f"{_DELIVERY}/replay",
            name="replay_webhook_delivery",
            scope=WRITE,
            handler=doors.replay,
            answers={202: DeliveryTold},
            refuses=_GONE,
        ),
        Spec(
            method="POST",
            path=f"{_ONE}/replay",
            name="replay_webhook",
            scope=WRITE,
            handler=doors.replay_since,
            reads=json_of(ReplayAsked),
            answers={200: ReplayTold, 202: ReplayTold},
            refuses=_BAD,
        ),
    )
