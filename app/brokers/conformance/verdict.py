"""The four ways in which a case can end.

`Failed` says what was expected and what was seen; `NotApplicable` says that this broker has no such
thing, and `NotJudged` that it has, and why it could not be seen here. The trap is to fold the last
two into one: what nobody has looked at would read like what cannot be.
"""

from enum import StrEnum


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
