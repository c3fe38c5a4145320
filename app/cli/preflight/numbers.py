"""What a gateway's own metrics say half an hour before the bell: watch, clock, stores, alarms.

The trap is a number that is not there: a process without a watch has no clock skew, which is no
skew of nothing.
"""

from collections.abc import Iterator
from typing import Final

from app.cli.asking.metrics_page import Metrics
from app.cli.preflight.checks import Check, Heard, Looks, State, setting

# Sessions open by the wall clock: a bell that rings a quarter of a second late is nobody's loss.
SKEW_S: Final = 0.25
SKEW_BAD_S: Final = 2.0
VITALS_OLD_S: Final = 5.0
LOOP_LATE_S: Final = 0.5
FILES_SHARE: Final = 0.8
DAYS_AHEAD_MIN: Final = 2


def _watch(heard: Heard) -> Iterator[Check]:
    value = _metrics(heard).value
    age, late = value("openbell_vitals_age_seconds"), value("openbell_event_loop_lag_seconds")
    if age is None:
        says = "not looked at: the process that was asked does not watch"
        yield Check("watch", "unseen", says, "ask a dispatcher: openbell preflight --url …")
        return
    failing = value("openbell_rules_failing") or 0
    troubles = []
    if age > VITALS_OLD_S:
        troubles.append(f"the ledger last answered it {age:.0f} s ago")
    if late is not None and late > LOOP_LATE_S:
        troubles.append(f"its loop is {late:.1f} s late")
    if failing:
        troubles.append(f"{failing:.0f} rules throw")
    if troubles:
        yield Check("watch", "warn", "; ".join(troubles), "openbell top")
    else:
        yield Check("watch", "ok", f"looks; its loop is {(late or 0) * 1000:.0f} ms late")
    yield from _skew(value("openbell_clock_skew_seconds"))


def _skew(skew: float | None) -> Iterator[Check]:
    if skew is None:
        return
    state: State = "ok" if skew <= SKEW_S else "warn" if skew <= SKEW_BAD_S else "fail"
    says = f"{skew * 1000:.0f} ms between the gateway and its ledger"
    yield Check("clock skew", state, says, "" if state == "ok" else "openbell doctor on both")


def _machine(heard: Heard) -> Iterator[Check]:
    value = _metrics(heard).value
    redis = setting(heard, "redis_url")
    if value("openbell_quota_degraded"):
        says = "away: each process counts quotas alone"
        yield Check("redis", "warn", says, "look at the redis_url that openbell config show names")
    else:
        says = "quotas are counted by all processes together" if redis else "no process needs it"
        known = "config" in heard.documents
        yield Check("redis", "ok", says if known else "quotas are counted as configured")
    used, most = value("process_open_fds"), value("process_max_fds")
    if used is not None and most and used > FILES_SHARE * most:
        says = f"{used:.0f} of {most:.0f} are open"
        yield Check("open files", "warn", says, "raise the limit (ulimit -n) and start again")
    ahead = value("openbell_partitions", which="ahead")
    if value("openbell_partition_job_failing"):
        yield Check("partitions", "warn", "the last run did not end well", "openbell doctor")
    elif ahead is not None and ahead < DAYS_AHEAD_MIN:
        yield Check("partitions", "warn", f"{ahead:.0f} trade dates ahead", "openbell partitions")
    elif ahead is not None:
        yield Check("partitions", "ok", f"{ahead:.0f} trade dates ahead")


def _alarms(heard: Heard) -> Iterator[Check]:
    metrics = _metrics(heard)
    dead = metrics.value("openbell_alarm_messages_total", outcome="dead_letter")
    told = metrics.value("openbell_alarm_messages_total", outcome="told")
    slack = setting(heard, "slack")
    if dead:
        yield Check("alarms", "warn", f"{dead:.0f} reached nobody", "openbell slack test")
    elif slack is None and "config" in heard.documents:
        says = "nobody is told but the log: no Slack is set"
        yield Check("alarms", "warn", says, "OPENBELL_SLACK__WEBHOOK_URL, then openbell slack test")
    elif told:
        yield Check("alarms", "ok", f"{told:.0f} have reached people since the start")
    else:
        where = "Slack" if slack is not None else "where, is not known"
        says = f"not looked at: nobody has been told anything yet ({where})"
        yield Check("alarms", "unseen", says, "openbell slack test")


def _metrics(heard: Heard) -> Metrics:
    assert isinstance(heard.documents["metrics"], Metrics), "what was asked for by that name"
    return heard.documents["metrics"]


NUMBERS: Final[Looks] = (
    ("watch", ("metrics",), _watch),
    ("machine", ("metrics",), _machine),
    ("alarms", ("metrics",), _alarms),
)
