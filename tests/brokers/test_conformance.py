"""The kit passes an adapter that keeps the laws, and names the one law that another breaks."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from app.brokers.conformance.case import Case
from app.brokers.conformance.catalogue import CASES
from app.brokers.conformance.line import KitLoop
from app.brokers.conformance.run import Report, check, play
from app.brokers.conformance.subject import Subject, Terms
from app.brokers.conformance.verdict import Verdict
from app.brokers.sim.process import SimProcess
from app.clock import SystemClock
from tests.brokers.example_package.acme_openbell import AcmeBroker
from tests.brokers.example_package.acme_server import Acme
from tests.brokers.installed import installed
from tests.brokers.planted import PLANTED, RaisesOnTimeOut, Retries, Sound

SECRET = "s3cret"
# Far above what a healthy answer takes on a busy machine: nobody is to time out by accident.
WAITS = {"timeout_s": 2.0, "connect_timeout_s": 2.0}
# These cases wait for a time-out; they are played where a time-out makes a difference.
SILENT = {"B-201", "B-204", "B-209", "B-211", "B-404", "B-704"}
# Acme cannot change an order in one step, and says so.
NO_REPLACE = {"B-751", "B-752", "B-753", "B-754"}
# Each order of theirs is a request of its own, and no session stands behind it.
NO_SESSION = {one.case_id for one in CASES if one.case_id.startswith("B-9")}
SLOW = (Sound, RaisesOnTimeOut, Retries)


def a_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@asynccontextmanager
async def acme(callback: str, hidden_s: float) -> AsyncIterator[tuple[Acme, str]]:
    server = Acme(SECRET, callback, hidden_s)
    port = await server.open()
    try:
        yield server, f"http://localhost:{port}"
    finally:
        await server.close()


async def checked(
    adapter: str, cases: Sequence[Case] = CASES, *, hidden_s: float = 0.0, **terms: Any
) -> Report:
    """Check one adapter on a broker of its own."""
    push = f"127.0.0.1:{a_port()}"
    given: dict[str, Any] = {
        "live": True,
        "money": True,
        "orders_max": 20,
        "patience_s": 10.0,
        "callbacks": push,
    }
    async with acme(f"http://{push}/", hidden_s) as (server, url):
        subject = Subject("acme", adapter, {"url": url, "secret": SECRET, **WAITS})
        allowed = Terms(**{**given, **terms})
        report = await check(subject, allowed, SystemClock(), cases, at_once=4)
        assert allowed.live or not server.orders, "the broker saw an order that nobody allowed"
        return report


def failed(report: Report) -> set[str]:
    return {o.case.case_id for o in report.outcomes if o.verdict is Verdict.FAIL}


@pytest.fixture(scope="module", autouse=True)
def _adapters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed(tmp_path_factory.mktemp("site"), PLANTED):
        yield


class Reports(NamedTuple):
    """Every run of this module, played side by side."""

    of: dict[type[AcmeBroker], Report]
    without_leave: Report
    hidden: Report


@pytest.fixture(scope="module")
def reports() -> Reports:
    window = [one for one in CASES if one.case_id == "B-407"]
    quick = [one for one in CASES if one.case_id not in SILENT]
    # More at once would wait for the processor, and that looks like a slow broker.
    turns = asyncio.Semaphore(4)

    async def in_turn(adapter: str, cases: Sequence[Case], **terms: Any) -> Report:
        async with turns:
            return await checked(adapter, cases, **terms)

    async def all_of_them() -> list[Report]:
        return await asyncio.gather(
            in_turn("Sound", CASES, live=False, money=False, callbacks=None),
            in_turn("Sound", window, hidden_s=1.5),
            *(in_turn(one.__name__, CASES if one in SLOW else quick) for one in PLANTED),
        )

    with asyncio.Runner(loop_factory=KitLoop) as runner:
        without_leave, hidden, *planted = runner.run(all_of_them())
    return Reports(dict(zip(PLANTED, planted, strict=True)), without_leave, hidden)


@pytest.mark.parametrize("adapter", PLANTED, ids=lambda one: one.__name__)
def test_a_planted_bug_fails_exactly_the_case_that_names_it(
    adapter: type[AcmeBroker], reports: Reports
) -> None:
    report = reports.of[adapter]

    assert failed(report) == PLANTED[adapter], [
        (o.case.case_id, o.detail) for o in report.outcomes if o.verdict is Verdict.FAIL
    ]
    assert report.left == []
    assert report.passed is (not PLANTED[adapter])


def test_a_sound_adapter_passes_every_case(reports: Reports) -> None:
    others = {o.case.case_id for o in reports.of[Sound].outcomes if o.verdict is not Verdict.PASS}

    assert others == NO_REPLACE | NO_SESSION


def test_a_window_that_is_declared_too_short_is_found(reports: Reports) -> None:
    assert failed(reports.hidden) == {"B-407"}


def test_without_leave_nothing_is_placed(reports: Reports) -> None:
    verdicts = {o.case.case_id: o.verdict for o in reports.without_leave.outcomes}

    assert reports.without_leave.placed == 0
    assert failed(reports.without_leave) == set()
    assert verdicts["B-103"] is Verdict.NOT_JUDGED
    assert verdicts["B-201"] is Verdict.PASS


def test_our_own_adapter_passes_on_the_simulated_broker(tmp_path: Path) -> None:
    push = f"127.0.0.1:{a_port()}"
    terms = Terms(live=True, orders_max=20, patience_s=10.0, callbacks=push)
    more = ["--callback", f"http://{push}/"]
    with SimProcess(tmp_path / "north.jsonl", SECRET, more=more) as sim:
        options: dict[str, object] = {
            "url": sim.url,
            "secret": SECRET,
            "timeout_s": 0.5,
            "visibility_window_s": 0.2,
            "replaces": True,
        }
        report = play(Subject("north", "http", options), terms, SystemClock(), CASES)

    assert failed(report) == set()
    assert report.left == []
    assert {o.case.case_id for o in report.outcomes if o.verdict is not Verdict.PASS} == {
        "B-203",  # it is at an address, not at a name
        "B-303",  # a hundred orders are more than it may place here
        "B-408",  # nothing trades without leave
        *NO_SESSION,
    }


def test_what_nobody_runs_is_not_judged_and_does_not_pass() -> None:
    options = {"hosts": "127.0.0.1:1", "sender": "A", "target": "B", "heartbeat_s": 30}
    report = play(Subject("fixed", "fix", options), Terms(), SystemClock(), CASES[:1])

    assert [o.verdict for o in report.outcomes] == [Verdict.NOT_JUDGED]
    assert "nobody gave it a ground" in report.outcomes[0].detail
    assert not report.passed


def test_every_case_says_what_it_proves_and_on_whose_word() -> None:
    for one in CASES:
        assert re.fullmatch(r"B-[1-9][0-9]{2}", one.case_id)
        assert one.title, one.case_id
        assert one.proves, one.case_id
        assert re.search(r"order-model|ports|FIX|capability|decimals", one.source), one.case_id


def test_a_report_names_no_secret(reports: Reports) -> None:
    assert SECRET not in str(reports.of[Sound].shown())
