"""The reference files: built, shipped, read, and refused when they are half right."""

import json
from collections.abc import Mapping
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from app.cli.calendar import SHIPPED, app, differences, render
from app.domain.values import DAY_MS, EPOCH
from app.reference import (
    MINUTE_MS,
    BadReference,
    load_calendar,
    load_instruments,
    load_reference,
    read_hours,
)

INSTALLED = find_spec("exchange_calendars") is not None
NEW_YEAR = date(2027, 1, 1)


def written(folder: Path, document: object) -> Path:
    path = folder / "reference.json"
    path.write_text(json.dumps(document), "utf-8")
    return path


def shipped() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(SHIPPED.read_text("utf-8"))
    return document


def a_day(offset: int, opens: int, minutes: int) -> tuple[date, int, int]:
    day = NEW_YEAR + timedelta(days=offset)
    opens_at = (day - EPOCH).days * DAY_MS + opens * MINUTE_MS
    return day, opens_at, opens_at + minutes * MINUTE_MS


days = st.dictionaries(
    st.integers(min_value=0, max_value=800),
    # From two hours before midnight UTC, as Sydney opens, to far into the next day.
    st.tuples(st.integers(min_value=-120, max_value=1439), st.integers(min_value=1, max_value=600)),
    min_size=1,
).map(lambda found: [a_day(offset, *bells) for offset, bells in sorted(found.items())])


@given(st.dictionaries(st.sampled_from(["XNYS", "XASX"]), days, min_size=1))
def test_what_is_written_is_read_back_alike(
    hours: Mapping[str, list[tuple[date, int, int]]],
) -> None:
    text = render(hours, package="4.13", first="2027-01-01", last="2029-12-31")

    assert read_hours(json.loads(text)) == hours


def test_the_shipped_file_says_where_it_comes_from_and_how_far_it_goes() -> None:
    document = shipped()

    assert document["generated_by"] == "openbell calendar build"
    assert document["package"].startswith("exchange_calendars ")
    assert (document["from"], document["to"]) == ("2026-01-01", "2028-12-31")
    assert set(document["markets"]) == {"XNYS", "XNAS", "XKRX"}


def test_a_difference_names_the_day_and_both_bells() -> None:
    theirs = read_hours(shipped())
    ours = {market: list(found) for market, found in theirs.items()}
    day, opens_at, closes_at = ours["XNYS"].pop(0)
    ours["XKRX"][0] = (ours["XKRX"][0][0], 0, MINUTE_MS)

    assert differences(theirs, theirs) == []
    assert differences(ours, theirs) == [
        (
            "XKRX 2026-01-02: file 1970-01-01T00:00:00.000Z to 1970-01-01T00:01:00.000Z,"
            " package 2026-01-02T01:00:00.000Z to 2026-01-02T06:30:00.000Z"
        ),
        (
            "XNYS 2026-01-02: file closed,"
            " package 2026-01-02T14:30:00.000Z to 2026-01-02T21:00:00.000Z"
        ),
    ]
    assert (day, closes_at - opens_at) == (date(2026, 1, 2), 390 * MINUTE_MS)


@pytest.mark.skipif(INSTALLED, reason="exchange_calendars is here")
@pytest.mark.parametrize("command", ["build", "verify"])
def test_without_the_package_the_command_says_how_to_install_it(command: str) -> None:
    result = CliRunner().invoke(app, [command])

    assert result.exit_code == 1
    assert "openbell[calendars]" in result.stderr


# The package itself calls what pandas is about to change: its business, not ours.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif(not INSTALLED, reason="needs the extra openbell[calendars]")
def test_the_shipped_file_is_what_the_package_knows(tmp_path: Path) -> None:
    built = tmp_path / "sessions.json"

    assert CliRunner().invoke(app, ["verify"]).exit_code == 0
    assert CliRunner().invoke(app, ["build", "--out", str(built)]).exit_code == 0
    assert read_hours(json.loads(built.read_text("utf-8"))) == read_hours(shipped())


# The package itself calls what pandas is about to change: its business, not ours.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif(not INSTALLED, reason="needs the extra openbell[calendars]")
def test_a_file_that_lost_a_day_does_not_verify(tmp_path: Path) -> None:
    document = shipped()
    document["markets"]["XNYS"][0]["days"]["2026-01"] = "05 06"
    result = CliRunner().invoke(app, ["verify", "--file", str(written(tmp_path, document))])

    assert result.exit_code == 1
    assert "XNYS 2026-01-02: file closed" in result.stdout


def test_the_next_bells_are_told_in_the_readers_zone() -> None:
    result = CliRunner().invoke(app, ["next"])

    assert result.exit_code == 0
    assert "Asia/Seoul" in result.stdout


@pytest.mark.parametrize(
    ("markets", "said"),
    [
        ([], 'expected an object with "markets"'),
        ({"XNYS": []}, "expected sessions for XNYS, found none"),
        ({"XNYS": [{"opens": "14:30", "days": {}}]}, "expected sessions"),
        ({"XNYS": [{"opens": "14:30", "days": {"2026-01": "05"}}]}, "expected 'closes'"),
        (
            {"XNYS": [{"opens": "1430", "closes": "21:00", "days": {"2026-01": "05"}}]},
            "2026-01-05: expected a time such as 14:30, was 1430",
        ),
        (
            {"XNYS": [{"opens": "21:00", "closes": "14:30", "days": {"2026-01": "05"}}]},
            "XNYS 2026-01-05: expected a close after the open",
        ),
        (
            {"XNYS": [{"opens": "14:30", "closes": "21:00", "days": {"2026-01": "05 05"}}]},
            "XNYS 2026-01-05: expected a session after that of 2026-01-05",
        ),
        ({"XNYS": [{"opens": "14:30", "closes": "21:00", "days": {"2026-02": "30"}}]}, "day"),
    ],
)
def test_sessions_that_are_half_right_stop_the_start(
    tmp_path: Path, markets: object, said: str
) -> None:
    with pytest.raises(BadReference, match=said) as caught:
        load_calendar(written(tmp_path, {"markets": markets}))

    assert "reference.json" in str(caught.value)


def listing(prices: object, **more: object) -> dict[str, object]:
    return {"markets": {"XKRX": {"currency": "KRW", "reference_prices": prices, **more}}}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (listing({}), "at least one symbol"),
        (listing({"005930": "96750"}), "XKRX 005930: expected a price on its tick"),
        (listing({"005930": "-1"}), "expected a positive price"),
        (listing({"005930": "NaN"}), "expected a positive price"),
        (listing({"005930": "cheap"}), "XKRX 005930: expected decimals, found 'cheap'"),
        (listing({"005930": "96700"}, lot_size="0"), "expected a positive lot size"),
        (listing(["005930"]), "expected the shape of the shipped file"),
        (listing({"005930": 96700.5}), "expected a price on its tick, was 96700.5"),
        ({"markets": {"XLON": {}}}, "expected a market among"),
        ({"markets": {"XKRX": {"currency": "KRW"}}}, "expected 'reference_prices'"),
        ({"markets": {"XKRX": {"reference_prices": {"005930": None}}}}, "expected 'currency'"),
        ([], "expected an object"),
    ],
)
def test_instruments_that_are_half_right_stop_the_start(
    tmp_path: Path, document: object, said: str
) -> None:
    with pytest.raises(BadReference, match=said) as caught:
        load_instruments(written(tmp_path, document))

    assert "reference.json" in str(caught.value)


def test_a_symbol_that_stands_twice_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "twice.json"
    path.write_text('{"markets": {"A": 1, "A": 2}}', "utf-8")

    with pytest.raises(BadReference, match="found twice: A"):
        load_instruments(path)


@pytest.mark.parametrize("content", [b"{", b"\xff", None])
def test_a_file_that_cannot_be_read_stops_the_start(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.json"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(BadReference, match=r"broken\.json"):
        load_calendar(path)


def test_an_operators_own_listing_replaces_ours(tmp_path: Path) -> None:
    path = written(tmp_path, listing({"005930": None, "000660": "560000"}, lot_size="10"))
    reference = load_reference(instruments_file=path)

    assert set(reference.instruments) == {("XKRX", "005930"), ("XKRX", "000660")}
    assert reference.instruments["XKRX", "005930"].reference_price is None
    assert reference.instruments["XKRX", "000660"].lot_size == 10


def test_an_override_is_in_force_from_the_start() -> None:
    name = "XNYS-2026-11-23-REG"
    session = load_reference(overrides={name: (1, 2)}).calendar.session(name)

    assert session is not None
    assert (session.opens_at, session.closes_at) == (1, 2)


def test_an_override_that_makes_no_sense_stops_the_start() -> None:
    with pytest.raises(BadReference, match=r"^override of XNYS-2026-11-23-REG: expected"):
        load_reference(overrides={"XNYS-2026-11-23-REG": (2, 1)})


def test_a_listing_of_a_market_without_sessions_stops_the_start(tmp_path: Path) -> None:
    document = shipped()
    del document["markets"]["XKRX"]

    with pytest.raises(BadReference, match=r"XKRX.*the calendar lacks the market"):
        load_reference(sessions_file=written(tmp_path, document))
