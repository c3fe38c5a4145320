"""A table fits the terminal that it is read in, and is whole wherever else it goes."""

import pytest

from app.cli.asking.output import fitting, table, width_of

ROWS = [
    {"id": "01KAPK5R00W7D3Q8ZC1VYBX4N9", "account": "A-1", "text": "a note " * 12, "at": "14:30"},
    {"id": "01KAPK5R00W7D3Q8ZC1VYBX4NA", "account": "A-1", "text": "", "at": "14:31"},
]
COLUMNS = ("id", "account", "text", "at")


def test_elsewhere_nothing_is_cut() -> None:
    assert ROWS[0]["text"].strip() in table(ROWS, COLUMNS)[1]


@pytest.mark.parametrize("room", [60, 80, 132, 200])
def test_it_fits_the_terminal(room: int) -> None:
    lines = table(ROWS, COLUMNS, room)

    assert max(map(width_of, lines)) <= room
    assert all(row["id"] in line for row, line in zip(ROWS, lines[1:], strict=True))
    assert all(line.rstrip().endswith(row["at"]) for row, line in zip(ROWS, lines[1:], strict=True))
    assert ("…" in lines[1]) == (room < 130)


def test_a_name_is_never_cut() -> None:
    assert table(ROWS, ("id",), 10)[1] == ROWS[0]["id"]


def test_columns_that_do_not_fit_are_counted() -> None:
    assert fitting(ROWS, COLUMNS, 200) == 4
    assert fitting(ROWS, COLUMNS, 50) == 3
    assert fitting(ROWS, COLUMNS, 10) == 1


def test_a_korean_note_takes_two_columns_a_syllable() -> None:
    rows = [{"id": "1", "text": "개장 전 예약 주문입니다 " * 4, "at": "x"}, {"id": "2", "at": "y"}]

    lines = table(rows, ("id", "text", "at"), 30)

    assert width_of("개장") == 4
    assert max(map(width_of, lines)) <= 30
    assert len({width_of(line[:-1]) for line in lines[1:]}) == 1, "the last column is in line"


def test_an_instant_is_cut_to_its_minute_and_a_heading_is_the_last_part_of_its_place() -> None:
    at = "2026-03-02T14:30:00.123Z"
    rows = [{"id": "1", "at": at, "lane": {"since_at": at, "why": "a reason " * 9}}]

    heading, line = table(rows, ("id", "at", "lane.since_at", "lane.why"), 50)

    assert heading.split() == ["ID", "AT", "SINCE_AT", "WHY"]
    assert line.split()[:3] == ["1", "2026-03-02T14:30…", "2026-03-02T14:30…"]


def test_no_rows_are_said() -> None:
    assert table([], COLUMNS, 80) == ["(none)"]
