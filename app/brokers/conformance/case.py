"""What a case is, and the four ways in which it can end.

A case gets a `Kit` and returns in words what it saw. `Failed` says what was expected and what
was seen; `NotApplicable` says that this broker has no such thing, and `NotJudged` that it has, and
why it could not be seen here. The trap is a case that judges more than its title says: then one
bug turns five cases red and none of them names it. The other one is a case that saw nothing and
passes.
"""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from app.brokers.conformance.kit import Kit


class Need(StrEnum):
    """What a case cannot do without."""

    LIVE = "live"  # it places orders, far from the market, and cancels them
    MONEY = "money"  # one of its orders trades
    LINE = "line"  # it breaks the connection: the adapter's goes through ours
    CALLBACKS = "callbacks"  # the broker pushes reports to the address that it was given
    SECRET = "secret"  # noqa: S105 - the name of the option that holds the secret


class Verdict(StrEnum):
    """How a case ended."""

    PASS = "pass"  # noqa: S105 - it opens nothing
    FAIL = "fail"
    NOT_APPLICABLE = "not applicable"
    NOT_JUDGED = "not judged"


class Failed(Exception):
    """The adapter broke the law that the case is about."""

    def __init__(self, expected: str, seen: object) -> None:
        super().__init__(f"expected {expected}; seen: {seen}")
        self.expected = expected
        self.seen = str(seen)


class NotApplicable(Exception):
    """The broker has no such thing, as it declares; the message says which."""


class NotJudged(Exception):
    """What the law is about did not come to pass here; the message says why."""


class Case(NamedTuple):
    """One numbered law."""

    case_id: str
    title: str
    proves: str
    source: str
    needs: frozenset[Need]
    play: Callable[["Kit"], Awaitable[str]]


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
) -> Callable[[Callable[["Kit"], Awaitable[str]]], Case]:
    """Make a case of a coroutine function."""

    def numbered(play: Callable[["Kit"], Awaitable[str]]) -> Case:
        return Case(case_id, title, proves, source, frozenset(needs), play)

    return numbered
