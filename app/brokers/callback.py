"""Decides whether a pushed callback is the broker's own, and reads it. Pure.

The signature is over the raw bytes, because two JSON texts may mean the same; it is compared
in constant time; it is old after five minutes, so that a recorded callback cannot be played
next week. A repetition inside those minutes does no harm: executions are applied once.
"""

import hashlib
import hmac
import math
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from app.brokers.wire import (
    REPORTS_MAX,
    Malformed,
    Unreadable,
    execution_report,
    read_push,
)
from app.domain.messages import ExecutionReport
from app.ports.brokers import BadCallback

SIGNATURE: Final = "x-signature"
SECONDS: Final = re.compile(r"[0-9]{1,11}")


class Signed(msgspec.Struct):
    """One record of a broker's topic."""

    signature: str  # as in `X-Signature`
    body: str  # the text that was signed


_record: Final = msgspec.json.Decoder(Signed).decode


class Key(NamedTuple):
    """Whose callbacks are believed, and for how long."""

    broker_id: str
    secret: bytes
    tolerance_s: float


def read_callback(
    key: Key, headers: Mapping[str, str], body: bytes, now: int
) -> list[ExecutionReport]:
    """Return the reports of a genuine callback, or raise `BadCallback`."""
    verify(key, headers, body, now)
    try:
        push = read_push(body)
        if push.broker != key.broker_id:
            raise BadCallback(f"expected broker {key.broker_id!r}, was {push.broker[:64]!r}")
        if len(push.reports) > REPORTS_MAX:
            raise BadCallback(f"expected at most {REPORTS_MAX} reports")
        return [execution_report(key.broker_id, report) for report in push.reports]
    except (*Malformed, Unreadable) as e:
        raise BadCallback(f"unreadable: {e}") from e


def read_record(key: Key, payload: bytes) -> list[ExecutionReport]:
    """Return the reports of a genuine record of a topic, or raise `BadCallback`.

    It carries what a callback would: `{"signature": …, "body": "…"}`. Its age proves nothing: a
    topic keeps what came while we were down, and a record that is read again changes nothing.
    """
    try:
        record = _record(payload)
    except Malformed as e:
        raise BadCallback(f"unreadable: {e}") from e
    ageless = key._replace(tolerance_s=math.inf)
    return read_callback(ageless, {SIGNATURE: record.signature}, record.body.encode(), 0)


def verify(key: Key, headers: Mapping[str, str], body: bytes, now: int) -> None:
    """Raise `BadCallback` unless exactly one X-Signature vouches for this body, lately."""
    signatures = [value for name, value in headers.items() if name.lower() == SIGNATURE]
    if len(signatures) != 1:
        raise BadCallback(f"expected one X-Signature, there were {len(signatures)}")
    parts = [part.strip().partition("=") for part in signatures[0].split(",")]
    stamps = [value for name, _, value in parts if name == "t"]
    shown = [value for name, _, value in parts if name == "v1"]
    if len(stamps) != 1 or not SECONDS.fullmatch(stamps[0]) or not shown:
        raise BadCallback("expected X-Signature: t=<seconds>,v1=<hex>")
    signed = hmac.new(key.secret, stamps[0].encode() + b"." + body, hashlib.sha256).hexdigest()
    # Several v1 may stand there while the broker changes its key; every one is compared.
    genuine = [hmac.compare_digest(signed.encode(), value.encode()) for value in shown]
    if not any(genuine):
        raise BadCallback("the signature is not the broker's")
    if abs(now - int(stamps[0]) * 1000) > key.tolerance_s * 1000:
        raise BadCallback("the signature is too old or from the future")
