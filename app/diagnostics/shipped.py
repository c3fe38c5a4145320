"""The rules as we ship them: data, each with the reason for its numbers. Pure.

An operator's version of a rule replaces ours until he takes it back. To change a number here,
raise the rule's version: an anomaly says by which version it was found.
"""

from collections.abc import Mapping
from typing import Any, Final

from app.diagnostics.rules import Level, Rule
from app.domain.anomaly import Severity

WARNING, CRITICAL = Severity.WARNING, Severity.CRITICAL


def _stands(
    rule_id: str,
    signal: str,
    *levels: Level,
    clear_at: float = 0.0,
    clear_for_s: float = 0.0,
    **facts: Any,
) -> Rule:
    """Return a rule on what stands now: its windows play no part."""
    return Rule(rule_id, signal, levels, clear_at, 0.0, clear_for_s, **facts)


def _at(severity: Severity, raise_at: float, for_s: float = 0.0) -> Level:
    return Level(severity, raise_at, 0.0, for_s)


_RULES: Final = (
    # A fifth of all answers within ten seconds is no accident, and a twentieth within a minute
    # says that it was not one second of it. Below fifty answers a ratio is a matter of luck.
    Rule(
        "broker.error_rate",
        "error_ratio",
        (Level(CRITICAL, 0.5, 10, 8), Level(WARNING, 0.2, 10, 0, 0.05, 60)),
        clear_at=0.02,
        clear_window_s=60,
        sample_min=50,
        action="failover",
        confidence=0.9,
    ),
    # Three times the usual of this broker at this time of its session, and never below a second:
    # before anything is learnt, the usual is a third of one (`signals.USUAL_MS`).
    Rule(
        "broker.ack_latency",
        "slowness",
        (Level(CRITICAL, 5, 30, 15), Level(WARNING, 3, 30)),
        clear_at=1.5,
        clear_window_s=60,
        sample_min=100,
        action="lower_rate",
    ),
    # Nothing at all has followed what was sent, whatever its heartbeats say. The warning comes
    # before the adapter's own time-out: at the open that is when somebody should look.
    _stands(
        "broker.reply_silence",
        "silence_s",
        _at(CRITICAL, 10),
        _at(WARNING, 3),
        action="failover",
        confidence=0.8,
    ),
    # It takes orders and tells nothing of them any more: a callback that is lost, or a feed.
    _stands("broker.report_silence", "report_silence_s", _at(WARNING, 10), action="reconcile"),
    _stands(
        "broker.session_down",
        "session_down_s",
        _at(CRITICAL, 5),
        clear_for_s=10,
        action="failover",
        confidence=0.9,
    ),
    # No order is needed to find it: before the bell, this is how a dead broker is known.
    _stands(
        "broker.unreachable",
        "unreachable_s",
        _at(CRITICAL, 10),
        _at(WARNING, 2),
        clear_for_s=10,
        action="failover",
        confidence=0.7,
    ),
    Rule(
        "broker.throttled",
        "throttled_ratio",
        (Level(CRITICAL, 0.2, 30), Level(WARNING, 0.01, 10)),
        clear_at=0,
        clear_window_s=30,
        sample_min=50,
        action="lower_rate",
    ),
    _stands("broker.in_doubt", "in_doubt", _at(CRITICAL, 20), action="reconcile"),
    _stands("broker.in_doubt_age", "in_doubt_age_s", _at(CRITICAL, 30), action="reconcile"),
    _stands("breaker.opened", "circuit_open", _at(WARNING, 1), clear_for_s=60),
    # From closed only: one long outage knocks again and again without ever having been well.
    Rule(
        "breaker.flapping",
        "circuit_openings",
        (Level(CRITICAL, 3, 600),),
        clear_at=0,
        clear_window_s=600,
        clear_for_s=300,
    ),
    # At this pace the book is not through before the session ends. Half a minute of it, because
    # in the first seconds after the bell the pace is still that of the night.
    _stands(
        "queue.deadline_risk",
        "deadline_ratio",
        _at(CRITICAL, 1.5, 30),
        _at(WARNING, 1, 30),
        clear_at=0.8,
        action="raise_tps",
    ),
    # The same before the bell, from the numbers to come: while there is time to find a better one.
    _stands("plan.misses_cut_off", "misses_cut_off", _at(WARNING, 1), action="raise_tps"),
    _stands("dispatch.stalled", "stalled_s", _at(CRITICAL, 5)),
    _stands("ownership.missing", "unowned_s", _at(CRITICAL, 10)),
    # One reason for more than a twentieth of all answers, six deviations above what is usual.
    _stands("reject.spike", "refusals_z", _at(WARNING, 6), clear_at=2, clear_for_s=300),
    # These two end when somebody has acknowledged them: nothing that we measure undoes a trade.
    _stands("duplicate.execution", "strays", _at(CRITICAL, 1), action="halt_route"),
    _stands("report.quarantined", "quarantined", _at(WARNING, 1), action="reconcile"),
    _stands("conservation.unbalanced", "unbalanced", _at(CRITICAL, 1, 2), action="halt_route"),
    _stands("outbox.lag", "outbox_lag_s", _at(WARNING, 5), clear_at=1),
    _stands("projector.lag", "projector_lag_s", _at(WARNING, 30), clear_at=5),
    _stands("clock.skew", "clock_skew_ms", _at(WARNING, 200), clear_at=100),
    _stands("clock.step", "clock_step_ms", _at(WARNING, 500), clear_at=100, clear_for_s=30),
    # Where two brokers fall ill within five seconds, it is rather us, or the line to both.
    _stands(
        "common.cause",
        "in_trouble_together",
        _at(CRITICAL, 2),
        clear_at=1,
        clear_for_s=30,
    ),
)
SHIPPED: Final[Mapping[str, Rule]] = {rule.rule_id: rule for rule in _RULES}
assert len(SHIPPED) == len(_RULES), "every rule has a name of its own"
