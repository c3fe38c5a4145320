"""The kit judges an adapter that lives on a session: ours at QuickFIX, and ones with one mistake.

Alpaca's adapter is judged too, on the stand-in that was made from its documentation; what that
cannot show is named here, case by case.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pytest

from app.brokers.conformance.case import Case
from app.brokers.conformance.catalogue import CASES
from app.brokers.conformance.line import KitLoop
from app.brokers.conformance.run import Report, check
from app.brokers.conformance.subject import Subject, Terms
from app.brokers.conformance.verdict import Verdict
from app.brokers.fix.broker import FixBroker
from app.cli.check_broker.ledger import CheckLedger
from app.clock import Clock, SystemClock
from app.ending import ended
from tests.brokers.alpaca.accounts import FakeTime
from tests.brokers.alpaca.fake import KEY_ID, SECRET, FakeAlpaca, alpaca
from tests.brokers.fix.counterpart import SENDER, TARGET, Book, Counterpart
from tests.brokers.fix.planted import PLANTED, Sound
from tests.brokers.installed import installed
from tests.servers.fix import Acceptor

# A broker that is back is found at once, and nobody waits long for one that says nothing.
SESSION: Final = {
    "heartbeat_s": 30,
    "farewell_s": 0.2,
    "answer_s": 0.5,
    "find_s": 0.5,
    "back_off_s_min": 0.02,
    "back_off_s_max": 0.05,
    "visibility_window_s": 0.2,
    "orders_per_second_max": 20,
}
OF_SESSIONS: Final = [one for one in CASES if one.case_id.startswith("B-9")]
# One order a message: FIX has no batch, and neither has Alpaca.
NO_BATCH: Final = {"B-301", "B-302", "B-303", "B-304"}
# Nobody pushes: reports come over the session, or are asked for.
NO_PUSH: Final = {"B-601", "B-602", "B-603", "B-604", "B-605", "B-606"}
# Answers of HTTP, and connections of HTTP.
OF_HTTP: Final = {"B-221", "B-222", "B-223", "B-224", "B-225", "B-226", "B-405", "B-406"}
OF_NUMBERS: Final = {one.case_id for one in OF_SESSIONS} - {"B-909", "B-912"}


def live(**terms: Any) -> Terms:
    return Terms(live=True, money=True, orders_max=20, patience_s=6.0, **terms)


async def checked(
    subject: Subject, cases: Sequence[Case] = CASES, clock: Clock | None = None
) -> Report:
    clock = clock or SystemClock()
    with CheckLedger(clock) as ledger:
        return await check(subject, live(hold=ledger.hold), clock, cases)


async def at_counterpart(
    adapter: str, cases: Sequence[Case], *, book: Book | None = None, **more: object
) -> Report:
    """Check one adapter at a counterpart of its own."""
    async with Counterpart(book) as counterpart:
        where = {"hosts": f"127.0.0.1:{counterpart.port}", "sender": TARGET, "target": SENDER}
        return await checked(Subject("north", adapter, {**SESSION, **where, **more}), cases)


def of(report: Report, *verdicts: Verdict) -> set[str]:
    return {o.case.case_id for o in report.outcomes if o.verdict in verdicts}


def in_words(report: Report) -> list[str]:
    failed = [o for o in report.outcomes if o.verdict is Verdict.FAIL]
    return [f"{o.case.case_id}: {o.expected}; {o.detail}" for o in failed]


def run(story: Any) -> Any:
    with asyncio.Runner(loop_factory=KitLoop) as runner:
        return runner.run(story)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[type[FixBroker], Report]]:
    """Every planted adapter's run, played side by side."""

    async def all_of_them() -> list[Report]:
        turns = asyncio.Semaphore(5)

        async def in_turn(adapter: str) -> Report:
            async with turns:
                return await at_counterpart(adapter, OF_SESSIONS)

        return await asyncio.gather(*(in_turn(one.__name__) for one in PLANTED))

    with installed(tmp_path_factory.mktemp("site"), PLANTED):
        yield dict(zip(PLANTED, run(all_of_them()), strict=True))


@pytest.mark.parametrize("adapter", PLANTED, ids=lambda one: one.__name__)
def test_a_planted_bug_of_a_session_fails_exactly_the_case_that_names_it(
    adapter: type[FixBroker], reports: dict[type[FixBroker], Report]
) -> None:
    report = reports[adapter]

    assert of(report, Verdict.FAIL) == PLANTED[adapter], in_words(report)


def test_a_sound_session_passes_every_case_of_sessions(
    reports: dict[type[FixBroker], Report],
) -> None:
    report = reports[Sound]

    assert of(report, Verdict.PASS) == {one.case_id for one in OF_SESSIONS}, in_words(report)
    assert report.left == []


def test_a_heartbeat_beside_a_report_is_not_taken_for_it() -> None:
    published_first = [one for one in CASES if one.case_id == "B-911"]
    report = run(at_counterpart("fix", published_first, book=Book(script=["beat", "beat"])))

    assert of(report, Verdict.PASS) == {"B-911"}, in_words(report)


def test_our_session_passes_at_quickfix(quickfix: Acceptor) -> None:
    client = quickfix.client()
    where = {"hosts": f"localhost:{client.port}", "sender": client.name, "target": "BROKER"}
    report = run(checked(Subject("north", "fix", {**SESSION, **where})))

    assert of(report, Verdict.FAIL) == set(), in_words(report)
    assert of(report, Verdict.NOT_APPLICABLE) == NO_BATCH | OF_HTTP
    # Nor has this broker a password that could be wrong.
    assert of(report, Verdict.NOT_JUDGED) == NO_PUSH | {"B-801", "B-802"}
    assert report.left == []
    received = [line["name"] for line in client.audit("received")]
    # B-501 sends one order twice on purpose, and its second copy is refused.
    assert len(received) - len(set(received)) <= 1


def test_lists_are_batches_and_keep_their_laws() -> None:
    batches = [one for one in CASES if one.case_id in NO_BATCH]
    report = run(at_counterpart("fix", batches, lists=True, batch_max=5))

    assert of(report, Verdict.PASS) == NO_BATCH, in_words(report)


async def _trades(fake: FakeAlpaca) -> None:
    """Let market orders trade and replaces take effect, as on a paper account."""
    while True:
        await asyncio.sleep(0.02)
        for order in list(fake.orders.values()):
            if order["status"] == "accepted" and order["type"] == "market":
                await fake.fill(order["client_order_id"], int(order["qty"]))
            elif order["status"] == "accepted" and order["replaces"]:
                await fake.decide(order["client_order_id"], replaced=True)


async def _at_alpaca() -> Report:
    async with alpaca() as fake, asyncio.TaskGroup() as tasks:
        trading = tasks.create_task(_trades(fake))
        options: dict[str, object] = {
            "url": fake.url.replace("127.0.0.1", "localhost"),
            "key_id": KEY_ID,
            "secret": SECRET,
            "look_gap_s": 0.02,
            "silence_s": 0.4,
            "patience_s": 0.3,
            "timeout_s": 1.0,
            "connect_timeout_s": 0.5,
            "visibility_window_s": 0.2,
            "orders_per_second_max": 20,
            "replaces": True,
        }
        report = await checked(Subject("alpaca", "alpaca", options), clock=FakeTime(fake))
        await ended(trading)
        return report


def test_our_alpaca_adapter_passes_on_its_stand_in() -> None:
    report = run(_at_alpaca())

    assert of(report, Verdict.FAIL) == set(), in_words(report)
    assert of(report, Verdict.NOT_APPLICABLE) == NO_BATCH | OF_NUMBERS | {"B-403"}
    # It looks an order up before it changes it, and nothing can be lost between the two here.
    assert of(report, Verdict.NOT_JUDGED) == NO_PUSH | {"B-753"}
    assert report.left == []
