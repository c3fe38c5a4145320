"""Counts what left within any second, to the nanosecond, against the limit in force then (I3)."""

from collections.abc import Sequence

from tests.virtual import NS_PER_S


def worst_second(sent_ns: Sequence[int]) -> int:
    """Return the most sends in any half-open second."""
    return max((_in_second_to(t, sent_ns) for t in sent_ns), default=0)


def over_limit(sent_ns: Sequence[int], rates: Sequence[tuple[int, int]]) -> list[str]:
    """Return where a second held more than the largest rate in force within it, in words.

    `rates` are (from when, how many a second), the oldest first.
    """
    found = []
    for t in sorted(set(sent_ns)):
        began = t - NS_PER_S
        at_its_start = [rate for at, rate in rates if at <= began][-1:]
        allowed = max([*at_its_start, *(rate for at, rate in rates if began < at <= t)])
        if (sends := _in_second_to(t, sent_ns)) > allowed:
            found.append(f"{sends} sends in the second to {t / 1e9:.3f} s, {allowed} allowed")
    return found


def _in_second_to(t: int, sent_ns: Sequence[int]) -> int:
    return sum(t - NS_PER_S < sent <= t for sent in sent_ns)
