"""A broker's record is read so that two live orders of one parent, or too much traded, show."""

from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

from app.brokers.sim.messages import AuditLine, encode
from app.cli.stage.checker_brokers import Seen, Terms, read_audit
from app.domain.values import order_id_of, replace_key
from tests.brokers.builders import a_key, an_order
from tests.brokers.sim_client import Client, play

X = a_key()
Y, Z = replace_key(X, 1), replace_key(X, 2)
ORDER = str(order_id_of(X))


def read(path: Path) -> tuple[Seen, Terms, list[str]]:
    seen: dict[str, Seen] = defaultdict(Seen)
    terms: dict[str, Terms] = {}
    noted: list[str] = []
    read_audit("north", path, seen, terms, lambda invariant, _: noted.append(invariant))
    return seen[ORDER], terms[ORDER], noted


def test_an_order_is_followed_through_its_replaces(tmp_path: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.place(an_order(X))
        for key, original, quantity in ((Y, X, "20"), (Z, Y, "12")):
            await client.replace(key, original, quantity)
            await client.flush()
        await client.post("/sim/fill", {"client_order_id": X})
        await client.flush()

    play(tmp_path / "north.jsonl", scenario)
    seen, terms, noted = read(tmp_path / "north.jsonl")

    assert seen.accepted == [("north", X)]
    assert seen.quantities == [Decimal(10), Decimal(20), Decimal(12)]
    assert (seen.filled, terms[4:6], noted) == (Decimal(12), ("12", "186"), [])


def test_a_second_replace_while_one_is_pending_shows(tmp_path: Path) -> None:
    def line(kind: Any, key: str, **facts: Any) -> bytes:
        return encode(AuditLine(ns=1, kind=kind, client_order_id=key, **facts)) + b"\n"

    new = {name: value for name, value in an_order(X).items() if name != "client_order_id"}
    path = tmp_path / "north.jsonl"
    path.write_bytes(
        line("NEW", X, decision="accepted", **new)
        + line("REPLACE", Y, quantity="20", original=X, decision="accepted")
        + line("REPLACE", Z, quantity="30", original=X, decision="rejected", code="already-pending")
        + line("REPLACE", Y, quantity="20", original=X, decision="duplicate")
    )

    assert read(path)[2] == ["P3 one replace at a time", "P3 a key leaves once"]
