"""Plays cases on one adapter, cancels what they placed, and makes the report.

One at a time, unless somebody has a broker to himself: asked by forty cases at once, another one
would answer with its limits. The sweep at the end trusts nothing that a case has said: whatever
may have reached the broker is looked up, canceled and looked up again, and what does not end is
named in the report.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final, NamedTuple

from app.brokers.conformance.case import Case, Need, Outcome
from app.brokers.conformance.journal import Run
from app.brokers.conformance.kit import Kit, only
from app.brokers.conformance.line import KitLoop
from app.brokers.conformance.listener import Listener
from app.brokers.conformance.subject import Subject, Terms
from app.brokers.conformance.verdict import Failed, NotApplicable, NotJudged, Verdict
from app.clock import Clock
from app.domain.capabilities import Capabilities
from app.domain.messages import Absent, Found, Submission
from app.domain.order import TERMINAL
from app.ports.brokers import Broker

WITHOUT: Final = {
    Need.LIVE: "it places orders, and nobody allowed it (live)",
    Need.MONEY: "one of its orders trades, and nobody allowed it (money)",
    Need.LINE: "the loop that runs it has no line",
    Need.CALLBACKS: "nobody said where the broker pushes to (callbacks=HOST:PORT)",
    Need.SECRET: "the adapter has no option of that name (secret_option=NAME)",
}


class Report(NamedTuple):
    """One run. `left` names orders that may still stand at the broker."""

    subject: Subject
    capabilities: Capabilities
    outcomes: list[Outcome]
    placed: int
    left: list[str]

    @property
    def passed(self) -> bool:
        """Whether something was proved, nothing failed and nothing was left behind."""
        verdicts = {outcome.verdict for outcome in self.outcomes}
        return not self.left and Verdict.PASS in verdicts and Verdict.FAIL not in verdicts

    def count(self, verdict: Verdict) -> int:
        return sum(outcome.verdict is verdict for outcome in self.outcomes)

    def shown(self) -> dict[str, object]:
        """Return it as plain values; no option of the adapter is among them."""
        return {
            "broker": self.subject.name,
            "adapter": self.subject.adapter,
            "capabilities": {
                name: sorted(map(str, value)) if isinstance(value, tuple | frozenset) else value
                for name, value in asdict(self.capabilities).items()
            },
            "passed": self.passed,
            "counts": {verdict.value: self.count(verdict) for verdict in Verdict},
            "cases": [outcome.shown() for outcome in self.outcomes],
            "orders_placed": self.placed,
            "left_at_the_broker": self.left,
        }


def play(subject: Subject, terms: Terms, clock: Clock, cases: Sequence[Case]) -> Report:
    """Play the cases on a loop that has a line."""
    with asyncio.Runner(loop_factory=KitLoop) as runner:
        return runner.run(check(subject, terms, clock, cases))


async def check(
    subject: Subject, terms: Terms, clock: Clock, cases: Sequence[Case], *, at_once: int = 1
) -> Report:
    """Play the cases in their order, so many at once, then sweep."""
    run = Run(subject, terms, clock)
    if terms.callbacks is not None:
        run.listener = Listener(terms.callbacks)
        await run.listener.open()
    try:
        turns = asyncio.Semaphore(at_once)
        async with asyncio.TaskGroup() as playing:
            tasks = [playing.create_task(_in_turn(turns, one, run)) for one in cases]
        outcomes = [task.result() for task in tasks]
        left = await sweep(run)
        capabilities = await _capabilities(run)
    finally:
        if run.listener is not None:
            await run.listener.close()
    return Report(subject, capabilities, outcomes, len(run.placed), left)


async def _in_turn(turns: asyncio.Semaphore, case: Case, run: Run) -> Outcome:
    async with turns:
        return await judge(case, run)


async def judge(case: Case, run: Run) -> Outcome:
    """Play one case to its verdict."""
    for need in sorted(case.needs):
        if not _is_met(need, run):
            return Outcome(case, Verdict.NOT_JUDGED, WITHOUT[need])
    kit = Kit(run)
    try:
        seen = await case.play(kit)
        await kit.let_go()
        if kit.died is not None:
            raise Failed("a session that lives until it is cancelled", kit.died)
        return Outcome(case, Verdict.PASS, seen)
    except NotApplicable as e:
        return Outcome(case, Verdict.NOT_APPLICABLE, str(e))
    except NotJudged as e:
        return Outcome(case, Verdict.NOT_JUDGED, str(e))
    except Failed as e:
        return Outcome(case, Verdict.FAIL, e.seen, e.expected)
    except Exception as e:  # noqa: BLE001 - the next case is worth playing whatever broke this one
        return Outcome(case, Verdict.FAIL, f"{type(e).__name__}: {e}", "the case to come to an end")
    finally:
        await kit.close()


async def sweep(run: Run) -> list[str]:
    """Cancel whatever the cases placed; return the keys of what may still stand."""
    if not run.placed:
        return []
    kit = Kit(run)
    try:
        broker = await kit.broker()
        orders = {order.broker_order_key: order for order in run.placed}
        standing = [o for o in orders.values() if not await _ended(kit, broker, o)]
        if standing:  # what was not shown may have been too fresh
            since_s = asyncio.get_running_loop().time() - run.placed_at
            await asyncio.sleep(max(0.0, broker.capabilities.visibility_window_s - since_s))
        return [o.broker_order_key for o in standing if not await _ended(kit, broker, o, last=True)]
    finally:
        await kit.close()


async def _ended(kit: Kit, broker: Broker, order: Submission, *, last: bool = False) -> bool:
    """Cancel an order unless it is shown as ended or, at last, as never received."""
    key = order.broker_order_key
    try:
        found = only(await kit.seen(broker.find([key])))
        if isinstance(found, Absent):
            return last
        if isinstance(found, Found) and found.status in TERMINAL:
            return True
        if key in kit.run.gone and not isinstance(found, Found):
            return last  # on a session nobody may deny what was refused, or kept by our line
        known = found.broker_order_id if isinstance(found, Found) else None
        await kit.cancel(broker, order, known)
        return await kit.becomes(broker, key, *TERMINAL) is not None
    except Failed:
        return False


async def _capabilities(run: Run) -> Capabilities:
    kit = Kit(run)
    try:
        broker = kit.bare()
        await kit.seen(broker.close())
        return broker.capabilities
    finally:
        await kit.close()


def _is_met(need: Need, run: Run) -> bool:
    match need:
        case Need.LIVE:
            return run.terms.live
        case Need.MONEY:
            return run.terms.live and run.terms.money
        case Need.LINE:
            return isinstance(asyncio.get_running_loop(), KitLoop)
        case Need.CALLBACKS:
            return run.listener is not None
        case Need.SECRET:
            return run.terms.secret_option in run.subject.options
