"""Routes, failovers and anomalies at a terminal, against the doors themselves over HTTP."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from typer.testing import CliRunner, Result

from app.cli import app
from app.cli.output import Ends
from tests.builders import a_finding
from tests.cli.served import served
from tests.web.house import Gateway, a_gateway, run
from tests.web.operators import audit
from tests.web.test_courses import held, sol_is

WHY: Final = ("--reason", "the desk asked")


class Desk:
    """A terminal with an operator's key, in front of a running door."""

    def __init__(self, gateway: Gateway, url: str) -> None:
        self.gateway = gateway
        self._environment = {
            "OPENBELL_URL": url,
            "OPENBELL_KEY": gateway.key()["Authorization"].removeprefix("Bearer "),
            "OPENBELL_APPROVER_KEY": None,
        }

    def says(self, *words: str, status: int = 0) -> Result:
        result = CliRunner(env=self._environment).invoke(app, list(words), catch_exceptions=False)
        assert result.exit_code == status, result.output
        return result

    def asks(self, *words: str) -> Any:
        """Run a command and return the JSON that it prints."""
        return json.loads(self.says(*words, "--json").stdout)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    gateway = a_gateway(tmp_path)
    with served(gateway) as url:
        yield Desk(gateway, url)


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
    refused = desk.says("failover", "run", "XNYS", "--to", "sol", *WHY, status=Ends.REFUSED)
    names_sol(desk)
    told = desk.asks("failover", "run", "XNYS", "--to", "sol", *WHY)
    (listed,) = desk.asks("failover", "list", "--hours", "1")
    read = desk.asks("failover", "ack", told["failover_id"], *WHY)

    assert "prechecks-failed" in refused.stderr
    assert (told["state"], told["to_broker"], told["kind"]) == ("fencing", "sol", "planned")
    assert listed == desk.asks("failover", "get", told["failover_id"]) | {
        "acknowledged_by": None
    } | {"acknowledged_at": None, "version": listed["version"]}
    assert read["acknowledged_by"] == "mina"
    assert desk.asks("route", "get", "XNYS")["active_broker"] == "sol"


def test_the_way_home_is_one_word(desk: Desk) -> None:
    names_sol(desk)
    sol_is(desk.gateway)
    desk.says("failover", "run", "XNYS", "--to", "sol", "--force", *WHY)
    refused = desk.says("failover", "back", "XNYS", *WHY, status=Ends.CONFLICT)
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
