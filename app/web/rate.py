"""How a new rate is read, and what an operator should know before it is set."""

from typing import Final

from app.domain.errors import Code
from app.domain.records import BrokerControl
from app.web.operator_schemas import RateChange
from app.web.problems import Invalid
from app.web.spec import json_of

# A slip of one digit is ten times; what people mean is rarely above twice.
BIG_STEP: Final = 2


def read_rate(raw: bytes, content_type: str) -> RateChange:
    """Read a rate; 0, -1, 1.5, true and "800" are all the same mistake, with a code of its own."""
    try:
        return json_of(RateChange).decode(raw, content_type)
    except Invalid as e:
        for error in e.errors:
            if error["pointer"] == "#/tps" and error["code"] != "missing":
                raise out_of_bounds(Code.RATE_OUT_OF_BOUNDS.title) from None
        raise


def out_of_bounds(detail: str) -> Invalid:
    error = {"pointer": "#/tps", "detail": detail, "code": Code.RATE_OUT_OF_BOUNDS.code}
    return Invalid(Code.RATE_OUT_OF_BOUNDS, detail, [error])


def warnings_of(control: BrokerControl, tps: int, contract: int, doubts: int) -> list[str]:
    """Return what speaks against this rate, though it is allowed."""
    found = []
    if tps > control.tps * BIG_STEP:
        found.append(f"more than {BIG_STEP} times the present {control.tps}")
    if tps == contract:
        found.append(f"at the contract of {contract}: no room for our own error")
    if doubts:
        found.append(f"{doubts} orders are in doubt there")
    if control.dispatch != "running":
        found.append("dispatch is paused: nothing leaves at any rate")
    return found
