"""How a new rate or schedule is read and checked, and what speaks against one that is allowed."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.domain.errors import Code
from app.domain.profile import BadEdge, offset_of
from app.domain.records import BrokerControl
from app.domain.tuning import TARGET_MS, Mode, tuning_of
from app.web.brokers.large_steps import BIG_STEP
from app.web.operator_schemas import EdgeAsked, RateChange
from app.web.problems import Invalid, invalid_at
from app.web.spec import json_of

NUMBERS: Final = ("tps", "floor", "ceiling", "revert_to")
# What each fact is by itself. The number alone has no such value.
BY_ITSELF: Final[Mapping[str, object]] = {
    "mode": Mode.MANUAL.value,
    "floor": None,
    "ceiling": None,
    "target_ms": TARGET_MS,
    "ramp_s": 0,
}


def read_rate(raw: bytes, content_type: str) -> RateChange:
    """Read a rate; 0, -1, 1.5, true and "800" are all the same mistake, with a code of its own."""
    try:
        return json_of(RateChange).decode(raw, content_type)
    except Invalid as e:
        for error in e.errors:
            name = error["pointer"].removeprefix("#/")
            if name in NUMBERS:
                raise out_of_bounds(Code.RATE_OUT_OF_BOUNDS.title, name) from None
        raise


def out_of_bounds(detail: str, name: str = "tps") -> Invalid:
    error = {"pointer": f"#/{name}", "detail": detail, "code": Code.RATE_OUT_OF_BOUNDS.code}
    return Invalid(Code.RATE_OUT_OF_BOUNDS, detail, [error])


def facts_asked(change: RateChange, control: BrokerControl, contract: int) -> dict[str, Any]:
    """Return what a merge patch sets, by name, or raise what is wrong with it."""
    given = change.model_fields_set
    if change.revert_to is not None and (change.ttl_s is None or change.tps is None):
        raise invalid_at("revert_to", "expected beside a tps and a ttl_s, after which it counts")
    found: dict[str, Any] = {
        name: usual if getattr(change, name) is None else getattr(change, name)
        for name, usual in BY_ITSELF.items()
        if name in given
    }
    tuning = tuning_of(control)
    if "tps" in given:
        if change.tps is None and not tuning.schedule:
            raise out_of_bounds("there is no schedule to go back to")
        found |= {} if change.tps is None else {"tps": change.tps}
        found["held"] = change.tps is not None and bool(tuning.schedule)
    if not found:
        raise invalid_at("tps", "expected at least one thing to change")
    _within(contract, {**found, "revert_to": change.revert_to})
    floor, ceiling = (found.get(name, getattr(tuning, name)) for name in ("floor", "ceiling"))
    if floor and ceiling and floor > ceiling:
        raise out_of_bounds(f"floor {floor} is above the ceiling of {ceiling}", "floor")
    return found


def _within(contract: int, facts: Mapping[str, Any]) -> None:
    for name in NUMBERS:
        if (facts.get(name) or 0) > contract:
            detail = f"{name} {facts[name]} is above the contract of {contract}"
            raise out_of_bounds(detail, name)


def edges_asked(schedule: Sequence[EdgeAsked], contract: int) -> list[dict[str, Any]]:
    """Return a schedule as it is kept, or raise what is wrong with it."""
    seen: set[tuple[str, int]] = set()
    for place, edge in enumerate(schedule):
        try:
            offset = offset_of(edge.at)
        except BadEdge as e:
            raise invalid_at(f"schedule/{place}/at", str(e), Code.SCHEDULE_INVALID) from None
        if offset in seen:
            detail = f"{edge.at} stands here twice"
            raise invalid_at(f"schedule/{place}/at", detail, Code.SCHEDULE_INVALID)
        seen.add(offset)
        if edge.tps > contract:
            detail = f"tps {edge.tps} is above the contract of {contract}"
            raise out_of_bounds(detail, f"schedule/{place}/tps")
    return [{"at": edge.at, "tps": edge.tps} for edge in schedule]


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
