"""`/admin/v1/webhooks`: customers' endpoints for operators, who may stop one and let it go.

A key that is revoked closes the doors to whoever held it, and the endpoint that it made goes on:
it belongs to its accounts. So somebody must be able to stop it, and what an operator has stopped
no owner starts again. The path of a URL may be a secret of the customer's, and is not shown.
"""

from collections.abc import Sequence
from typing import Any, Final

from app.domain.errors import Code, Refused
from app.domain.webhooks import DisabledBy, Endpoint, EndpointState, enabled, recorded
from app.web.access.keys import not_there
from app.web.house import Endpoints, House
from app.web.operator_schemas import Reasoned
from app.web.shapes import instant
from app.web.spec import Call, Reply, Spec, etag, json_of, ok
from app.web.webhooks.schemas import EndpointSeen, EndpointsSeen
from app.web.webhooks.shapes import is_endpoint_id

SEE: Final = "admin:read"
KEYS: Final = "admin:keys"


class WebhookAdmin:
    """The operators' doors."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._store = endpoints.store

    async def list(self, call: Call[None, None]) -> Reply:
        """List the endpoints whose accounts the caller sees, the oldest first."""
        found = [e for e in await self._store.endpoints() if _sees(call, e)]
        return ok({"data": [_shape(endpoint) for endpoint in found]})

    async def disable(self, call: Call[Reasoned, None]) -> Reply:
        """Stop an endpoint, until an operator lets it go; what happens meanwhile waits."""
        before = await self._seen(call)
        off = before._replace(state=EndpointState.DISABLED, disabled_by=DisabledBy.OPERATOR)
        return await self._changed(call, before, off)

    async def enable(self, call: Call[Reasoned, None]) -> Reply:
        """Let an endpoint go, whoever stopped it."""
        before = await self._seen(call)
        return await self._changed(call, before, enabled(before))

    async def _changed(
        self, call: Call[Reasoned, None], before: Endpoint, wanted: Endpoint
    ) -> Reply:
        by = call.actor(call.body.reason)
        after = await self._store.change_endpoint(wanted, before.version, by)
        return ok(_shape(after), etag(after.version))

    async def _seen(self, call: Call[Any, Any]) -> Endpoint:
        """Return the endpoint, if it is the one that the operator saw."""
        endpoint = await self._found(call)
        if call.version != endpoint.version:
            raise Refused(
                Code.STALE_VERSION,
                f"the version is {endpoint.version}",
                current=_shape(endpoint),
                changed_at=instant(endpoint.changed_at),
            )
        return endpoint

    async def _found(self, call: Call[Any, Any]) -> Endpoint:
        endpoint_id = call.part("endpoint_id")
        found = await self._store.endpoint(endpoint_id) if is_endpoint_id(endpoint_id) else None
        if found is None or not _sees(call, found):
            raise not_there()
        return found


def _sees(call: Call[Any, Any], endpoint: Endpoint) -> bool:
    return all(call.who.sees(account_id) for account_id in endpoint.accounts)


def _shape(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "endpoint_id": endpoint.endpoint_id,
        **recorded(endpoint),
        "created_at": instant(endpoint.created_at),
        "changed_at": instant(endpoint.changed_at),
        "failing_since": instant(endpoint.failing_since),
        "missed_events": endpoint.missed,
    }


def webhook_admin_specs(house: House) -> Sequence[Spec[Any, Any]]:
    if house.webhooks is None:
        return ()
    doors = WebhookAdmin(house.webhooks)
    one = "/admin/v1/webhooks/{endpoint_id}"
    refuses = (
        Code.NOT_FOUND,
        Code.STALE_VERSION,
        Code.MALFORMED_REQUEST,
        Code.VALIDATION_FAILED,
        Code.IF_MATCH_REQUIRED,
    )
    return (
        Spec(
            method="GET",
            path="/admin/v1/webhooks",
            name="list_all_webhooks",
            scope=SEE,
            handler=doors.list,
            answers={200: EndpointsSeen},
        ),
        Spec(
            method="POST",
            path=f"{one}/disable",
            name="disable_webhook",
            scope=KEYS,
            handler=doors.disable,
            reads=json_of(Reasoned),
            answers={200: EndpointSeen},
            shows=("ETag",),
            refuses=refuses,
            if_match="required",
            audited=True,
        ),
        Spec(
            method="POST",
            path=f"{one}/enable",
            name="enable_webhook",
            scope=KEYS,
            handler=doors.enable,
            reads=json_of(Reasoned),
            answers={200: EndpointSeen},
            shows=("ETag",),
            refuses=refuses,
            if_match="required",
            audited=True,
        ),
    )
