"""Named places at which a test may kill this process: a no-op everywhere else.

`kill -9` at random rarely hits the microsecond between a commit and a write. A storm arms one
point; the n-th time execution passes it, the process ends as if its power had been cut,
without a `finally`, a flush or a farewell.
"""

import os
import signal
from collections import Counter
from typing import Final

POINTS: Final = frozenset(
    {
        "admin.after_commit",
        "cancel.after_commit",
        "cancel.after_reply",
        "cancel.before_send",
        "claim.after_commit",
        "claim.before_commit",
        "failover.after_epoch",
        "failover.before_commit",
        "find.after_reply",
        "fix.after_advance",
        "fix.after_deliver",
        "fix.after_number",
        "fix.after_read",
        "fix.after_write",
        "fix.before_advance",
        "fix.before_number",
        "fix.before_write",
        "intake.after_commit",
        "intake.before_commit",
        "lease.after_acquire",
        "projector.after_apply",
        "recover.after_commit",
        "relay.after_publish",
        "relay.before_publish",
        "release.after_commit",
        "release.before_commit",
        "replace.after_commit",
        "replace.after_reply",
        "replace.before_commit",
        "replace.before_send",
        "replace.settled_before_commit",
        "report.after_apply",
        "report.after_poll",
        "report.before_commit",
        "send.after_check",
        "send.after_reply",
        "send.before_write",
        "send.mid_batch",
        "settle.after_commit",
        "settle.before_commit",
        "verdict.after_commit",
        "verdict.before_commit",
        "webhook.after_post",
        "webhook.before_post",
    }
)
_armed: Counter[str] = Counter()


def arm(name: str, passes: int) -> None:
    """Kill this process when execution passes `name` for the given time, from 1."""
    assert name in POINTS, f"no crash point {name}"
    _armed[name] = passes


def point(name: str) -> None:
    """End here if armed; else nothing."""
    if not _armed:
        return
    assert name in POINTS, f"no crash point {name}"
    if name in _armed:
        _armed[name] -= 1
        if _armed[name] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
