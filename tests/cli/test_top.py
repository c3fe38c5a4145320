"""The terminal's picture of the open: true, as small as the terminal, and alive by itself."""

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner, Result

from app.cli import app
from app.cli.asking.output import Ends, width_of
from app.cli.top.picture import Documents, Grade, Picture, bell_of, lane_state, pictured
from app.cli.top.screen import Seen, frame, plain
from app.domain.records import Health
from app.settings import inherited
from app.web.console import judge
from app.web.shapes import lane_shape
from tests.builders import a_finding, a_lane
from tests.cli.pty_screen import SECOND_SCREEN, a_terminal
from tests.cli.served import served
from tests.web.house import OPENS_AT, Gateway, a_gateway, an_order, put_in_doubt, run

AT: Final = "2026-03-02T14:31:00.000Z"
MARKETS: Final = ("XNYS", "XNAS")
WELL: Final = Health(
    broker_id="nova",
    at=OPENS_AT,
    sent=10,
    error_ratio=0.5,
    p95_ms=41.0,
    silent=False,
    session_up=True,
    ping=True,
    bad_since=None,
    good_since=None,
)


def session(market: str, opens: str = "2026-03-02T14:30:00.000Z") -> dict[str, Any]:
    closes = "2026-03-02T21:00:00.000Z"
    name = f"{market}-2026-03-02-REG"
    return {"trading_session_id": name, "market": market, "opens_at": opens, "closes_at": closes}


def lane(name: str, **facts: Any) -> dict[str, Any]:
    shape = lane_shape(a_lane(name, **facts))
    assert shape is not None
    return shape


def control(name: str, **facts: Any) -> dict[str, Any]:
    told = {"broker_id": name, "tps": 500, "dispatch": "running", "changed_by": "mina"}
    return told | facts


def overview(**facts: Any) -> dict[str, Any]:
    """Return an open of two markets, each at its own broker."""
    told = {
        "at": AT,
        "draining": False,
        "not_ready": [],
        "keyring": None,
        "lanes": [lane("nova", sent_last_second=400), lane("sol", sent_last_second=10)],
        "controls": [control("nova"), control("sol")],
        "routes": [
            {"route_id": "XNYS", "active_broker": "nova"},
            {"route_id": "XNAS", "active_broker": "sol"},
        ],
        "backlog": {
            "reserved": {},
            "ready": {"XNYS": 4_000, "XNAS": 600},
            "in_doubt": {},
            "outbox": 12,
        },
        "halts": [],
        "sessions_open": [session(market) for market in MARKETS],
        "sessions_next": [],
    }
    return told | facts


def picture(told: dict[str, Any], **facts: Any) -> Picture:
    plans = {
        f"{market}-2026-03-02-REG": {"conservation": {"accepted": 5_000}} for market in MARKETS
    }
    given: dict[str, Any] = {"plans": plans, "doubts": [], "anomalies": [], "failovers": []}
    return pictured(Documents(overview=told, **given | facts))


# --- the picture --------------------------------------------------------------------------


def test_the_open_is_through_when_its_slowest_broker_is() -> None:
    drain = picture(overview()).drain

    assert drain is not None
    assert (drain.waiting, drain.total, drain.rate) == (4_600, 10_000, 410)
    assert drain.eta_s == 60, "600 at 10 a second, and not 4,600 at 410"


def test_what_may_not_leave_has_no_end() -> None:
    for facts in ({"running": False}, {"circuit": "open"}):
        lanes = [lane("nova", sent_last_second=400), lane("sol", **facts)]

        drain = picture(overview(lanes=lanes)).drain

        assert drain is not None
        assert drain.eta_s is None


def test_a_second_in_which_nothing_happens_to_leave_is_no_alarm() -> None:
    lanes = [lane("nova", sent_last_second=400), lane("sol", tps_effective=100)]

    drain = picture(overview(lanes=lanes)).drain

    assert drain is not None
    assert (drain.eta_s, drain.is_real) == (10, False)


def test_before_the_bell_only_what_waits_for_it_counts() -> None:
    coming = [session("XNAS"), session("XKRX", "2026-03-03T00:00:00.000Z"), session("XNYS")]
    told = overview(
        at="2026-03-02T14:29:00.000Z", sessions_open=[], sessions_next=coming
    ) | {"backlog": {"reserved": {"XNYS-2026-03-02-REG": 70}, "ready": {"XNYS": 9}, "in_doubt": {},
                     "outbox": 0}}  # fmt: skip

    bell, drain = bell_of(told), picture(told).drain

    assert bell is not None
    assert bell.markets == ("XNAS", "XNYS")
    assert not bell.is_open
    assert drain is not None
    assert (drain.waiting, drain.is_real) == (70, False)


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"sent_last_second": 3},
        {"running": False, "why_not": "no lease"},
        {"running": False, "why_not": None},
        {"circuit": "open", "circuit_reason": "errors"},
        {"circuit": "open", "circuit_reason": ""},
        {"circuit": "half_open"},
        {"health": WELL},
        {"health": WELL._replace(bad_since=OPENS_AT)},
        {"health": WELL._replace(session_up=False)},
    ],
)
def test_a_broker_does_as_the_console_says(facts: dict[str, Any]) -> None:
    grade, says = judge.lane_state(a_lane("nova", **facts))

    told = lane_state(lane("nova", **facts))

    assert (told[0], told[1]) == (Grade(grade), says.partition(" since ")[0])


# --- the screen ---------------------------------------------------------------------------


def a_bad_night() -> Picture:
    """Return more of everything than any terminal has room for."""
    names = [f"a-broker-with-a-long-name-{n}" for n in range(30)]
    anomalies = [
        {
            "state": "open",
            "severity": "critical",
            "rule": {"id": "broker.error_rate"},
            "subject": {"kind": "broker", "id": "미래" * 30},
            "opened_at": AT,
        }
    ] * 20
    halt = {"scope": "all", "target": "*", "halted_by": "mina", "halted_at": AT}
    told = overview(
        lanes=[lane(name, circuit="open", circuit_reason="r" * 90) for name in names],
        controls=[control(name) for name in names],
        halts=[halt | {"reason": "\x1b[2J" + "stop " * 40}] * 9,
        backlog={"reserved": {}, "ready": {"XNYS": 9_999_999}, "in_doubt": {"b": 7}, "outbox": 1},
    )
    return picture(told, anomalies=anomalies, doubts=[{"age_s": 75}, {"age_s": 12}])


@pytest.mark.parametrize(("width", "height"), [(40, 10), (80, 24), (132, 50), (400, 200)])
@pytest.mark.parametrize("age_s", [0.2, 5.0, 30.0])
def test_a_frame_is_as_wide_and_as_high_as_the_terminal(
    width: int, height: int, age_s: float
) -> None:
    shown = plain(frame(Seen("http://gw", a_bad_night(), age_s), width, height)).split("\n")

    assert len(shown) == height
    assert max(map(width_of, shown)) <= width
    assert "\x1b" not in "".join(shown)
    assert shown[-1].startswith("q quit")


def test_at_80_columns_the_essentials_are_there() -> None:
    shown = plain(frame(Seen("http://gw", a_bad_night(), 0.2), 80, 24))

    for word in (
        "HALT everything",
        "XNYS XNAS close in 06:29:00",
        "ETA",
        "◆ 7 in doubt",
        "00:01:15",
    ):
        assert word in shown
    assert "■ a-broker-with" in shown
    assert "more: openbell broker list" in shown


def test_numbers_that_are_too_old_say_so_and_are_grey() -> None:
    fresh, late, stale = (
        frame(Seen("gw", picture(overview()), age_s), 100, 24) for age_s in (1.0, 5.0, 30.0)
    )

    assert "● live 1.0 s" in plain(fresh)
    assert "▲ late 5 s" in plain(late)
    assert "■ STALE 30 s" in plain(stale)
    assert {style for line in stale[1:-1] for _, style in line} == {"bright_black"}


def test_a_look_that_was_not_due_is_not_late() -> None:
    seen = Seen("gw", picture(overview()), 5.0, rests_s=5.0)

    assert "● live 5.0 s" in plain(frame(seen, 100, 24))


# --- the command --------------------------------------------------------------------------


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return a_gateway(tmp_path)


@pytest.fixture
def url(gateway: Gateway) -> Iterator[str]:
    with served(gateway) as url:
        yield url


def told(gateway: Gateway, url: str, *words: str, columns: int = 80) -> Result:
    key = gateway.key()["Authorization"].removeprefix("Bearer ")
    environment = {"OPENBELL_URL": url, "OPENBELL_KEY": key, "COLUMNS": str(columns)}
    return CliRunner(env=environment).invoke(app, ["top", *words], catch_exceptions=False)


def test_a_lane_tells_its_health_at_the_door(gateway: Gateway, url: str) -> None:
    gateway.ledger.declare({"vega": 100}, {})
    gateway.floor.others = [a_lane("vega", health=WELL)]

    shown = told(gateway, url, "--once", columns=120).stdout

    assert "41 ms" in shown
    assert "50.0 %" in shown


def test_one_frame_says_how_it_stands(gateway: Gateway, url: str) -> None:
    key = gateway.key()
    for number in range(3):
        gateway.client.post("/v1/orders", json=an_order(client_order_id=f"c-{number}"), headers=key)
    run(gateway.house.trouble.note([a_finding()]))

    shown = told(gateway, url, "--once").stdout

    assert "XNYS opens in 00:00:" in shown
    assert "0 / 3  0 %" in shown
    assert "nova" in shown
    assert "broker.error_rate" in shown
    assert "no order is in doubt" in shown
    assert max(map(width_of, shown.splitlines())) <= 80


def test_a_doubt_is_told_with_its_age(gateway: Gateway, url: str) -> None:
    gateway.client.post("/v1/orders", json=an_order(), headers=gateway.key())
    gateway.clock.at = OPENS_AT
    run(put_in_doubt(gateway.ledger))
    gateway.clock.at += 90_000

    assert "◆ 1 in doubt, the oldest for 00:01:3" in told(gateway, url, "--once").stdout


def test_a_script_gets_what_the_gateway_said(gateway: Gateway, url: str) -> None:
    said = json.loads(told(gateway, url, "--once", "--json").stdout)

    assert said["overview"]["lanes"][0]["broker_id"] == "nova"


def test_whoever_may_not_look_is_told_at_once(gateway: Gateway, url: str) -> None:
    key = gateway.key("app", frozenset({"orders:read"}))["Authorization"].removeprefix("Bearer ")
    words = ["top", "--once", "--url", url, "--key", key]

    result = CliRunner().invoke(app, words)

    assert result.exit_code == Ends.AUTHENTICATION
    assert "scope-missing" in result.stderr


def test_a_gateway_that_is_not_there_ends_a_single_frame(gateway: Gateway) -> None:
    result = told(gateway, "http://127.0.0.1:1", "--once")

    assert result.exit_code == Ends.UNREACHABLE
    assert result.stdout == ""


def environment(gateway: Gateway, url: str) -> dict[str, str]:
    key = gateway.key()["Authorization"].removeprefix("Bearer ")
    return inherited() | {"OPENBELL_URL": url, "OPENBELL_KEY": key, "TERM": "xterm-256color"}


def test_it_outlives_its_gateway_and_leaves_the_terminal_as_it_was(gateway: Gateway) -> None:
    with ExitStack() as stays:
        with served(gateway) as url:
            port = urlsplit(url).port
            words = ["top", "--interval", "0.1"]
            screen = stays.enter_context(a_terminal(words, environment(gateway, url)))
            first = screen.says("● live", "XNYS opens in", "nova", "q quit")
            assert max(map(width_of, first.split("\n"))) <= 80
            assert SECOND_SCREEN[0] in screen.raw
        screen.says("no answer from", "Connection refused", "nova")
        assert port is not None
        with served(gateway, port):
            gateway.clock.at = OPENS_AT
            screen.says("● live", "XNYS closes in")
            screen.press(b"q")
            assert screen.ends() == 0
            assert SECOND_SCREEN[1] in screen.raw


def test_a_signal_ends_it_as_a_key_does(gateway: Gateway) -> None:
    with served(gateway) as url, a_terminal(["top"], environment(gateway, url)) as screen:
        screen.says("q quit")
        screen.process.send_signal(signal.SIGTERM)

        assert screen.ends() == 128 + signal.SIGTERM
        assert SECOND_SCREEN[1] in screen.raw
