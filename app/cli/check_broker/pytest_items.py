"""Each case as a test of pytest: passed, failed, or skipped with the reason.

`pytest_plugin` brings this file in when somebody asks for a broker. The trap is a second way to
judge: an item plays its case as the command line does, with a sweep of its own. A session's numbers
go on from item to item, so they all stand on one ledger.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from app.brokers.conformance.case import Case
from app.brokers.conformance.catalogue import CASES
from app.brokers.conformance.line import KitLoop
from app.brokers.conformance.run import Report, check
from app.brokers.conformance.subject import Subject, Terms
from app.brokers.conformance.terms import Unplayable, subject_of, terms_of
from app.brokers.conformance.verdict import Verdict
from app.cli.check_broker.ledger import CheckLedger
from app.clock import SystemClock

HERE: Final = Path(__file__)


class Played(NamedTuple):
    """What one item plays."""

    case: Case
    subject: Subject
    terms: Terms

    def play(self) -> Report:
        with asyncio.Runner(loop_factory=KitLoop) as runner:
            return runner.run(check(self.subject, self.terms, SystemClock(), [self.case]))


class Broken(Exception):
    """A case failed."""


class CaseItem(pytest.Item):
    """One case."""

    def __init__(self, *, played: Played, **given: Any) -> None:
        super().__init__(**given)
        self._played = played

    def runtest(self) -> None:
        report = self._played.play()
        [outcome] = report.outcomes
        if outcome.verdict is Verdict.FAIL:
            raise Broken(f"expected: {outcome.expected}\n      seen: {outcome.detail}")
        if report.left:
            raise Broken(f"left at the broker: {report.left}")
        if outcome.verdict is not Verdict.PASS:
            pytest.skip(f"{outcome.verdict}: {outcome.detail}")

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        if not isinstance(excinfo.value, Broken):
            return super().repr_failure(excinfo, style)
        one = self._played.case
        return f"{one.case_id} {one.title}\n    proves: {one.proves}\n  {excinfo.value}"

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, f"{self.name} {self._played.case.title}"


class Cases(pytest.File):
    """The catalogue, for one broker."""

    def collect(self) -> Iterator[CaseItem]:
        option = self.config.getoption
        try:
            subject = subject_of(option("--broker"))
            live, money = option("--broker-live"), option("--broker-money")
            terms, file = terms_of(option("--broker-term"), live=live, money=money)
        except Unplayable as e:
            raise pytest.UsageError(str(e)) from e
        ledger = CheckLedger(SystemClock(), file)
        self.config.add_cleanup(ledger.close)
        terms = replace(terms, hold=ledger.hold)
        for one in CASES:
            played = Played(one, subject, terms)
            yield CaseItem.from_parent(self, name=one.case_id, played=played)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> Cases | None:
    return Cases.from_parent(parent, path=file_path) if file_path == HERE else None
