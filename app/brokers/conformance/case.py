"""What a case is: it gets a `Kit`, and returns in words what it saw or says why not (`verdict`).

The trap is a case that judges more than its title says: then one bug turns five cases red and none
of them names it. The other one is a case that saw nothing and passes.
"""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import NamedTuple

from app.brokers.conformance.kit import Kit
from app.brokers.conformance.verdict import Verdict


class Need(StrEnum):
    """What a case cannot do without."""

    LIVE = "live"  # it places orders, far from the market, and cancels them
    MONEY = "money"  # one of its orders trades
    LINE = "line"  # it breaks the connection: the adapter's goes through ours
    CALLBACKS = "callbacks"  # the broker pushes reports to the address that it was given
    SECRET = "secret"  # noqa: S105 - the name of the option that holds the secret


class Case(NamedTuple):
    """One numbered law."""

    case_id: str
    title: str
    proves: str
    source: str
    needs: frozenset[Need]
    play: Callable[[Kit], Awaitable[str]]


class Outcome(NamedTuple):
    """One case on one adapter. `detail` is what was seen, or why there was nothing to see."""

    case: Case
    verdict: Verdict
    detail: str
    expected: str = ""

    def shown(self) -> dict[str, object]:
        """Return it as plain values, for a table or a JSON report."""
        return {
            "id": self.case.case_id,
            "verdict": self.verdict.value,
            "title": self.case.title,
            "detail": self.detail,
            "expected": self.expected,
            "proves": self.case.proves,
            "source": self.case.source,
            "needs": sorted(self.case.needs),
        }


def case(
    case_id: str, title: str, *needs: Need, proves: str, source: str
) -> Callable[[Callable[[Kit], Awaitable[str]]], Case]:
    """Make a case of a coroutine function."""

    def numbered(play: Callable[[Kit], Awaitable[str]]) -> Case:
        return Case(case_id, title, proves, source, frozenset(needs), play)

    return numbered
