"""Each command asks what it should, with the right key, and ends with the right exit code."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import pytest

from app.clock import SystemClock
from app.ledger.operators.audit import GENESIS, AuditRow, seal
from tests.cli.conftest import Terminal
from tests.cli.gateway import APPROVER, KEY, OPERATOR, hang_up, problem

ORDER = ("--account", "A-1", "--client-order-id", "a-1", "--symbol", "AAPL", "--market", "XNYS")
CREATE = ("order", "create", *ORDER, "--side", "buy", "--quantity", "10", "--limit-price", "1.50")
REASON = ("--reason", "the desk asked")


def test_an_order_is_repeated_under_its_own_id_until_it_is_answered(terminal: Terminal) -> None:
    terminal.gateway.before = [lambda _: problem(503, "draining", "stopping", "2")]
    terminal.gateway.after = [hang_up]

    result = terminal.run(*CREATE, "--json")

    assert result.exit_code == 0
    assert terminal.waits[0] == 2
    assert len(terminal.gateway.posted) == 3
    assert {json.dumps(order) for order in terminal.gateway.posted} == {
        json.dumps(terminal.gateway.posted[0])
    }
    assert len(terminal.gateway.orders) == 1
    assert json.loads(result.stdout)["client_order_id"] == "a-1"
    assert "taken before" in result.stderr


def test_an_order_without_an_id_is_a_usage_error(terminal: Terminal) -> None:
    words = [word for word in CREATE if word not in {"--client-order-id", "a-1"}]

    result = terminal.run(*words)

    assert result.exit_code == 2
    assert terminal.gateway.requests == []


def test_a_spent_id_is_a_conflict_that_says_what_exists(terminal: Terminal) -> None:
    terminal.run(*CREATE)

    result = terminal.run(*CREATE, "--text", "another")

    assert result.exit_code == 3
    assert "existing_order_id: O-1" in result.stderr
    assert "req_7" in result.stderr
    assert f"{terminal.gateway.url}/errors/client-order-id-conflict" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("words", "exit_code"),
    [
        (("order", "get", "nowhere"), 4),
        (("order", "get", "O-1", "--key", "ob_test_wrong"), 5),
        (("order", "get", "O-1", "--url", "http://127.0.0.1:1"), 6),
        (("order", "get", "O-1", "--url", "ftp://127.0.0.1"), 2),
        (("order", "get"), 2),
        (("order", "frobnicate"), 2),
        (("broker", "rate", "set", "b1", "0", *REASON), 2),
        (("broker", "rate", "set", "b1", "800"), 2),
        (("broker", "rate", "set", "b1", *REASON), 2),
        (("broker", "rate", "set", "b1", "800", *REASON, "--floor", "low"), 2),
        (("broker", "schedule", "set", "b1", "open", *REASON), 2),
        (("broker", "circuit", "set", "b1", "open=3", *REASON), 2),
        (("broker", "circuit", "set", "b1", "open_s=soon", *REASON), 2),
        (("broker", "rate", "set", "b1", "800", "--reason", "why"), 2),
        (("broker", "rate", "set", "b1", "800", *REASON, "--expires", "soon"), 2),
        (("halt", "on", "--scope", "galaxy:7", *REASON), 2),
        (("session", "override", "X", "--opens", "22:30", "--closes", "23:00", *REASON), 2),
        (("session", "override", "X", "--opens", "now", "--closes", "+soon", *REASON), 2),
        (("session", "plan", "next:XMAS"), 7),
    ],
)
def test_exit_codes(terminal: Terminal, words: tuple[str, ...], exit_code: int) -> None:
    result = terminal.run(*words)

    assert result.exit_code == exit_code
    assert result.stdout == ""
    assert result.stderr


def test_without_any_key_the_command_says_where_it_looked(terminal: Terminal) -> None:
    (terminal.here / "first-keys.json").unlink()

    result = terminal.run("order", "get", "O-1")

    assert result.exit_code == 5
    assert "first-keys.json" in result.stderr


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("order", "get", "O-1"), KEY),
        (("broker", "get", "b1"), OPERATOR),
        (("halt", "on", "--scope", "all", *REASON), OPERATOR),
        (("halt", "off", "--scope", "all", *REASON), APPROVER),
    ],
)
def test_each_command_takes_the_key_of_its_role(
    terminal: Terminal, words: tuple[str, ...], key: str
) -> None:
    assert terminal.run(*words).exit_code == 0
    assert terminal.gateway.headers[-1]["Authorization"] == f"Bearer {key}"


def test_a_rate_is_set_on_the_version_that_was_seen(terminal: Terminal) -> None:
    words = ("broker", "rate", "set", "b1", "800", *REASON, "--expires", "15m", "--dry-run")

    result = terminal.run(*words, "--json")

    assert result.exit_code == 0
    method, path, body = terminal.gateway.requests[-1]
    assert (method, path) == ("PATCH", "/admin/v1/brokers/b1/rate?dry_run=true")
    assert body == {"tps": 800, "ttl_s": 900, "reason": "the desk asked"}
    assert terminal.gateway.headers[-1]["If-Match"] == '"v17"'


def test_who_comes_second_changes_nothing_and_does_not_try_again(terminal: Terminal) -> None:
    terminal.gateway.changed_by_another_after_the_read = True

    result = terminal.run("broker", "pause", "b1", *REASON)

    assert result.exit_code == 3
    assert "mina changed this" in result.stderr
    assert [method for method, *_ in terminal.gateway.requests] == ["GET", "PUT"]


@pytest.mark.parametrize(
    ("words", "path", "body"),
    [
        (("pause", "b1"), "dispatch", {"state": "paused"}),
        (("resume", "b1"), "dispatch", {"state": "running"}),
        (("breaker", "b1", "forced_open"), "breaker", {"mode": "forced_open"}),
    ],
)
def test_the_switches_of_a_broker(
    terminal: Terminal, words: tuple[str, ...], path: str, body: dict[str, str]
) -> None:
    assert terminal.run("broker", *words, *REASON).exit_code == 0
    assert terminal.gateway.requests[-1] == (
        "PUT",
        f"/admin/v1/brokers/b1/{path}",
        body | {"reason": "the desk asked"},
    )


@pytest.mark.parametrize(
    ("words", "method", "path", "body"),
    [
        (
            ("rate", "set", "b1", "--mode", "adaptive", "--floor", "50", "--ceiling", "none"),
            "PATCH",
            "rate",
            {"mode": "adaptive", "floor": 50, "ceiling": None},
        ),
        (
            ("rate", "set", "b1", "none", "--ramp", "10s"),
            "PATCH",
            "rate",
            {"tps": None, "ramp_s": 10},
        ),
        (
            ("schedule", "set", "b1", "open-60m=6", "open=3"),
            "PUT",
            "rate/schedule",
            {"schedule": [{"at": "open-60m", "tps": 6}, {"at": "open", "tps": 3}]},
        ),
        (("schedule", "clear", "b1"), "DELETE", "rate/schedule", {}),
        (
            ("circuit", "set", "b1", "failures_max=9", "open_s=2.5", "slow_s=none"),
            "PATCH",
            "breaker/config",
            {"failures_max": 9, "open_s": 2.5, "slow_s": None},
        ),
        (("circuit", "reset", "b1"), "POST", "breaker/reset", {"to": "half_open"}),
    ],
)
def test_the_rate_of_a_broker_and_its_schedule(
    terminal: Terminal, words: tuple[str, ...], method: str, path: str, body: dict[str, object]
) -> None:
    assert terminal.run("broker", *words, *REASON).exit_code == 0
    assert terminal.gateway.requests[-1] == (
        method,
        f"/admin/v1/brokers/b1/{path}",
        body | {"reason": "the desk asked"},
    )


def test_a_contract_is_asked_of_its_broker(terminal: Terminal) -> None:
    terminal.run("broker", "contract", "b1")

    assert terminal.gateway.requests[-1][:2] == ("GET", "/admin/v1/brokers/b1/contract")


def test_a_halt_names_its_scope(terminal: Terminal) -> None:
    result = terminal.run("halt", "on", "--scope", "symbol:AAPL", *REASON)

    assert result.exit_code == 0
    assert terminal.gateway.requests[-1][2] == {
        "scope": "symbol",
        "id": "AAPL",
        "reason": "the desk asked",
    }
    assert "cancels still pass" in result.stderr


def test_a_doubt_is_settled_by_two_keys(terminal: Terminal) -> None:
    words = ("doubt", "resolve", "O-1", "--attempt", "O-101", "--evidence", "a letter", *REASON)

    result = terminal.run(*words, "--verdict", "filled", "--price", "1.5")

    assert result.exit_code == 0
    assert terminal.gateway.headers[-1]["X-Approver-Key"] == APPROVER
    assert terminal.gateway.requests[-1][2]["attempt_id"] == "O-101"
    assert terminal.run(*words, "--verdict", "filled").exit_code == 2
    assert terminal.run(*words, "--verdict", "rejected", "--price", "1").exit_code == 2


def test_a_cancel_that_may_come_too_late_says_so(terminal: Terminal) -> None:
    result = terminal.run("order", "cancel", "gone")

    assert result.exit_code == 0
    assert "may still be filled" in result.stderr


def test_an_id_cannot_lead_to_another_path(terminal: Terminal) -> None:
    terminal.run("order", "get", "../../admin/v1/halts?x=1")

    assert terminal.gateway.requests[-1][1].startswith("/v1/orders/..%2F..%2Fadmin")


def test_what_a_customer_wrote_cannot_move_the_cursor(terminal: Terminal) -> None:
    result = terminal.run("order", "get", "O-1")

    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert r"\x1b[31mred" in result.stdout


def test_lists_are_tables_or_json(terminal: Terminal) -> None:
    terminal.run(*CREATE)

    table = terminal.run("order", "list", "--account", "A-1")
    as_json = terminal.run("order", "list", "--account", "A-1", "-o", "json")

    assert table.stdout.splitlines()[0].startswith("ORDER_ID")
    assert "O-a-1" in table.stdout.splitlines()[1]
    assert json.loads(as_json.stdout)[0]["client_order_id"] == "a-1"


def test_a_history_has_events_and_executions(terminal: Terminal) -> None:
    result = terminal.run("order", "history", "O-1", "--json")

    assert json.loads(result.stdout) == {
        "events": [{"sequence": 1, "type": "reserved"}],
        "executions": [],
    }


def test_the_next_session_is_the_first_that_is_still_to_come(terminal: Terminal) -> None:
    result = terminal.run("session", "next", "--json")

    assert [s["trading_session_id"] for s in json.loads(result.stdout)] == ["XNYS-2998-11-23-REG"]


def test_an_order_may_be_reserved_for_the_next_session(terminal: Terminal) -> None:
    terminal.run(*CREATE, "--session", "next")

    assert terminal.gateway.posted[-1]["trading_session_id"] == "XNYS-2998-11-23-REG"


def test_the_next_bell_may_ring_now_and_hours_from_now(terminal: Terminal) -> None:
    began = SystemClock().now()
    words = ("session", "override", "next:XNYS", "--opens", "now", "--closes", "+6h", *REASON)

    assert terminal.run(*words).exit_code == 0

    method, path, body = terminal.gateway.requests[-1]
    opens, closes = (datetime.fromisoformat(body[name]) for name in ("opens_at", "closes_at"))
    assert (method, path) == ("PUT", "/admin/v1/sessions/XNYS-2998-11-23-REG/override")
    assert closes - opens <= timedelta(hours=6, seconds=1)
    assert began <= opens.timestamp() * 1_000 <= SystemClock().now()


def test_the_audit_log_is_exported_whole(terminal: Terminal) -> None:
    result = terminal.run("audit", "export")

    assert [json.loads(line)["sequence"] for line in result.stdout.splitlines()] == [1, 2, 3]


def test_an_anchor_is_handed_on_and_an_export_is_checked_before_it_is_one(
    terminal: Terminal, tmp_path: Path
) -> None:
    rows, previous = [], GENESIS
    for n in (1, 2):
        row = AuditRow(n, n, "mina", "halt", "halt/all:*", "null", "{}", "wild", "r", previous, "")
        row = row._replace(hash=seal(row))
        rows.append(row)
        previous = row.hash
    export = tmp_path / "audit.ndjson"
    export.write_text("".join(f"{json.dumps(row._asdict())}\n" for row in rows), "utf-8")
    told = f"2:{previous}"
    for anchor in (told, str(export)):
        assert terminal.run("audit", "verify", "--anchor", anchor).exit_code == 0
        assert unquote(terminal.gateway.requests[-1][1]).endswith(f"?anchor={told}")
    asked = len(terminal.gateway.requests)
    forged = rows[0]._replace(reason="calm")
    export.write_text(json.dumps(forged._asdict()), "utf-8")

    assert terminal.run("audit", "verify", "--anchor", str(export)).exit_code == 1
    assert terminal.run("audit", "verify", "--anchor", "12:nothing").exit_code == 2
    assert len(terminal.gateway.requests) == asked


@pytest.mark.parametrize(("broken_at", "exit_code"), [(None, 0), (7, 1)])
def test_a_broken_chain_fails(terminal: Terminal, broken_at: int | None, exit_code: int) -> None:
    terminal.gateway.audit_broken_at = broken_at

    assert terminal.run("audit", "verify").exit_code == exit_code


@pytest.mark.parametrize(("differences", "exit_code"), [([], 0), (["O-1"], 1)])
def test_a_view_that_differs_fails(
    terminal: Terminal, differences: list[str], exit_code: int
) -> None:
    terminal.gateway.differences = differences

    assert terminal.run("view", "verify").exit_code == exit_code


@pytest.mark.parametrize(("away", "exit_code"), [([], 0), (["bus"], 1), (["view"], 1)])
def test_a_view_whose_stores_do_not_answer_fails(
    terminal: Terminal, away: list[str], exit_code: int
) -> None:
    terminal.gateway.away = away

    result = terminal.run("view", "lag", "--json")

    assert (result.exit_code, json.loads(result.stdout)["events_behind"]) == (exit_code, 7)


@pytest.mark.parametrize(
    ("oldest_age_s", "parked", "exit_code"),
    [(0.2, {}, 0), (None, {}, 0), (61.0, {}, 1), (None, None, 1)],
)
def test_an_outbox_that_nobody_carries_away_fails(
    terminal: Terminal, oldest_age_s: float | None, parked: object, exit_code: int
) -> None:
    told = {"waiting": 3, "oldest_age_s": oldest_age_s, "parked": parked}
    terminal.gateway.outbox = told

    result = terminal.run("outbox", "status", "--json")

    assert (result.exit_code, json.loads(result.stdout)) == (exit_code, told)
