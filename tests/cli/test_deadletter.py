"""Dead letters are listed with their cause until they are retried, and none is ever lost."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import closing, nullcontext
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.bus.log import LogBus
from app.cli import deadletter
from app.cli.asking.change import Sure
from app.cli.asking.output import Failure
from app.clock import SystemClock
from app.ledger.schema import upgrade
from app.ledger.store import Ledger
from app.letters import LETTER_BYTES_MAX, parked, unsendable
from app.ports.bus import Event, Record
from app.sqlite import Database
from tests.bus.kafka_house import ORDERS, KafkaHouse, an_event, ids, read
from tests.cli.desk import Asked
from tests.servers.server import Server

DLQ = f"{ORDERS}.dlq"
REPORTS = "openbell.broker-reports.v1"


def run(here: Path, *words: str) -> Result:
    environment = {"OPENBELL_DATA_DIR": str(here), "OPENBELL_KAFKA": None}
    return CliRunner(env=environment).invoke(deadletter.app, list(words), catch_exceptions=False)


def publish(here: Path, *events: Event) -> None:
    database = Database(here / "bus.db")
    asyncio.run(LogBus(database, SystemClock()).publish(events))
    database.close()


def standing(here: Path, topic: str) -> Sequence[Record]:
    """Return what the topic holds, to a group that nobody has used."""
    database = Database(here / "bus.db")
    found = asyncio.run(LogBus(database, SystemClock()).poll(topic, "tests", 100))
    database.close()
    return found


def letter(number: int, topic: str = ORDERS) -> Event:
    return parked(Record(0, number, an_event(number, topic=topic)), "accounts", f"cause {number}")


def rows(result: Result) -> list[tuple[str, str]]:
    assert result.exit_code == 0, result.output
    return [(row["event_id"], row["cause"]) for row in json.loads(result.stdout)]


def test_letters_are_listed_with_their_cause_and_listing_changes_nothing(tmp_path: Path) -> None:
    publish(tmp_path, letter(1), letter(2, REPORTS))

    for _ in range(2):
        found = rows(run(tmp_path, "list", "--json"))
        assert found == [("acc-1-1", "cause 1"), ("acc-1-2", "cause 2")]
    assert rows(run(tmp_path, "list", "--topic", REPORTS, "--json")) == [("acc-1-2", "cause 2")]
    assert "cause 1" in run(tmp_path, "list").stdout


def test_a_retried_letter_stands_in_its_topic_again_and_in_the_list_no_more(tmp_path: Path) -> None:
    publish(tmp_path, letter(1), letter(2), letter(3))

    result = run(tmp_path, "retry", "--limit", "2")

    assert result.exit_code == 0
    assert "2 published again; 0 cannot be" in result.stderr
    assert [r.event for r in standing(tmp_path, ORDERS)] == [an_event(1), an_event(2)]
    assert rows(run(tmp_path, "list", "--json")) == [("acc-1-3", "cause 3")]


def test_what_cannot_be_published_again_stays_in_the_list(tmp_path: Path) -> None:
    cut = unsendable(an_event(1)._replace(payload=b"x" * (LETTER_BYTES_MAX + 1)), "too large")
    foreign = an_event(2, topic=DLQ)
    publish(tmp_path, cut, foreign, letter(3))

    assert "1 published again; 2 cannot be" in run(tmp_path, "retry").stderr
    assert [r.event for r in standing(tmp_path, ORDERS)] == [an_event(3)]
    first, second = rows(run(tmp_path, "list", "--json"))
    assert first == ("acc-1-1", "too large")
    assert second[1].startswith("no letter of ours")


def test_one_letter_is_replayed_and_those_before_it_move_behind_the_rest(tmp_path: Path) -> None:
    publish(tmp_path, letter(1), letter(2), letter(3))

    result = run(tmp_path, "replay", "acc-1-2")

    assert "1 published again; 0 cannot be" in result.stderr
    assert [r.event for r in standing(tmp_path, ORDERS)] == [an_event(2)]
    assert rows(run(tmp_path, "list", "--json")) == [("acc-1-3", "cause 3"), ("acc-1-1", "cause 1")]


def test_a_letter_is_shown_whole(tmp_path: Path) -> None:
    publish(tmp_path, letter(1), letter(2))

    told = json.loads(run(tmp_path, "show", "acc-1-2", "--json").stdout)
    unknown = run(tmp_path, "show", "acc-9-9")

    assert told["cause"] == "cause 2"
    assert told["payload"] == an_event(2).payload.decode()
    assert (unknown.exit_code, rows(run(tmp_path, "list", "--json"))[0][0]) == (4, "acc-1-1")


def test_what_is_given_up_is_noted_first_and_listed_no_more(tmp_path: Path) -> None:
    publish(tmp_path, letter(1), letter(2), letter(3))
    with closing(Database(tmp_path / "ledger.db")) as database:
        upgrade(database)

    result = run(tmp_path, "discard", "acc-1-2", "--reason", "settled by hand, OPS-13")

    assert (result.exit_code, "1 given up" in result.stderr) == (0, True)
    assert rows(run(tmp_path, "list", "--json")) == [("acc-1-3", "cause 3"), ("acc-1-1", "cause 1")]
    assert standing(tmp_path, ORDERS) == []
    with closing(Database(tmp_path / "ledger.db")) as database:
        (row,) = asyncio.run(Ledger(database, SystemClock()).audit(0, 10))
    assert (row["action"], row["resource"]) == ("dead_letter.discard", "dead-letter/acc-1-2")
    assert row["reason"] == "settled by hand, OPS-13"


def test_nothing_is_given_up_that_is_not_there_or_cannot_be_noted(tmp_path: Path) -> None:
    publish(tmp_path, letter(1))
    reason = ("--reason", "settled by hand")

    unknown = run(tmp_path, "discard", "acc-1-1", "acc-9-9", *reason)
    without_ledger = run(tmp_path, "discard", "acc-1-1", *reason)
    without_reason = run(tmp_path, "discard", "acc-1-1")

    assert (unknown.exit_code, without_ledger.exit_code, without_reason.exit_code) == (4, 4, 2)
    assert rows(run(tmp_path, "list", "--json")) == [("acc-1-1", "cause 1")]


@pytest.mark.parametrize("answer", ["y", "n", ""])
def test_whoever_gives_up_a_letter_at_a_terminal_has_seen_it(
    answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = Asked([answer])
    letters = [{"event_id": "acc-1-1", "topic": ORDERS, "type": "t", "cause": "a \x1b[2J cause"}]

    with nullcontext() if answer == "y" else pytest.raises(Failure, match="nothing is changed"):
        deadletter.agreed(Sure(ask=asked), letters)

    assert asked.questions == ["give up these 1 for ever? [y/N] "]
    assert "acc-1-1  openbell.orders.v1  t  a \\x1b[2J cause" in capsys.readouterr().err


def test_what_is_wrong_is_said_in_words(tmp_path: Path) -> None:
    nothing = run(tmp_path, "list")
    publish(tmp_path, letter(1))
    unknown = run(tmp_path, "list", "--topic", "openbell.oders.v1")
    database = Database(tmp_path / "bus.db")
    in_use = run(tmp_path, "list")
    database.close()

    assert (nothing.exit_code, unknown.exit_code, in_use.exit_code) == (4, 2, 75)
    assert "there is no topic openbell.oders.v1" in unknown.stderr
    assert "stop it first" in in_use.stderr


def test_letters_are_retried_on_kafka_as_well(kafka: Server) -> None:
    house = KafkaHouse(kafka)

    async def story() -> None:
        async with house.open() as bus:
            await bus.publish([letter(1), letter(2)])
            found = await deadletter.listed(bus, ORDERS, 100)
            assert sorted(row["cause"] for row in found) == ["cause 1", "cause 2"]
        async with house.open() as bus:
            assert await deadletter.retried(bus, ORDERS, 100) == (2, 0)
            assert sorted(ids(await read(bus, 2))) == ["acc-1-1", "acc-1-2"]
            assert await deadletter.listed(bus, ORDERS, 100) == []

    house.run(story)
