"""What one operator does to one thing at a terminal, against the doors themselves over HTTP."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.cli.asking.client import Client
from app.cli.asking.output import Ends, Failure
from app.cli.asking.problems import Problem
from app.cli.order import bulk
from app.cli.session import PLAN_COLUMNS, next_session, session_now
from app.web.access.keyfile import ROLES
from tests.cli.desk import WHY, Desk, a_desk
from tests.web.house import SESSION
from tests.web.operators import reserve
from tests.web.things import a_key, a_proposal, an_endpoint


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with a_desk(tmp_path) as desk:
        yield desk


def test_an_order_is_held_listed_let_go_and_ended(desk: Desk) -> None:
    order_id = reserve(desk.gateway, 2)
    would = desk.asks("order", "hold", order_id, *WHY, "--dry-run")
    held = desk.asks("order", "hold", order_id, *WHY)
    (listed,) = desk.asks("order", "held")
    strays = desk.asks("order", "held", "--strays")
    freed = desk.asks("order", "release", order_id, *WHY)
    ended = desk.asks("order", "end", order_id, *WHY)

    assert (would["status"], would["dry_run"]) == ("held", True)
    assert (held["status"], freed["status"], ended["status"]) == ("held", "reserved", "canceled")
    assert (listed["order_id"], strays) == (order_id, [])


def test_many_are_held_as_the_number_says_and_no_more(desk: Desk) -> None:
    reserve(desk.gateway, 3)
    hold = ("order", "hold-many", "--request-id", "h-1", "--symbol", "AA", *WHY)
    unsaid = desk.says(*hold, status=Ends.FAILED_CHECK)
    few = desk.says(*hold, "--expect", "2", status=Ends.CONFLICT)
    tried = desk.asks(*hold, "--dry-run")
    assert desk.asks("order", "held") == []
    done = desk.asks(*hold, "--expect", "3")
    free = ("order", "release-many", "--request-id", "h-2", "--everything", *WHY)
    freed = desk.asks(*free, "--expect", "3")

    assert "--expect 3" in unsaid.stderr
    assert "selection-grew" in few.stderr
    assert (tried["orders_affected"], done["moved"], freed["moved"]) == (3, 3, 3)
    assert desk.asks("order", "held") == []


def test_who_is_asked_says_yes_to_a_few_and_types_the_number_of_many(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve(desk.gateway, 2)
    path = "/admin/v1/orders/hold"
    body = {"everything": True, "request_id": "h-1", "reason": "the desk asked"}
    with desk.hand("y") as asked:
        few = bulk.of_many(asked.hand, path, body, None)
    monkeypatch.setattr(bulk, "GLANCE", 1)
    with desk.hand("2") as typed:
        many = bulk.of_many(typed.hand, "/admin/v1/orders/release", body, None)

    assert few is not None
    assert many is not None
    assert (few["moved"], asked.questions) == (2, ["change, 2 orders? [y/N] "])
    assert (many["moved"], typed.questions) == (2, ["change, 2 orders: type 2 to go on: "])


def test_the_kill_switch_is_behind_its_name(desk: Desk) -> None:
    reserve(desk.gateway, 2)
    kill = ("halt", "kill", "--scope", "firm", *WHY)
    would = desk.asks(*kill, "--dry-run")
    refused = desk.says(*kill, status=Ends.REFUSED)
    assert desk.asks("halt", "status") == []
    done = desk.says(*kill, "--confirm", "all", "--json")
    (halt,) = desk.asks("halt", "status")
    lift = ("halt", "off", "--scope", "all", *WHY)
    alone = desk.says(*lift, status=Ends.CONFLICT)
    desk.says(*lift, key=desk.jun)

    assert would["orders_affected"] == 2
    assert "--confirm all" in refused.stderr
    assert '"canceled": 2' in done.stdout
    assert "may still be filled" in done.stderr
    assert (halt["scope"], desk.asks("halt", "status")) == ("all", [])
    assert "second-principal-required" in alone.stderr
    gone = desk.says(*lift, status=Ends.NOT_FOUND)
    assert "openbell halt status" in gone.stderr
    desk.says("halt", "kill", "--scope", "route:XNYS", *WHY, status=Ends.USAGE)


def test_what_another_person_wants_is_read_and_approved_once(desk: Desk) -> None:
    name = a_proposal(desk.gateway).parts["proposal_id"]
    (waits,) = desk.asks("proposal", "list")
    shown = desk.asks("proposal", "get", name)
    desk.says("proposal", "approve", name, *WHY)
    again = desk.says("proposal", "decline", name, *WHY, status=Ends.CONFLICT)

    assert (waits["proposal_id"], shown["call"]["body"]) == (name, {"tps": 400})
    assert desk.asks("broker", "rate", "get", "nova")["tps"] == 400
    assert "proposal" in again.stderr
    assert desk.asks("proposal", "list") == []
    assert [one["state"] for one in desk.asks("proposal", "list", "--all")] == ["executed"]


def test_the_last_change_is_taken_back_and_an_older_one_is_not(desk: Desk) -> None:
    first = desk.asks("route", "policy", "XNYS", "--automation", "advise", *WHY)["audit_id"]
    last = desk.asks("route", "lock", "XNYS", "--for", "30m", *WHY)["audit_id"]
    late = desk.says("route", "undo", "XNYS", str(first), *WHY, status=Ends.CONFLICT)
    back = desk.asks("route", "undo", "XNYS", str(last), *WHY)
    paused = desk.asks("broker", "pause", "sol", *WHY)["audit_id"]
    running = desk.asks("broker", "undo", "sol", str(paused), *WHY)

    assert "stale-version" in late.stderr
    assert (back["lock"], back["policy"]["automation"]) == (None, "advise")
    assert running["dispatch"] == "running"


def test_a_release_is_paused_and_a_bell_is_moved_and_given_back(desk: Desk) -> None:
    paused = desk.asks("session", "pause", SESSION, "--expires", "10m", *WHY)
    shown = desk.asks("session", "release", SESSION)
    resumed = desk.asks("session", "resume", SESSION, *WHY)
    bells = ("--opens", "2998-01-01T00:00:00Z", "--closes", "2998-01-01T06:00:00Z")
    moved = desk.asks("session", "override", SESSION, *bells, *WHY)
    (listed,) = desk.asks("session", "overrides")
    desk.says("session", "undo", SESSION, str(moved["audit_id"]), *WHY)
    desk.asks("session", "override", SESSION, *bells, *WHY)
    desk.says("session", "lift", SESSION, *WHY)

    assert paused == shown["release"] | {"undo_url": paused["undo_url"]}
    assert (paused["paused"], resumed["paused"], resumed["version"]) == (True, False, 2)
    assert listed["trading_session_id"] == SESSION
    assert desk.asks("session", "overrides") == []


def test_an_endpoint_and_a_key_are_stopped_from_a_distance(desk: Desk) -> None:
    endpoint = an_endpoint(desk.gateway).parts["endpoint_id"]
    key = a_key(desk.gateway).parts["key_id"]
    off = desk.asks("webhook", "operator", "disable", endpoint, *WHY)
    on = desk.asks("webhook", "operator", "enable", endpoint, *WHY)
    desk.says("webhook", "operator", "disable", "we_x", *WHY, status=Ends.NOT_FOUND)
    ended = desk.asks("key", "remote", "revoke", key, *WHY)

    assert (off["state"], on["state"]) == ("disabled", "enabled")
    assert [one["state"] for one in desk.asks("webhook", "operator", "list")] == ["enabled"]
    assert desk.asks("key", "remote", "get", key)["revoked"] is True
    assert ended["key_id"] in {one["key_id"] for one in desk.asks("key", "remote", "list")}


def test_the_end_of_the_log_is_printed_alone_for_a_safe_place(desk: Desk) -> None:
    empty = desk.says("audit", "anchor", status=Ends.NOT_FOUND)
    desk.says("halt", "on", "--scope", "symbol:AA", *WHY)
    anchor = desk.says("audit", "anchor").stdout.strip()
    told = desk.asks("audit", "anchor")

    assert "empty" in empty.stderr
    assert told == {"anchor": anchor}
    desk.says("audit", "verify", "--anchor", anchor)


def test_the_key_of_the_role_is_enough_for_what_the_role_does(desk: Desk) -> None:
    order_id = reserve(desk.gateway, 1)
    olga = desk.key("olga", ROLES["operator"])

    assert desk.asks("order", "hold", order_id, *WHY, key=olga)["status"] == "held"
    assert desk.asks("session", "pause", SESSION, *WHY, key=olga)["paused"] is True


class NoOrders(Client):
    """A gateway to somebody who may see no orders, and so no client's list of sessions."""

    def get(self, path: str, **_query: object) -> Any:
        if path == "/v1/sessions":
            raise Problem("http://gateway", 403, {"code": "scope-missing"}, {})
        days = ("2998-11-23", "2998-11-24")
        coming = [session("XKRX", "k", f"{days[0]}T00:00:00Z")]
        coming += [session("XNYS", day, f"{day}Z") for day in days]
        rung = [session("XKRX", f"k{hour}", f"2026-03-02T0{hour}Z", "open") for hour in (1, 0)]
        return {"sessions_open": rung, "sessions_next": coming[::-1]}


def session(market: str, name: str, opens_at: str, state: str = "upcoming") -> dict[str, str]:
    return {"market": market, "trading_session_id": name, "opens_at": opens_at, "state": state}


def test_the_next_session_is_found_by_who_may_see_no_orders() -> None:
    with closing(NoOrders("http://127.0.0.1:1", "key")) as client:
        assert next_session(client, "XNYS") == "2998-11-23"
        with pytest.raises(Failure, match="no session to come at XLON"):
            next_session(client, "XLON")


def test_now_is_the_session_that_opened_last_and_before_the_bell_the_next() -> None:
    with closing(NoOrders("http://127.0.0.1:1", "key")) as client:
        assert session_now(client, "XKRX") == "k1"
        assert session_now(client, "XNYS") == "2998-11-23"


def test_a_plan_is_shown_as_tables_and_told_to_a_program_as_the_door_says_it(desk: Desk) -> None:
    reserve(desk.gateway, 1)

    facts, brokers, stretches = desk.says("session", "plan", SESSION).stdout.split("\n\n")
    told = desk.asks("session", "plan", SESSION)

    assert "balanced            yes" in facts.splitlines()
    assert brokers.splitlines()[0].split() == [name.upper() for name in PLAN_COLUMNS]
    assert stretches.splitlines()[0].split()[:3] == ["BROKER_ID", "AT", "TPS"]
    assert told["session"]["trading_session_id"] == SESSION
