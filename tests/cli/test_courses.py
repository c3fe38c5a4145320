"""Routes, failovers and anomalies at a terminal, against the doors themselves over HTTP."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.cli.asking.output import Ends
from tests.builders import a_finding
from tests.cli.desk import WHY, Desk, a_desk
from tests.web.house import run
from tests.web.operators import audit
from tests.web.test_courses import held, sol_is
from tests.web.things import a_stray


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with a_desk(tmp_path) as desk:
        yield desk


def names_sol(desk: Desk) -> Any:
    return desk.asks("route", "policy", "XNYS", "--candidates", "nova,sol", *WHY)


# --- routes -----------------------------------------------------------------------------


def test_a_routes_policy_is_set_and_shown(desk: Desk) -> None:
    told = names_sol(desk)
    desk.says("route", "policy", "XNYS", "--automation", "advise", "--confirm-s", "12", *WHY)
    shown = desk.asks("route", "get", "XNYS")

    assert told["policy"]["candidates"] == ["nova", "sol"]
    assert (shown["policy"]["automation"], shown["policy"]["confirm_s"]) == ("advise", 12)
    assert shown["policy"]["version"] == 2
    assert "XNYS" in desk.says("route", "list").stdout


def test_a_route_is_locked_and_unlocked(desk: Desk) -> None:
    locked = desk.asks("route", "lock", "XNYS", "--for", "30m", *WHY)
    lifted = desk.asks("route", "unlock", "XNYS", *WHY)

    assert (locked["lock"]["locked_by"], lifted["lock"]) == ("mina", None)
    assert [row["action"] for row in audit(desk.gateway)] == ["route.policy"] * 2


def test_a_route_that_is_not_there_is_said_so(desk: Desk) -> None:
    result = desk.says("route", "get", "XLON", status=Ends.NOT_FOUND)

    assert "not-found" in result.stderr


# --- failovers --------------------------------------------------------------------------


def test_a_plan_says_what_stands_in_the_way_and_moves_nothing(desk: Desk) -> None:
    sol_is(desk.gateway, good_s=3)
    result = desk.says("failover", "plan", "XNYS", "--to", "sol")

    assert "target_well" in result.stdout
    assert "it would be refused" in result.stderr
    assert desk.asks("failover", "list") == []


def test_a_failover_by_hand_is_refused_run_forced_and_read(desk: Desk) -> None:
    sol_is(desk.gateway)
    to_sol = ("failover", "run", "XNYS", "--to", "sol", *WHY)
    refused = desk.says(*to_sol, "--confirm", "sol", status=Ends.REFUSED)
    names_sol(desk)
    unsure = desk.says(*to_sol, status=Ends.REFUSED)
    told = desk.asks(*to_sol, "--confirm", "sol")
    (listed,) = desk.asks("failover", "list", "--hours", "1")
    read = desk.asks("failover", "ack", told["failover_id"], *WHY)

    assert "prechecks-failed" in refused.stderr
    assert "confirm-required" in unsure.stderr
    assert (told["state"], told["to_broker"], told["kind"]) == ("fencing", "sol", "planned")
    assert listed == desk.asks("failover", "get", told["failover_id"]) | {
        "acknowledged_by": None
    } | {"acknowledged_at": None, "version": listed["version"]}
    assert read["acknowledged_by"] == "mina"
    assert desk.asks("route", "get", "XNYS")["active_broker"] == "sol"


def test_the_way_home_is_one_word(desk: Desk) -> None:
    names_sol(desk)
    sol_is(desk.gateway)
    desk.says("failover", "run", "XNYS", "--to", "sol", "--force", "--confirm", "sol", *WHY)
    refused = desk.says("failover", "back", "XNYS", "--confirm", "XNYS", *WHY, status=Ends.CONFLICT)
    assert "failover-running" in refused.stderr

    (going_on,) = desk.asks("failover", "list")
    assert going_on["kind"] == "forced"


def test_what_is_held_is_ended_by_a_person(desk: Desk) -> None:
    held(desk.gateway)
    ended = desk.asks("failover", "abort", "fo_1", *WHY)
    again = desk.says("failover", "abort", "fo_1", *WHY, status=Ends.CONFLICT)

    assert (ended["state"], ended["by"]) == ("aborted", "mina")
    assert "failover-fenced" in again.stderr


# --- anomalies --------------------------------------------------------------------------


def test_an_anomaly_is_raised_listed_acknowledged_and_resolved(desk: Desk) -> None:
    raised = desk.asks("anomaly", "raise", "broker/nova", "--severity", "critical", *WHY)
    (listed,) = desk.asks("anomaly", "list", "--state", "open")
    seen = desk.asks("anomaly", "ack", raised["anomaly_id"], "--silence", "1h", *WHY)
    over = desk.asks("anomaly", "resolve", raised["anomaly_id"], *WHY)

    assert listed["anomaly_id"] == raised["anomaly_id"]
    assert (raised["rule"]["id"], raised["severity"]) == ("manual.raised", "critical")
    assert (seen["acknowledged_by"], over["state"]) == ("mina", "resolved")
    assert desk.asks("anomaly", "list", "--state", "open") == []


def test_what_the_watch_found_is_listed(desk: Desk) -> None:
    run(desk.gateway.house.trouble.note([a_finding(subject="broker/nova")]))

    assert "broker.error_rate" in desk.says("anomaly", "list").stdout


# --- stray copies -----------------------------------------------------------------------


def test_two_people_settle_a_stray_copy(desk: Desk) -> None:
    stray = a_stray(desk.gateway)
    order_id = stray.parts["order_id"]
    (shown,) = desk.asks("stray", "list")
    attempt = shown["attempts"][0]["attempt_id"]
    word = ("stray", "propose", order_id, "--attempt", attempt, "--evidence", "their file", *WHY)
    desk.says(*word, "--verdict", "filled", status=Ends.USAGE)
    proposed = desk.asks(*word, "--verdict", "canceled")
    mine = ("stray", "settle", proposed["proposal_id"], *WHY)
    alone = desk.says(*mine, status=Ends.CONFLICT)
    settled = desk.asks(*mine, key=desk.jun)

    assert "another person" in alone.stderr
    assert (shown["order_id"], settled["status"]) == (order_id, "canceled")
    assert desk.asks("stray", "list") == []
    gone = desk.says(*word, "--verdict", "canceled", status=Ends.NOT_FOUND)
    assert "openbell stray list" in gone.stderr


def test_a_word_about_copies_decides_no_other_proposal(desk: Desk) -> None:
    body = {"operation": "unlock_route", "parts": {"route_id": "XNYS"}, "reason": "the desk asked"}
    headers = {"Authorization": f"Bearer {desk.mina}"}
    seen = desk.gateway.client.get("/admin/v1/routes/XNYS", headers=headers).headers["etag"]
    made = desk.gateway.client.post(
        "/admin/v1/proposals", json=body | {"if_match": seen}, headers=headers
    ).json()
    name = made["proposal_id"]
    desk.says("stray", "decline", name, *WHY, status=Ends.USAGE, key=desk.jun)

    assert desk.asks("proposal", "decline", name, *WHY, key=desk.jun)["state"] == "declined"
