"""The chain names the first row that is not as it was written; an anchor sees the rest."""

import json
from collections.abc import Callable
from typing import Any, Final

import pytest
from sqlalchemy import TextClause

from app.domain.records import Actor, Anchor, Change
from app.domain.values import legible
from app.ledger.operators import audit
from app.ledger.operators.audit import GENESIS, AuditRow
from app.ledger.orders import sweeps
from tests.ledger.books import ME, Books

ROWS: Final = 6


@pytest.fixture
def chain(books: Books) -> Books:
    """Lend a ledger in which six things have been done."""
    for number in range(ROWS):
        books.run(books.ledger.note(Change("did", f"thing/{number}", None, {"n": number}), ME))
    return books


def broken_at(chain: Books, anchor: Anchor | None = None) -> int | None:
    return chain.run(chain.ledger.audit_broken_at(anchor))


def last(chain: Books) -> Anchor:
    (row,) = chain.run(chain.ledger.audit(ROWS - 1, 1))
    return Anchor(ROWS, str(row["hash"]))


def seal_anew(chain: Books) -> None:
    """Do what a forger would: make the chain whole again after an edit."""
    previous = GENESIS
    for row in chain.sql("SELECT * FROM audit ORDER BY sequence"):
        forged = AuditRow(*row)._replace(previous_hash=previous)
        previous = audit.seal(forged)
        chain.sql(
            "UPDATE audit SET previous_hash = :p, hash = :h WHERE sequence = :s",
            p=forged.previous_hash,
            h=previous,
            s=forged.sequence,
        )


def swap(chain: Books) -> None:
    chain.sql("UPDATE audit SET sequence = -3 WHERE sequence = 3")
    chain.sql("UPDATE audit SET sequence = 3 WHERE sequence = 4")
    chain.sql("UPDATE audit SET sequence = 4 WHERE sequence = -3")


def edit(column: str, value: object) -> Callable[[Books], None]:
    def break_it(chain: Books) -> None:
        chain.sql(f"UPDATE audit SET {column} = :v WHERE sequence = 3", v=value)

    return break_it


def test_a_chain_that_nobody_touched_is_whole(chain: Books) -> None:
    assert broken_at(chain) is None
    assert broken_at(chain, last(chain)) is None


def test_an_empty_chain_is_whole(books: Books) -> None:
    assert broken_at(books) is None


@pytest.mark.parametrize(
    "break_it",
    [
        edit("at", 0),
        edit("actor", "somebody else"),
        edit("action", "undid"),
        edit("resource", "thing/9"),
        edit('"before"', "{}"),
        edit('"after"', '{"n": 7}'),
        edit("reason", ""),
        edit("request_id", ""),
        edit("via", "console"),
        edit("via", None),
        edit("ip", "10.0.3.8"),
        lambda chain: chain.sql("UPDATE audit SET via = NULL, ip = NULL WHERE sequence = 3"),
        edit("previous_hash", GENESIS),
        edit("hash", GENESIS),
        lambda chain: chain.sql("DELETE FROM audit WHERE sequence = 3"),
        lambda chain: chain.sql("UPDATE audit SET sequence = 99 WHERE sequence = 3"),
        swap,
    ],
)
def test_a_row_that_was_touched_is_named(chain: Books, break_it: Callable[[Books], None]) -> None:
    break_it(chain)

    assert broken_at(chain) == 3


def test_the_first_row_cannot_be_dropped(chain: Books) -> None:
    chain.sql("DELETE FROM audit WHERE sequence = 1")

    assert broken_at(chain) == 1


def test_a_row_cannot_be_slipped_in(chain: Books) -> None:
    chain.sql(
        "INSERT INTO audit SELECT 7, at, actor, action, resource, before, after, reason,"
        " request_id, previous_hash, hash, via, ip FROM audit WHERE sequence = 6"
    )

    assert broken_at(chain) == 7


@pytest.mark.parametrize("kept", [0, 1, 5])
def test_a_cut_tail_is_seen_against_an_anchor(chain: Books, kept: int) -> None:
    anchor = last(chain)
    chain.sql("DELETE FROM audit WHERE sequence > :kept", kept=kept)

    assert broken_at(chain) is None  # which is why there are anchors
    assert broken_at(chain, anchor) == kept + 1


def test_a_chain_sealed_anew_is_seen_against_an_anchor(chain: Books) -> None:
    anchor = last(chain)
    edit("reason", "a better one")(chain)
    seal_anew(chain)

    assert broken_at(chain) is None
    assert broken_at(chain, anchor) == ROWS


def test_a_tail_that_grew_again_is_seen_against_an_anchor(chain: Books) -> None:
    anchor = last(chain)
    chain.sql("DELETE FROM audit WHERE sequence > 5")
    chain.run(chain.ledger.note(Change("did", "thing/else", None, None), ME))

    assert broken_at(chain) is None
    assert broken_at(chain, anchor) == ROWS


def test_each_row_leaves_for_the_bus_with_its_hash(chain: Books) -> None:
    """Every event is an anchor."""
    events = chain.sql(
        "SELECT event_id, payload FROM outbox WHERE aggregatetype = 'audit' ORDER BY id"
    )
    hashes = [row["hash"] for row in chain.run(chain.ledger.audit(0, 100))]

    assert [event_id for event_id, _ in events] == [f"audit-{n}" for n in range(1, ROWS + 1)]
    assert [json.loads(payload)["hash"] for _, payload in events] == hashes


def test_a_page_goes_on_after_the_last(chain: Books) -> None:
    found = chain.run(chain.ledger.audit(2, 3))

    assert [row["sequence"] for row in found] == [3, 4, 5]
    assert found[0]["after"] == '{"n":2}'


def test_a_long_chain_is_walked_to_its_end(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(connection: object) -> None:
        for number in range(1_005):
            audit.append(connection, ME, Change("did", f"t/{number}", None, None), 1)  # type: ignore[arg-type]

    books.database.write_now(write)
    books.sql("UPDATE audit SET reason = '' WHERE sequence = 1004")
    looks, read = [], books.database.read

    async def noted(work: Any) -> Any:
        looks.append(1)
        return await read(work)

    monkeypatch.setattr(books.database, "read", noted)

    assert broken_at(books) == 1_004
    assert len(looks) == 2, "a thousand rows a look: others read in between"


def test_whatever_a_person_writes_is_sealed(books: Books) -> None:
    by = Actor("o'Neil \N{PILE OF POO}", 'said "so"\n\0\\', "r")
    books.run(books.ledger.note(Change("did", "thing", {"a": None}, [1, "\N{SNOWMAN}"]), by))

    assert broken_at(books) is None
    assert books.run(books.ledger.audit(0, 1))[0]["reason"] == legible(by.reason)


@pytest.mark.parametrize("statement", [audit._WRITTEN, sweeps._BEGUN])
def test_what_a_request_has_written_is_found_without_reading_the_log(
    books: Books, statement: TextClause
) -> None:
    """It is asked inside the write: of 300,000 rows it took half a second of the one writer."""
    names = ("request_id", "action", "actor")
    plan = books.sql(f"EXPLAIN QUERY PLAN {statement.text}", **dict.fromkeys(names, "x"))

    (found,) = [detail for *_, detail in plan if "audit" in detail]
    assert found.startswith("SEARCH audit USING ")
    assert found.endswith("INDEX audit_by_request (request_id=? AND action=?)")
