"""The storms' second judge can find fault: each thing that it looks for, planted once."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from app.cli.stage.checker_trail import GENESIS, _seal, check_trail

GOOD = ("reserved", "queued", "sending", "in_doubt", "new", "partially_filled", "filled")


@pytest.fixture
def ledger() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(
            "CREATE TABLE orders (order_id, version, status);"
            "CREATE TABLE order_events (order_id, sequence, type);"
            "CREATE TABLE audit (sequence, at, actor, action, resource, before, after, reason,"
            " request_id, previous_hash, hash, via, ip);"
        )
        yield connection


def lived(ledger: sqlite3.Connection, *states: str, status: str | None = None) -> None:
    ledger.execute("INSERT INTO orders VALUES ('o-1', ?, ?)", [len(states), status or states[-1]])
    for sequence, state in enumerate(states, 1):
        ledger.execute(
            "INSERT INTO order_events VALUES ('o-1', ?, ?)", [sequence, f"order.{state}"]
        )


def audited(ledger: sqlite3.Connection, rows: int) -> None:
    previous = GENESIS
    for sequence in range(1, rows + 1):
        row = (sequence, 1, "kim", "halt", "firm", "null", '{"é":1}', "why", "r", previous)
        # The first is as rows were before they said whence a change came.
        origin = (None, None) if sequence == 1 else ("api", "10.0.3.7")
        previous = _seal(row if sequence == 1 else row + origin)
        marks = ",".join("?" * 13)
        ledger.execute(f"INSERT INTO audit VALUES ({marks})", [*row, previous, *origin])


def found(ledger: sqlite3.Connection) -> list[str]:
    notes: list[str] = []
    check_trail(ledger, lambda law, example: notes.append(f"{law}: {example}"))
    return notes


def test_an_unbroken_life_and_chain_are_not_complained_of(ledger: sqlite3.Connection) -> None:
    lived(ledger, *GOOD)
    audited(ledger, 3)

    assert found(ledger) == []


@pytest.mark.parametrize(
    ("states", "status", "complaint"),
    [
        (("reserved", "canceled", "sending"), None, "it had ended"),
        (("reserved", "queued", "sending", "new", "queued"), None, "a broker had it"),
        (("reserved", "queued"), "filled", "its last event says"),
    ],
)
def test_a_life_that_goes_on_after_its_end_is_found(
    ledger: sqlite3.Connection, states: tuple[str, ...], status: str | None, complaint: str
) -> None:
    lived(ledger, *states, status=status)

    assert complaint in " ".join(found(ledger))


def test_a_missing_event_is_found(ledger: sqlite3.Connection) -> None:
    lived(ledger, *GOOD)
    ledger.execute("DELETE FROM order_events WHERE sequence = 4")

    assert "not 1 to 7" in " ".join(found(ledger))


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE audit SET reason = 'another' WHERE sequence = 2",
        "DELETE FROM audit WHERE sequence = 2",
        "UPDATE audit SET sequence = 5 - sequence WHERE sequence IN (2, 3)",
    ],
)
def test_a_row_changed_dropped_or_swapped_breaks_the_chain(
    ledger: sqlite3.Connection, tampering: str
) -> None:
    audited(ledger, 4)
    ledger.execute(tampering)

    assert "does not follow" in " ".join(found(ledger))
