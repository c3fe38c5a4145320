"""Half an hour before the bell: each thing that would stop the open is found, and named."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from app.cli.asking.metrics_page import Metrics
from app.clock import SystemClock
from tests.cli.conftest import Terminal
from tests.cli.gateway import problem
from tests.cli.served import served
from tests.web.house import a_gateway
from tests.web.operators import reserve

SESSION = "XNYS-2998-11-23-REG"
Documents = dict[str, Any]
METRICS = """# HELP openbell_vitals_age_seconds Since the ledger last answered.
openbell_vitals_age_seconds 0.5
openbell_event_loop_lag_seconds 0.002
openbell_clock_skew_seconds 0.01
openbell_quota_degraded 0.0
openbell_partitions{which="attached"} 11.0
openbell_partitions{which="ahead"} 10.0
openbell_alarm_messages_total{outcome="told"} 4.0
openbell_alarm_messages_total{outcome="dead_letter"} 0.0
"""


def clock() -> datetime:
    return datetime.fromtimestamp(SystemClock().now() / 1_000, UTC)


def text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def well() -> Documents:
    """Return what every door says on a night that is well, half an hour before the bell."""
    now = clock()
    opens, closes = now + timedelta(minutes=30), now + timedelta(hours=7)
    session = {
        "trading_session_id": SESSION,
        "market": "XNYS",
        "trade_date": "2998-11-23",
        "opens_at": text(opens),
        "closes_at": text(closes),
        "state": "upcoming",
    }
    health = {"at": text(now), "bad_since": None, "ping": True, "session_up": True}
    lane = {
        "broker_id": "b1",
        "running": False,
        "why_not": "no session is open",
        "circuit": "closed",
        "circuit_reason": "",
        "tps_effective": 200,
        "tps_contract": 1000,
        "health": health,
    }
    control = {
        "broker_id": "b1",
        "dispatch": "running",
        "breaker": "auto",
        "changed_by": "mina",
        "reason": "agreed",
        "expires_at": None,
    }
    line = {
        "broker_id": "b1",
        "backlog": 1000,
        "tps": 200,
        "schedule": [{"at": text(opens), "tps": 200, "source": "operator"}],
        "expected_end": text(opens + timedelta(seconds=5)),
        "will_miss_cut_off": 0,
    }
    return _at_doors(now, session, lane, control, line)


def _at_doors(
    now: datetime, session: Documents, lane: Documents, control: Documents, line: Documents
) -> Documents:
    policy = {"automation": "auto", "candidates": ["b1", "b2"]}
    return {
        "/readyz": {"status": "ready", "reasons": []},
        "/metrics": METRICS,
        "/admin/v1/overview": {
            "at": text(now),
            "keyring": None,
            "lanes": [lane],
            "controls": [control],
            "routes": [{"route_id": "XNYS", "active_broker": "b1"}],
            "backlog": {"held": {}, "in_doubt": {}},
            "halts": [],
            "sessions_open": [],
            "sessions_next": [session],
        },
        "/admin/v1/view/lag": {"events_behind": 0, "outbox": 3, "away": []},
        "/admin/v1/outbox": {"waiting": 3, "oldest_age_s": 0.1, "parked": {"orders": 0}},
        "/admin/v1/config": {
            "data": [
                {"setting": "slack", "value": {"webhook_url": "(secret)"}},
                {"setting": "redis_url", "value": None},
            ]
        },
        "/admin/v1/in-doubt": {"data": []},
        "/admin/v1/anomalies": {"data": []},
        "/admin/v1/failovers": {"data": []},
        "/admin/v1/routes": {
            "data": [{"route_id": "XNYS", "active_broker": "b1", "policy": policy, "lock": None}]
        },
        "/admin/v1/keys": {
            "data": [{"key_id": "k1", "name": "mina", "revoked": False, "expires_at": None}]
        },
        "/admin/v1/brokers/b1/session": None,
        f"/admin/v1/sessions/{SESSION}/plan": {
            "session": session,
            "backlog": 1000,
            "brokers": [line],
            "conservation": {"balanced": True},
        },
        f"/admin/v1/sessions/{SESSION}": session | {"release": {"paused": False}},
    }


class Night:
    """A terminal in front of a gateway that says what a test wants said."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self.says = well()
        terminal.gateway.more["/"] = self._answer
        # A name that is not plainly this machine's: its disk and clock are not looked at.
        self.url = terminal.gateway.url.replace("127.0.0.1", "127.1")

    def _answer(self, request: web.Request) -> web.Response:
        said = self.says.get(request.path)
        if isinstance(said, web.Response):
            return said
        if isinstance(said, str):
            return web.Response(text=said)
        if said is None:
            return problem(404, "not-found", "no such resource, or it is not yours")
        return web.json_response(said)

    def look(self, *words: str, url: str | None = None) -> tuple[int, dict[str, Any]]:
        result = self._terminal.run("preflight", "--json", *words, url=url or self.url)
        return result.exit_code, json.loads(result.stdout)

    def print(self, *words: str) -> str:
        result = self._terminal.run("preflight", *words, url=self.url)
        return str(result.stdout + result.stderr)

    def asked(self) -> list[str]:
        return [path for _, path, _ in self._terminal.gateway.requests]


@pytest.fixture
def night(terminal: Terminal) -> Night:
    return Night(terminal)


def states(told: dict[str, Any], check: str) -> list[str]:
    return [row["state"] for row in [*told["checks"], *told["unseen"]] if row["check"] == check]


def test_a_night_that_is_well_is_all_green(night: Night) -> None:
    ends, told = night.look()

    assert (ends, told["verdict"]) == (0, "ok")
    assert {row["state"] for row in told["checks"]} == {"ok"}
    assert [row["check"] for row in told["unseen"]] == ["disk and clock"]
    assert "1,000 wait for b1" in night.print()


def halted(scope: str) -> Callable[[Documents], None]:
    halt = {"scope": scope, "target": "", "halted_by": "mina", "reason": "wild prices"}
    return lambda says: says["/admin/v1/overview"]["halts"].append(halt)


def lane(**facts: Any) -> Callable[[Documents], None]:
    return lambda says: says["/admin/v1/overview"]["lanes"][0].update(facts)


def health(**facts: Any) -> Callable[[Documents], None]:
    return lambda says: says["/admin/v1/overview"]["lanes"][0]["health"].update(facts)


def control(**facts: Any) -> Callable[[Documents], None]:
    return lambda says: says["/admin/v1/overview"]["controls"][0].update(facts)


def policy(**facts: Any) -> Callable[[Documents], None]:
    return lambda says: says["/admin/v1/routes"]["data"][0]["policy"].update(facts)


def line(**facts: Any) -> Callable[[Documents], None]:
    plan = f"/admin/v1/sessions/{SESSION}/plan"
    return lambda says: says[plan]["brokers"][0].update(facts)


def listed(path: str, **row: Any) -> Callable[[Documents], None]:
    return lambda says: says[f"/admin/v1/{path}"]["data"].append(row)


def said(path: str, **facts: Any) -> Callable[[Documents], None]:
    return lambda says: says[path].update(facts)


def number(name: str, value: float) -> Callable[[Documents], None]:
    def turn(says: Documents) -> None:
        lines = [one for one in says["/metrics"].splitlines() if not one.startswith(f"{name} ")]
        says["/metrics"] = "\n".join([*lines, f"{name} {value}"])

    return turn


def session(**facts: Any) -> Callable[[Documents], None]:
    def turn(says: Documents) -> None:
        # Heard of just now: the cases are made when the tests are collected, minutes before.
        stands = {"state": "logged_on", "why": None, "alarm": None, "last_in_at": text(clock())}
        says["/admin/v1/brokers/b1/session"] = stands | facts

    return turn


def in_minutes(minutes: int) -> str:
    return text(clock() + timedelta(minutes=minutes))


FAILOVER = {"failover_id": "f", "route_id": "XNYS", "from_broker": "b2", "to_broker": "b1"}
ANOMALY = {"rule": {"id": "broker.error_rate"}, "subject": {"id": "b1"}, "severity": "critical"}
FAULTS: list[tuple[str, Callable[[Documents], None], str, str]] = [
    ("full disk", said("/readyz", reasons=["9 MiB of disk are left"]), "gateway", "fail"),
    ("key file", said("/admin/v1/overview", keyring="not JSON"), "key file", "warn"),
    ("its clock", said("/admin/v1/overview", at=in_minutes(500)), "clock here", "warn"),
    ("bus away", said("/admin/v1/view/lag", events_behind=None, away=["bus"]), "bus", "fail"),
    ("view away", said("/admin/v1/view/lag", away=["view"]), "account view", "fail"),
    ("view behind", said("/admin/v1/view/lag", events_behind=90_000), "account view", "warn"),
    ("relay slow", said("/admin/v1/outbox", oldest_age_s=9), "relay", "warn"),
    ("relay dead", said("/admin/v1/outbox", oldest_age_s=99), "relay", "fail"),
    ("letters", said("/admin/v1/outbox", parked={"orders": 2}), "dead letters", "warn"),
    ("nobody is told", said("/admin/v1/config", data=[]), "alarms", "warn"),
    ("ledger slow", number("openbell_vitals_age_seconds", 60), "watch", "warn"),
    ("rules throw", number("openbell_rules_failing", 2), "watch", "warn"),
    ("skew", number("openbell_clock_skew_seconds", 1), "clock skew", "warn"),
    ("worse skew", number("openbell_clock_skew_seconds", 3), "clock skew", "fail"),
    ("redis away", number("openbell_quota_degraded", 1), "redis", "warn"),
    ("no tables", number("openbell_partition_job_failing", 1), "partitions", "warn"),
    ("halt", halted("all"), "halts", "fail"),
    ("halt of one", halted("symbol"), "halts", "warn"),
    ("held", said("/admin/v1/overview", backlog={"held": {SESSION: 7}}), "held orders", "warn"),
    ("doubt", listed("in-doubt", age_s=5), "in doubt", "warn"),
    ("old doubt", listed("in-doubt", age_s=500), "in doubt", "fail"),
    ("anomaly", listed("anomalies", **ANOMALY, acknowledged_by=None), "anomalies", "fail"),
    ("seen anomaly", listed("anomalies", **ANOMALY, acknowledged_by="jun"), "anomalies", "warn"),
    ("failover", listed("failovers", **FAILOVER, state="draining"), "failovers", "fail"),
    (
        "unseen failover",
        listed("failovers", **FAILOVER, state="done", acknowledged_by=None),
        "failovers",
        "warn",
    ),
    (
        "nobody's key",
        listed("keys", key_id="k", name="operator", revoked=False, expires_at=None),
        "keys",
        "warn",
    ),
    (
        "key that ends",
        listed("keys", key_id="k", name="jun", revoked=False, expires_at=in_minutes(300)),
        "keys",
        "warn",
    ),
    ("no lane", said("/admin/v1/overview", lanes=[]), "broker b1", "fail"),
    ("open circuit", lane(circuit="open"), "broker b1", "fail"),
    ("half open", lane(circuit="half_open"), "broker b1", "warn"),
    ("stopped", lane(why_not="no dispatcher"), "broker b1", "fail"),
    ("no ping", health(ping=False), "broker b1", "fail"),
    ("no session", health(session_up=False), "broker b1", "fail"),
    ("nobody measures", health(at=in_minutes(-9)), "broker b1", "warn"),
    ("paused", control(dispatch="paused"), "broker b1", "fail"),
    ("forced open", control(breaker="forced_open"), "broker b1", "fail"),
    ("forced closed", control(breaker="forced_closed"), "broker b1", "warn"),
    ("logged out", session(state="refused"), "broker b1", "fail"),
    ("no heartbeat", session(last_in_at=in_minutes(-9)), "broker b1", "fail"),
    ("a line's alarm", session(alarm="a gap"), "broker b1", "warn"),
    ("nowhere to go", policy(candidates=["b1"]), "route XNYS", "warn"),
    ("by hand", policy(automation="off"), "route XNYS", "warn"),
    ("no session", said("/admin/v1/overview", sessions_next=[]), "calendar", "fail"),
    ("too slow", line(will_miss_cut_off=12), "plan XNYS", "fail"),
    ("never", line(expected_end=None), "plan XNYS", "fail"),
    ("rate ends", control(expires_at=in_minutes(10)), "rate XNYS", "warn"),
    (
        "lost",
        said(f"/admin/v1/sessions/{SESSION}/plan", conservation={"balanced": False}),
        "conservation XNYS",
        "fail",
    ),
    (
        "paused release",
        said(
            f"/admin/v1/sessions/{SESSION}",
            release={"paused": True, "changed_by": "mina", "reason": "a drill"},
        ),
        "session XNYS",
        "fail",
    ),
    ("unreadable", said("/admin/v1/in-doubt", data=[{}]), "in doubt", "warn"),
]
EXITS = {"warn": 1, "fail": 2}


@pytest.mark.parametrize(
    ("fault", "check", "state"),
    [pytest.param(*rest, id=name) for name, *rest in FAULTS],
)
def test_what_would_stop_the_open_is_found_and_says_what_to_type(
    night: Night, fault: Callable[[Documents], None], check: str, state: str
) -> None:
    fault(night.says)

    ends, told = night.look()

    assert state in states(told, check)
    assert (ends, told["verdict"]) == (EXITS[state], state)
    assert all(row["next"] for row in told["checks"] if row["state"] != "ok")


def test_one_market_is_looked_at_alone(night: Night) -> None:
    overview = night.says["/admin/v1/overview"]
    overview["controls"].append(overview["controls"][0] | {"broker_id": "b9"})
    overview["sessions_next"].append(overview["sessions_next"][0] | {"market": "XKRX"})

    ends, told = night.look("--market", "XNYS")

    assert (ends, states(told, "broker b9"), states(told, "session XKRX")) == (0, [], [])
    assert states(night.look()[1], "broker b9") == ["fail"]


def test_a_door_that_this_key_may_not_open_is_named_and_not_taken_for_green(night: Night) -> None:
    night.says["/admin/v1/keys"] = problem(403, "scope-missing", "needs admin:keys")

    ends, told = night.look()
    night.says["/admin/v1/keys"] = problem(403, "scope-missing", "needs admin:keys")
    strictly, _ = night.look("--strict")

    assert (ends, strictly) == (0, 1)
    assert states(told, "keys") == ["unseen"]


@pytest.mark.parametrize("path", ["/admin/v1/overview", "/readyz"])
def test_whoever_cannot_see_the_house_is_not_told_that_it_is_well(night: Night, path: str) -> None:
    night.says[path] = problem(403, "scope-missing", "needs admin:read")

    assert night.look()[0] == 2


def test_a_door_that_breaks_is_a_failure_and_hides_no_other(night: Night) -> None:
    night.says["/admin/v1/in-doubt"] = problem(500, "internal-error", "it broke")

    ends, told = night.look()

    assert (ends, states(told, "in doubt"), states(told, "halts")) == (2, ["fail"], ["ok"])


def test_a_gateway_that_is_away_is_asked_once(night: Night) -> None:
    ends, told = night.look(url="http://127.0.0.1:1")

    failed = [row["check"] for row in told["checks"] if row["state"] == "fail"]
    assert (ends, failed) == (2, ["gateway", "ledger"])
    assert night.asked() == []


def test_beside_the_gateway_its_disk_and_ledger_are_looked_at(
    night: Night, terminal: Terminal
) -> None:
    (terminal.here / "ledger.db").write_text("no database at all, but long enough to be read" * 9)

    ends, told = night.look(url=terminal.gateway.url)

    assert (ends, states(told, "revision")) == (2, ["fail"])
    assert states(told, "disk") != []


def test_the_real_doors_say_all_that_is_looked_at(terminal: Terminal, tmp_path: Path) -> None:
    gateway = a_gateway(tmp_path / "house")
    key = gateway.key()["Authorization"].removeprefix("Bearer ")
    reserve(gateway, 2)
    gateway.bus.down = True
    with served(gateway) as url:
        result = terminal.run("preflight", "--json", OPENBELL_KEY=key, url=url)

    told = json.loads(result.stdout)
    unread = [row for row in told["checks"] if "cannot be read" in row["found"]]
    assert (result.exit_code, unread) == (2, [])
    assert states(told, "bus") == ["fail"]
    assert states(told, "plan XNYS") == ["ok"]
    assert [row["found"][:7] for row in told["checks"] if row["check"] == "plan XNYS"] == [
        "2 wait "
    ]
    assert {"broker nova", "keys", "route XNYS", "halts"} <= {r["check"] for r in told["checks"]}


def test_a_metrics_page_is_read_as_prometheus_writes_it() -> None:
    metrics = Metrics(
        ['a{x="1",y="b\\"c, }"} 2.5', "# a 3", "b 1e+3 1700000000", "nonsense", "c x"]
    )

    assert metrics.value("a", y='b\\"c, }') == 2.5
    assert metrics.value("b") == 1000
    assert metrics.value("c") is None
