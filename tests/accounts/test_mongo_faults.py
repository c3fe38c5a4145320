"""What is away, and what is refused: every exception of the library under its house name."""

from typing import Any

import pytest
from pymongo import errors

from app.accounts.mongo_faults import AWAY, away_by_its_name, refusals, unfit_by_its_name
from app.accounts.projector import AWAY as PROJECTORS_AWAY
from app.ports.accounts import BookUnfit
from app.ports.away import StoreAway


@pytest.mark.parametrize(
    "fault",
    [
        errors.AutoReconnect("connection closed"),
        errors.NetworkTimeout("timed out"),
        errors.NotPrimaryError("not primary"),
        errors.ServerSelectionTimeoutError("nobody"),
        errors.WaitQueueTimeoutError("all are busy"),
        errors.ExecutionTimeout("too slow", 50),
        errors.CursorNotFound("gone", 43),
        errors.WriteConcernError("no majority", 64),
        errors.WTimeoutError("no majority in time", 64),
        *(errors.OperationFailure("away", code) for code in sorted(AWAY)),
    ],
    ids=repr,
)
def test_what_passes_is_away(fault: errors.PyMongoError) -> None:
    with pytest.raises(StoreAway, match="MongoDB is away: ") as away, away_by_its_name():
        raise fault

    assert isinstance(away.value, PROJECTORS_AWAY), "the projector waits for it"
    assert away.value.__cause__ is fault


@pytest.mark.parametrize(
    "fault",
    [
        errors.OperationFailure("bad value", 2),
        errors.BulkWriteError({"writeErrors": []}),
        errors.InvalidOperation("a bug of ours"),
        KeyError("a bug of ours"),
    ],
    ids=repr,
)
def test_what_is_no_outage_keeps_its_name(fault: Exception) -> None:
    with pytest.raises(type(fault)) as kept, away_by_its_name():
        raise fault

    assert kept.value is fault


def test_an_outage_is_told_without_the_topology() -> None:
    said = (
        "db:27017: [Errno 111] Connection refused (configured timeouts: socketTimeoutMS: 5000.0ms),"
        " Timeout: 5.0s, Topology Description: <TopologyDescription id: 6b03, servers: [...]>"
    )
    with pytest.raises(StoreAway) as away, away_by_its_name():
        raise errors.ServerSelectionTimeoutError(said)

    assert str(away.value) == "MongoDB is away: db:27017: [Errno 111] Connection refused"


def test_at_start_every_other_answer_is_told_as_well() -> None:
    with pytest.raises(BookUnfit, match="an index of that name"), unfit_by_its_name():
        raise errors.OperationFailure("there is an index of that name", 86)
    with pytest.raises(StoreAway), unfit_by_its_name():
        raise errors.AutoReconnect("gone")


def failed(*codes: int, concerns: int | None = None) -> dict[str, Any]:
    wrong = [{"index": 7 + i, "code": code, "errmsg": "no"} for i, code in enumerate(codes)]
    unkept = [] if concerns is None else [{"code": concerns, "errmsg": "no majority"}]
    return {"writeErrors": wrong, "writeConcernErrors": unkept, "nUpserted": 1, "nModified": 0}


@pytest.mark.parametrize("code", [2, 121, 11000, 10334, 17419, 99_999])
def test_a_document_that_the_store_will_not_have_is_named_with_its_cause(code: int) -> None:
    assert refusals(failed(code, 121)) == {7: f"no (code {code})", 8: "no (code 121)"}


def test_one_document_that_met_an_outage_makes_the_bulk_one() -> None:
    with pytest.raises(StoreAway, match=r"no \(code 10107\)"):
        refusals(failed(121, 10107))


def test_a_write_that_no_majority_has_is_not_done() -> None:
    with pytest.raises(StoreAway, match=r"no majority \(code 64\)"):
        refusals(failed(121, concerns=64))
