"""Anomalies at a terminal: listing, marking, raising, and a subscriber as others would write it."""

import json
from collections.abc import Sequence
from typing import Any

from app.bus.log import LogBus
from app.cli.anomaly import TOPIC, subscribed
from app.ports.bus import Event
from app.sqlite import Database
from tests.cli.conftest import Terminal
from tests.cli.gateway import anomaly
from tests.virtual import Virtual

TURNS = [("open", "warning"), ("open", "critical"), ("resolved", "warning")]
REASON = ("--reason", "the desk asked")


def turns(stdout: str) -> list[tuple[str, str]]:
    found = [json.loads(line) for line in stdout.splitlines()]
    return [(a["state"], a["severity"]) for a in found]


def test_the_list_shows_whom_it_is_about(terminal: Terminal) -> None:
    terminal.gateway.going_on = [[anomaly()]]
    shown = terminal.run("anomaly", "list", "--state", "open").stdout

    assert "broker.error_rate" in shown
    assert terminal.gateway.requests[-1][1] == "/admin/v1/anomalies?state=open&limit=100"


def test_who_has_seen_it_may_ask_for_silence_too(terminal: Terminal) -> None:
    result = terminal.run("anomaly", "ack", "an_1", *REASON, "--silence", "1h", "--json")

    requests = terminal.gateway.requests
    asked = [(path.rpartition("/")[2], body) for method, path, body in requests if method != "GET"]
    assert asked == [
        ("ack", {"reason": "the desk asked"}),
        ("silence", {"ttl_s": 3_600, "reason": "the desk asked"}),
    ]
    assert json.loads(result.stdout)["silenced_until"] is not None


def test_what_is_raised_says_that_it_is_a_drill(terminal: Terminal) -> None:
    words = ("broker/b1", "--severity", "critical", "--drill", "--name", "friday", *REASON)
    terminal.run("anomaly", "raise", *words)

    method, path, body = terminal.gateway.requests[-1]
    assert (method, path) == ("POST", "/admin/v1/anomalies")
    assert body == {
        "subject": "broker/b1",
        "name": "friday",
        "severity": "critical",
        "drill": True,
        "ttl_s": 3_600,
        "reason": "the desk asked",
    }


def test_without_a_cluster_the_watch_asks_and_prints_each_turn_once(terminal: Terminal) -> None:
    loud = anomaly(severity="critical")
    terminal.gateway.going_on = [[anomaly()], [anomaly()], [loud], [loud], []]
    result = terminal.run("anomaly", "watch", "--for", "4")

    assert turns(result.stdout) == [
        ("open", "warning"),
        ("open", "critical"),
        ("resolved", "warning"),
    ]
    assert terminal.waits == [1.0] * 5


def test_drills_are_for_those_who_ask_for_them(terminal: Terminal) -> None:
    for words, count in (((), 0), (("--drills",), 1)):
        terminal.gateway.going_on = [[anomaly(drill=True)]] * 2
        assert len(turns(terminal.run("anomaly", "watch", "--for", "1", *words).stdout)) == count


def test_a_group_needs_a_cluster(terminal: Terminal) -> None:
    result = terminal.run("anomaly", "watch", "--group", "my-team")

    assert result.exit_code == 2
    assert "OPENBELL_KAFKA" in result.stderr


def an_event(number: int, about: str = "an_1", **facts: Any) -> Event:
    document = json.dumps(anomaly(**facts)).encode()
    return Event(TOPIC, "broker/b1", f"{about}-{number}", "io.openbell.anomaly.opened.v1", document)


def test_a_subscriber_shows_each_turn_once_and_nothing_that_is_too_old(
    virtual: Virtual,
) -> None:
    stale = {"valid_until": "2026-03-02T14:30:30.000Z"}
    sent = [
        an_event(1),
        an_event(1),
        an_event(3, severity="critical"),
        an_event(2),
        an_event(1, "an_2", **stale),
        an_event(2, "an_2", state="resolved", **stale),
        Event(TOPIC, "x", "x", "t", b"{}"),
        Event(TOPIC, "x", "x-1", "t", b"\xff"),
    ]

    async def life(bus: LogBus, events: Sequence[Event]) -> list[tuple[str, str]]:
        await bus.publish(events)
        return [(a["state"], a["severity"]) async for a in subscribed(bus, "my-team", 10)]

    database = Database(None)
    first = virtual.run(life(LogBus(database, virtual.clock), sent))
    second = virtual.run(life(LogBus(database, virtual.clock), []))

    assert first == TURNS
    assert second == []  # it has committed what it took
    database.close()
