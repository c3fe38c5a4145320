"""What the machine calls things, said as people say it at 22:31.

A rule or an action that has no words here is shown by its name: the trap is a new rule that
nobody gave words to, and that is left out for it.
"""

from typing import Final

from app.domain.anomaly import Anomaly

# By rule: what is wrong with its subject, and what helps where something does.
RULES: Final = {
    "broker.error_rate": ("fails too often", ""),
    "broker.ack_latency": ("answers slowly", ""),
    "broker.reply_silence": ("answers nothing", ""),
    "broker.report_silence": ("takes orders and reports nothing", "is its callback lost?"),
    "broker.session_down": ("its session is down", ""),
    "broker.unreachable": ("does not answer a ping", ""),
    "broker.throttled": ("throttles us", "lower its rate"),
    "broker.in_doubt": ("leaves orders in doubt", ""),
    "broker.in_doubt_age": ("doubts grow old", ""),
    "breaker.opened": ("its breaker has opened", ""),
    "breaker.flapping": ("its breaker opens again and again", "force it open, or fail over"),
    "queue.deadline_risk": ("not through before the session ends", "raise the rate"),
    "plan.misses_cut_off": ("will not be through by its cut-off", "raise the rate"),
    "dispatch.stalled": ("orders wait and none leaves", "is it paused or halted?"),
    "ownership.missing": ("nobody owns its lane", "start a dispatcher"),
    "reject.spike": ("rejects for one reason far more than usual", "see its top reasons"),
    "duplicate.execution": ("an order traded under a settled attempt", "call the broker"),
    "report.quarantined": ("reports fit no order of ours", "read them: openbell doubt list"),
    "conservation.unbalanced": ("attempts and orders do not agree", "call the engineers"),
    "outbox.lag": ("events leave late", "is the bus slow, or this machine busy?"),
    "projector.lag": ("the account view is behind", "openbell view lag"),
    "clock.skew": ("clocks are apart", "see NTP"),
    "clock.step": ("the clock was set", "see NTP"),
    "common.cause": ("several brokers fail at once", "look at our own line first"),
}
SIGNS: Final = {">=": "≥", "<=": "≤"}
# By action of the audit log.
ACTIONS: Final = {
    "broker.control": "set",
    "halt": "halted",
    "resume": "resumed",
    "kill": "halted and canceled",
    "orders.mass_cancel": "began to cancel",
    "orders.mass_canceled": "canceled",
    "session.override": "moved the bells of",
    "session.pause": "paused the release of",
    "session.resume": "resumed the release of",
    "route.policy": "set the policy of",
    "doubt.probe": "asked about",
    "doubt.resolve": "settled",
    "stray.settle": "settled the stray copy of",
    "order.cancel": "canceled",
    "order.hold": "held",
    "order.release": "let go",
    "drill.start": "began a drill on",
    "drill.end": "ended the drill on",
    "session.log_out": "logged out",
    "session.reset": "reset the numbers of",
    "route.failover": "led away",
    "failover.acknowledged": "has seen the failover of",
    "anomaly.ack": "has seen",
    "anomaly.raise": "raised an alarm about",
    "anomaly.resolve": "ended the alarm about",
    "anomaly.rule": "changed the rule",
    "anomaly.silence": "silenced",
    "orders.mass_hold": "began to hold",
    "orders.mass_hold.done": "held",
    "orders.mass_release": "began to let go",
    "orders.mass_release.done": "let go",
    "throttle.advised": "would slow down",
    "webhook.create": "added",
    "webhook.change": "changed",
    "webhook.disable": "disabled",
    "webhook.delete": "deleted",
    "key.revoke": "revoked",
    "view.rebuild": "rebuilt",
    "proposal.propose": "proposed",
    "proposal.approve": "approved",
    "proposal.declined": "declined",
    "proposal.failed": "could not do",
}
# Of these kinds, the name alone says what it is.
PLAIN_KINDS: Final = frozenset({"broker", "halt", "session", "session-release", "anomaly-rule"})


def rule_words(anomaly: Anomaly) -> str:
    """Return what a rule has found, in a few words."""
    known = RULES.get(anomaly.rule_id)
    words = known[0] if known else _spaced(anomaly.rule_id.removeprefix("broker."))
    return f"{words} (drill)" if anomaly.drill else words


def measured(anomaly: Anomaly) -> str:
    """Return what was measured against what is allowed; nothing where once is too often."""
    value, limit, unit = anomaly.observed.value, anomaly.threshold.raise_at, anomaly.observed.unit
    if value == limit == 1:
        return ""
    sign = SIGNS.get(anomaly.threshold.op, anomaly.threshold.op)
    window = anomaly.observed.window_s
    over = f" over {window:g} s" if window else ""
    if unit == "ratio":
        return f"{value * 100:.0f} % {sign} {limit * 100:.0f} %{over}"
    return f"{_short(value)} {unit} {sign} {_short(limit)}{over}"


def _short(number: float) -> str:
    return f"{number:,.1f}".removesuffix(".0")


def rule_helps(anomaly: Anomaly) -> str:
    return RULES.get(anomaly.rule_id, ("", ""))[1]


def deed(action: str, resource: str) -> str:
    """Return what somebody did to something, or was refused."""
    denied = action.startswith("denied.")
    named = action.removeprefix("denied.")
    words = ACTIONS.get(named, _spaced(named))
    return f"refused: {words} {thing(resource)}" if denied else f"{words} {thing(resource)}"


def thing(resource: str) -> str:
    """Return `broker/north` as north, `halt/symbol:AA` as symbol AA, `route/us` as route us."""
    kind, slash, name = resource.partition("/")
    if not slash or not kind:
        return resource
    said = name.removesuffix(":").replace(":", " ", 1)
    return said if kind in PLAIN_KINDS else f"{kind} {said}"


def _spaced(name: str) -> str:
    return name.replace(".", " ").replace("_", " ")
