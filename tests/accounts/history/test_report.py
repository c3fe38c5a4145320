"""A report says what was found, and nobody drops a day on one that says something else."""

import json
import os
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.accounts.history.findings import Findings, Seen
from app.accounts.history.report import (
    BadReport,
    DayFinding,
    Subject,
    allows_drop,
    read_report,
    report_of,
    signed,
)
from app.accounts.history.signing import BadKey, read_key, signing_key
from app.accounts.history.totals import DayTotals, Totals
from tests.builders import StillClock

KEY = b"k" * 32
NOW = 1_772_461_800_000
MONDAY = date(2026, 3, 2)
TUESDAY = date(2026, 3, 3)
LEDGER = Subject(record="ledger", source="ledger", store="openbell")


def a_day(day: date = MONDAY, *, orders: int = 7, checksum: int = 1) -> DayTotals:
    totals = Totals(orders, Decimal(70), Decimal("1310.75"), NOW, NOW + 1, checksum)
    return DayTotals(day, {("buy", "filled"): totals} if orders else {})


def a_report(
    *days: DayFinding, subject: Subject = LEDGER, findings: Findings | None = None
) -> dict[str, Any]:
    return report_of(subject, days, findings or Findings(), NOW)


def found(record: DayTotals, view: DayTotals | None = None, **counts: int) -> DayFinding:
    return DayFinding(Seen(record, **({"compared": 1} | counts)), view or record)


def test_a_day_is_dropped_on_a_report_that_fits() -> None:
    raw = signed(a_report(found(a_day()), found(a_day(TUESDAY))), KEY)

    assert allows_drop(raw, key=KEY, standing=a_day()) is None
    assert allows_drop(raw, key=KEY, standing=a_day(TUESDAY)) is None


def test_an_empty_day_may_be_dropped_too() -> None:
    raw = signed(a_report(found(a_day(orders=0), compared=0)), KEY)

    assert allows_drop(raw, key=KEY, standing=a_day(orders=0)) is None


@pytest.mark.parametrize(
    ("finding", "why"),
    [
        (found(a_day(), a_day(checksum=2)), "verification failed for 2026-03-02"),
        (found(a_day(), a_day(orders=8)), "verification failed"),
        (found(a_day(), missing=1), "verification failed"),
        (found(a_day(), altered=1), "verification failed"),
        (found(a_day(orders=8)), "verify it again"),
        (found(a_day(checksum=9)), "verify it again"),
        (found(a_day(), compared=0), "not one order"),
        (found(a_day(TUESDAY)), "says nothing about 2026-03-02"),
    ],
)
def test_a_day_stays_when_its_report_does_not_fit(finding: DayFinding, why: str) -> None:
    raw = signed(a_report(finding), KEY)

    assert why in str(allows_drop(raw, key=KEY, standing=a_day()))


def test_an_archives_report_drops_no_day_of_the_ledger() -> None:
    archive = Subject(record="parquet", source="orders", store="openbell")
    raw = signed(a_report(found(a_day()), subject=archive), KEY)

    assert "not about the ledger" in str(allows_drop(raw, key=KEY, standing=a_day()))


def test_a_report_that_was_changed_says_nothing() -> None:
    raw = signed(a_report(found(a_day(), a_day(checksum=2))), KEY)
    forged = raw.replace(b'"different"', b'"equal"')

    assert forged != raw
    with pytest.raises(BadReport, match="changed"):
        read_report(forged, KEY)
    assert "cannot be believed" in str(allows_drop(forged, key=KEY, standing=a_day()))


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda _: b"", "no JSON"),
        (lambda _: b"[]", "no signature"),
        (lambda r: json.dumps(json.loads(r) | {"signature": None}).encode(), "no signature"),
        (lambda r: r.replace(b"hmac-sha256", b"none"), "no signature"),
    ],
)
def test_a_report_without_a_signature_says_nothing(spoil: Any, why: str) -> None:
    raw = signed(a_report(found(a_day())), KEY)

    assert why in str(allows_drop(spoil(raw), key=KEY, standing=a_day()))


def test_another_key_signs_for_nobody_here() -> None:
    raw = signed(a_report(found(a_day())), b"x" * 32)

    assert "another key" in str(allows_drop(raw, key=KEY, standing=a_day()))


def test_a_report_may_be_printed_anew_and_still_fits() -> None:
    raw = signed(a_report(found(a_day())), KEY)
    printed = json.dumps(json.loads(raw), indent=2, sort_keys=True).encode()

    assert read_report(printed, KEY) == read_report(raw, KEY)


def test_a_shape_that_we_do_not_know_is_refused() -> None:
    raw = signed(a_report(found(a_day())) | {"schema": "openbell.verification.v2"}, KEY)

    with pytest.raises(BadReport, match="expected openbell"):
        read_report(raw, KEY)


@pytest.mark.parametrize("rest", [Findings(rejected=1), Findings(unreadable=["x: cut off"])])
def test_days_that_agree_are_no_verdict_while_rows_were_left_out(rest: Findings) -> None:
    assert a_report(found(a_day()))["verdict"] == "equal"
    assert a_report(found(a_day()), findings=rest)["verdict"] == "different"


def test_the_report_counts_what_the_view_has_too_much() -> None:
    [day] = a_report(found(a_day(orders=7), a_day(orders=9), missing=1))["days"]

    assert (day["missing"], day["extra"]) == (1, 3)


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "verification.key"

    key = signing_key(path, StillClock())

    assert len(key) == 64
    assert path.stat().st_mode & 0o777 == 0o600
    assert signing_key(path, StillClock(seed=9)) == key == read_key(path)


def test_a_key_that_is_short_or_open_to_others_or_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "verification.key"
    with pytest.raises(BadKey, match="No such file"):
        read_key(path)
    os.close(os.open(path, os.O_CREAT, 0o600))
    with pytest.raises(BadKey, match="at least 32 bytes"):
        read_key(path)
    path.write_bytes(KEY)
    path.chmod(0o644)
    with pytest.raises(BadKey, match="chmod 600"):
        read_key(path)
