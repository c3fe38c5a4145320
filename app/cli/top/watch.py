"""Asks the gateway again and again, beside whoever draws, and never costs it much.

Each question rests at least ten times as long as its answer took, for at a full book the ledger
counts a million rows for it, and what a session took in all is counted seldom. The trap is a
screen that hangs with its gateway: the one who asks has a thread of its own, and a gateway that
is away is asked again until it is back.
"""

from collections.abc import Callable
from threading import Event, Thread
from time import monotonic
from typing import Any, Final, NamedTuple

from app.cli.asking.client import Client, segment
from app.cli.asking.output import Ends, Failure
from app.cli.top.picture import Documents, Picture, bell_of, pictured

# Beyond this the numbers are late anyway, and the next question is better than the answer.
ANSWER_S_MAX: Final = 5.0
REST_TIMES: Final = 10
REST_S_MAX: Final = 5.0
# Counting a session is a pass over its day.
PLAN_EVERY_S: Final = 60.0
NEWS_EVERY_S: Final = 2.0
DOUBTS_EVERY_S: Final = 5.0
NEWS_MAX: Final = 20
FAILOVER_HOURS: Final = 24
# The gateway is away: no need to knock each second, nor to let a person wait long.
AWAY_S: Final = 2.0


class Kept(NamedTuple):
    """An answer, and until when it is not asked for again."""

    said: Any
    until: float


class Asker:
    """One who knows the gateway's doors, and what was said at each."""

    def __init__(self, client: Client, now: Callable[[], float] = monotonic) -> None:
        self._client = client
        self._now = now
        self._kept: dict[str, Kept] = {}

    def documents(self) -> Documents:
        """Ask for all that a picture needs, or raise `Failure`."""
        overview = self._client.get("/admin/v1/overview")
        bell = bell_of(overview)
        plans = {
            name: self._rested(f"/admin/v1/sessions/{segment(name)}/plan", PLAN_EVERY_S)
            for name in (() if bell is None else bell.session_ids)
        }
        doubts: list[Any] = []
        if any(overview["backlog"]["in_doubt"].values()):
            doubts = self._listed("/admin/v1/in-doubt", DOUBTS_EVERY_S)
        return Documents(
            overview=overview,
            plans={name: plan for name, plan in plans.items() if plan is not None},
            doubts=doubts,
            anomalies=self._listed(f"/admin/v1/anomalies?limit={NEWS_MAX}", NEWS_EVERY_S),
            failovers=self._listed(f"/admin/v1/failovers?hours={FAILOVER_HOURS}", NEWS_EVERY_S),
        )

    def _listed(self, path: str, every_s: float) -> list[Any]:
        return list((self._rested(path, every_s) or {}).get("data", ()))

    def _rested(self, path: str, every_s: float) -> Any:
        """Return the last answer while it may rest; None where this key or gateway has none."""
        kept = self._kept.get(path)
        began = self._now()
        if kept is not None and began < kept.until:
            return kept.said
        try:
            said = self._client.get(path)
        except Failure as e:
            if e.ends not in {Ends.NOT_FOUND, Ends.AUTHENTICATION, Ends.REFUSED}:
                raise
            said = None
        ended = self._now()
        self._kept[path] = Kept(said, ended + max(every_s, REST_TIMES * (ended - began)))
        return said


class Look(NamedTuple):
    """The last picture, when it was taken, and why there is none newer."""

    picture: Picture | None = None
    at_s: float = 0.0
    rests_s: float = 0.0
    trouble: Failure | None = None


def looked(asker: Asker) -> Picture:
    """Return a picture of this moment, or raise `Failure`; nonsense is one as well."""
    try:
        return pictured(asker.documents())
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as e:
        raise Failure(
            Ends.UNREACHABLE,
            "the gateway's answer cannot be read",
            why=f"{type(e).__name__}: {e}",
            advice="is it of another version? openbell --version, and that of the gateway",
        ) from e


class Watcher:
    """Looks in a thread of its own; `look` is what it saw last."""

    def __init__(self, asker: Asker, interval_s: float) -> None:
        self.look = Look()
        self._asker = asker
        self._interval_s = interval_s
        self._stop = Event()
        self._fault: Exception | None = None
        self._thread = Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End it; it is not waited for long, for it may be waiting itself."""
        self._stop.set()
        self._thread.join(0.2)

    def check(self) -> None:
        """Raise what ended it by mistake: a screen that stands still must not look alive."""
        if self._fault is not None:
            raise self._fault

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._stop.wait(self._turn())
        except Exception as e:  # noqa: BLE001 - whatever it was, the one who draws ends with it
            if not self._stop.is_set():
                self._fault = e

    def _turn(self) -> float:
        """Look once; return how long to rest."""
        began = monotonic()
        try:
            picture = looked(self._asker)
        except Failure as e:
            self.look = self.look._replace(trouble=e)
            return max(self._interval_s, AWAY_S)
        rests_s = max(self._interval_s, min(REST_S_MAX, REST_TIMES * (monotonic() - began)))
        # It was true when it was asked for, not when it came.
        self.look = Look(picture, began, rests_s)
        return rests_s
