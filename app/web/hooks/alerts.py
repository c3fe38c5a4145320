"""Where other systems' alerts come in: believed by a secret, durable, then answered.

Alertmanager and Grafana repeat what was answered with a 5xx and never what was answered with a
4xx. So a 2xx means that it is kept, a 503 that it is not, and a 400 is for what has no alert in
it at all. A replay is harmless, for every alert is kept once; a door without a secret is none.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, SecretStr
from pydantic.config import JsonDict

from app.domain.errors import Busy, Code, Refused
from app.settings import HookSettings
from app.web.access.keys import not_there
from app.web.hooks.payloads import Nonsense, alerts_of
from app.web.house import House
from app.web.operators.anomaly_told import HeardTold
from app.web.spec import BATCH_BYTES_MAX, Call, Reader, Reply, Spec, ok

RETRY_AFTER_S: Final = 5.0
# As far as two clocks may differ, and a request may have waited.
AGE_S_MAX: Final = 300


# All that is asked of a payload: an alert is in it. What else it has is read as far as it goes.
SHAPES: Final[JsonDict] = {
    "properties": {
        "alerts": {"type": "array", "items": {"type": "object"}},
        "name": {"type": "string", "minLength": 1},
    },
    "anyOf": [{"required": ["alerts"]}, {"required": ["name"]}],
}
EXAMPLE: Final[JsonDict] = {
    "status": "firing",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "BrokerSlow", "openbell_subject": "broker/north"},
            "annotations": {"summary": "north answers late"},
            "startsAt": "2026-11-23T14:30:00Z",
            "fingerprint": "c0ffee00c0ffee00",
        }
    ],
}


class AlertsSent(BaseModel):
    """An alert, or several, as its system or its template words them."""

    model_config = ConfigDict(extra="allow", json_schema_extra={**SHAPES, "examples": [EXAMPLE]})


class AlertHooks:
    """The doors for whoever watches us from outside."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def alertmanager(self, call: Call[bytes, None]) -> Reply:
        """Take a webhook of Alertmanager; 200 means that its alerts are durable here."""
        return await self._hear("alertmanager", call)

    async def grafana(self, call: Call[bytes, None]) -> Reply:
        """Take a webhook of a Grafana contact point."""
        return await self._hear("grafana", call)

    async def generic(self, call: Call[bytes, None]) -> Reply:
        """Take one alert as plain JSON, such as a connector with a template writes."""
        return await self._hear("generic", call)

    async def _hear(self, source: str, call: Call[bytes, None]) -> Reply:
        lock = self._house.hooks.get(source)
        if lock is None:
            raise not_there()
        now = self._house.clock.now()
        if not is_theirs(lock, call.request.headers, call.body, now):
            # Why it failed is not told: whoever forges signatures would learn from it.
            raise Refused(Code.UNAUTHENTICATED, "the token or the signature is wrong")
        try:
            alerts = alerts_of(source, call.body, now)
        except Nonsense as e:
            raise Refused(Code.MALFORMED_REQUEST, str(e)) from e
        try:
            new = await self._house.trouble.hear(alerts)
        except Exception as e:  # whatever it was, they keep the alert and send it again
            raise Busy(Code.STORE_AWAY, RETRY_AFTER_S) from e
        return ok({"taken": len(alerts), "new": new})


def is_theirs(lock: HookSettings, headers: Mapping[str, str], body: bytes, now: int) -> bool:
    """Return whether the token or the signature is right; each is compared in constant time."""
    return (lock.token is not None and _has_token(lock.token, headers)) or (
        lock.hmac_secret is not None and _is_signed(lock, lock.hmac_secret, headers, body, now)
    )


def _has_token(token: SecretStr, headers: Mapping[str, str]) -> bool:
    given = headers.get("authorization", "").removeprefix("Bearer ")
    return hmac.compare_digest(given.encode(), token.get_secret_value().encode())


def _is_signed(
    lock: HookSettings, secret: SecretStr, headers: Mapping[str, str], body: bytes, now: int
) -> bool:
    signed = body
    if lock.hmac_timestamp_header is not None:
        stamp = headers.get(lock.hmac_timestamp_header, "")
        if not (stamp.isascii() and stamp.isdigit()):
            return False
        if abs(int(stamp[:18]) - now // 1000) > AGE_S_MAX:
            return False
        signed = stamp.encode() + b":" + body
    wanted = hmac.new(secret.get_secret_value().encode(), signed, hashlib.sha256).hexdigest()
    given = headers.get(lock.hmac_header, "").removeprefix("sha256=").lower()
    return hmac.compare_digest(given.encode(), wanted.encode())


def alert_hook_specs(house: House) -> Sequence[Spec[Any, Any]]:
    hooks = AlertHooks(house)
    doors = (
        ("POST", "alertmanager", "take_alertmanager_alerts", hooks.alertmanager),
        ("POST", "grafana", "take_grafana_alerts", hooks.grafana),
        ("PUT", "grafana", "put_grafana_alerts", hooks.grafana),
        ("POST", "generic", "take_alerts", hooks.generic),
    )
    return [
        Spec(
            method=method,
            path=f"/hooks/{source}",
            name=name,
            scope=None,  # a token or a signature of their own
            handler=handler,
            reads=Reader(AlertsSent, lambda raw, _content_type: raw),
            answers={200: HeardTold},
            refuses=(
                Code.MALFORMED_REQUEST,
                Code.UNAUTHENTICATED,
                Code.NOT_FOUND,
                Code.BODY_TOO_LARGE,
                Code.STORE_AWAY,
            ),
            body_bytes_max=BATCH_BYTES_MAX,
        )
        for method, source, name, handler in doors
    ]
