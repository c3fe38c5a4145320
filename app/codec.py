"""Turns our values into JSON and back, in one place and in C.

Rows, events and reports travel as JSON: between Python and SQL (one text a batch), through
the bus, out of the doors. Decimals are strings, so that no float ever touches money.
"""

from typing import Any, Final

import msgspec

from app.domain.anomaly import Anomaly
from app.domain.messages import ExecutionReport
from app.domain.order import Order

_orders: Final = msgspec.json.Decoder(list[Order])
_report: Final = msgspec.json.Decoder(ExecutionReport)
_reports: Final = msgspec.json.Decoder(list[ExecutionReport])
_executions: Final = msgspec.json.Decoder(list[tuple[str, ExecutionReport]])
_kept: Final = msgspec.json.Decoder(tuple[int, Anomaly])
_any: Final = msgspec.json.Decoder()
_numbered: Final = msgspec.json.Decoder(list[tuple[int, msgspec.Raw]])
_encoder: Final = msgspec.json.Encoder()

encode = _encoder.encode
Malformed = msgspec.DecodeError  # what every function below raises for bytes it cannot read


def text(value: object) -> str:
    """Encode to a JSON text, the form in which SQL takes a batch."""
    return _encoder.encode(value).decode()


def decode(raw: bytes | str) -> Any:
    """Read any JSON."""
    return _any.decode(raw)


def decode_orders(raw: bytes | str) -> list[Order]:
    """Read orders from an array of arrays in field order."""
    return _orders.decode(raw)


def decode_report(raw: bytes | str) -> ExecutionReport:
    """Read one execution report."""
    return _report.decode(raw)


def decode_reports(raw: bytes | str) -> list[ExecutionReport]:
    """Read an array of execution reports."""
    return _reports.decode(raw)


def decode_executions(raw: bytes | str) -> list[tuple[str, ExecutionReport]]:
    """Read an array of [order id, execution report]."""
    return _executions.decode(raw)


def decode_kept(raw: bytes | str) -> tuple[int, Anomaly]:
    """Read [when others were last told, anomaly]."""
    return _kept.decode(raw)


def split(raw: bytes | str) -> list[tuple[int, bytes]]:
    """Read an array of [number, value] and leave each value as the JSON that it is."""
    return [(number, bytes(value)) for number, value in _numbered.decode(raw)]
