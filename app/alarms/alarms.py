"""The loop: from the bus to people, at their pace, and back to the bus what is done.

    poll ─► read ─► hear ─┬─ nothing to tell ──────────────────────────► done ─┐
                          └─► waiting ─► tell ─┬─ told ─► memory ──────► done ─┤
                                ▲              ├─ never, or too long ─► letter ┤
                                └── later ─────┘                               ▼
                                                 commit up to the first that is not done

Reading goes on while a channel is away, up to a bound; what waits is folded, so that what is told
in the end is how things are then. Every wait is for one thing: for the channel as long as it asks
or twice as long as the last time, for the bus while it is away.

The trap is to commit what was read: a crash would lose an alarm that nobody has seen. The other
is to hold up whoever raised it: nothing here is awaited by anybody.
"""

import asyncio
import logging
from collections import deque
from functools import partial
from typing import Final

from app.alarms.alarm import Alarm, Later, Never, Told
from app.alarms.digest import Digest, Edge, Heard, Incident
from app.alarms.log import LogAlarm
from app.alarms.memory import Known, Memory
from app.alarms.message import Message, compose, compose_many
from app.alarms.news import ANOMALIES, AUDIT, NotNews, read
from app.alarms.waiting import Mark, Ticket, Waiting
from app.clock import Clock
from app.consuming import ANYTHING, persistently
from app.domain.records import AlarmCounts
from app.letters import parked
from app.mishaps import Mishaps
from app.ports.bus import Bus, Event, Record

_log: Final = logging.getLogger("openbell.alarms")
# Members of one group wait for each other when one joins: so a group for each topic.
GROUPS: Final = {ANOMALIES: "alarms", AUDIT: "alarms.audit"}
BATCH_MAX: Final = 200
# An event is 2 kB: 10 MB at most are in hand while nobody can be told. The bus keeps the rest.
IN_HAND_MAX: Final = 5_000
IDLE_S: Final = 5.0
FULL_S: Final = 1.0
# Twice as long each time: 1, 2, 4 … s. After a minute, a channel that is back is noticed late.
RETRY_S_MIN: Final = 1.0
RETRY_S_MAX: Final = 60.0


class Alarms:
    """The subscriber that tells people."""

    def __init__(
        self,
        bus: Bus,
        alarm: Alarm,
        clock: Clock,
        memory: Memory,
        mishaps: Mishaps,
        console_url: str | None = None,
    ) -> None:
        self._bus = bus
        self._alarm = alarm
        self._clock = clock
        self._memory = memory
        self._mishaps = mishaps
        self._console_url = console_url
        self._log = LogAlarm()
        self._digest = Digest()
        self._waiting = Waiting()
        self._threads: dict[str, tuple[int, str]] = {}  # by incident, with its beginning
        self._in_hand: dict[str, dict[int, deque[Mark]]] = {topic: {} for topic in GROUPS}
        self._letters: list[tuple[Event, list[Mark]]] = []
        self._settling = asyncio.Lock()
        self._heard = asyncio.Event()
        self._tells_now = False
        self._failures = 0
        self._told = self._dead = self._stale = self._retried = 0
        self.trouble: str | None = None  # why nobody can be told, None while all is well

    @property
    def counts(self) -> AlarmCounts:
        """What became of the messages of this process."""
        waiting = len(self._waiting) + self._tells_now
        return AlarmCounts(self._told, self._dead, self._stale, self._retried, waiting)

    async def run(self) -> None:
        """Tell for ever."""
        for known in await self._memory.load():
            self._digest.recall(known.incident)
            self._note_thread(known)
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._mishaps.run())
            for topic in GROUPS:
                loops.create_task(self._reads(topic))
            loops.create_task(self._tells())

    async def close(self) -> None:
        """Let go of the channel."""
        await self._alarm.close()

    # --- from the bus -------------------------------------------------------------------

    async def _reads(self, topic: str) -> None:
        while True:
            await persistently(partial(self._turn, topic), ANYTHING, self._mishaps.of("reading"))

    async def _turn(self, topic: str) -> int:
        heard = await self._step(topic)
        if not heard:
            await self._bus.wait(topic, GROUPS[topic], IDLE_S)
        return heard

    async def _step(self, topic: str) -> int:
        """Hear one batch; return its size. Whatever fails here comes again."""
        if sum(map(len, self._in_hand[topic].values())) >= IN_HAND_MAX:
            await asyncio.sleep(FULL_S)
            await self._settle()
            return 1
        records = await self._bus.poll(topic, GROUPS[topic], BATCH_MAX)
        for record in records:
            self._hear(topic, record)
        await self._settle()
        return len(records)

    def _hear(self, topic: str, record: Record) -> None:
        mark = Mark(record)
        self._in_hand[topic].setdefault(record.partition, deque()).append(mark)
        try:
            news = read(record.event)
            heard = Heard.QUIET if news is None else self._digest.hear(news, self._clock.now())
        except NotNews as e:
            self._letters.append((parked(record, GROUPS[topic], str(e)), [mark]))
            return
        except Exception as e:  # noqa: BLE001 - a bug of ours on one event; orders go on beside us
            self._mishaps.threw(e, "hearing")
            cause = f"a fault of ours: {type(e).__name__}: {e}"
            self._letters.append((parked(record, GROUPS[topic], cause), [mark]))
            return
        self._mishaps.worked("hearing")
        if news is None or not isinstance(heard, Edge):
            self._stale += heard is Heard.STALE
            mark.done = True
            return
        level = self._digest.incidents[heard.incident_id].level
        self._waiting.add(heard, level, mark, news.id, self._now_s())
        self._heard.set()

    async def _settle(self) -> None:
        """Publish letters, then commit what is done, each partition up to what is not."""
        async with self._settling:
            letters = self._letters[:]
            if letters:
                await self._bus.publish([letter for letter, _ in letters])
                del self._letters[: len(letters)]
                for _, marks in letters:
                    _done(marks)
            for topic, partitions in self._in_hand.items():
                finished = {place: _prefix(marks) for place, marks in partitions.items()}
                last = [marks[-1].record for marks in finished.values() if marks]
                if last:
                    await self._bus.commit(topic, GROUPS[topic], last)
                for place, marks in finished.items():
                    for _ in marks:
                        partitions[place].popleft()

    # --- to people ----------------------------------------------------------------------

    async def _tells(self) -> None:
        while True:
            ticket = self._waiting.take(self._now_s())
            if ticket is None:
                await self._until_ready()
                continue
            self._tells_now = True
            pause_s = await self._tell_somehow(ticket)
            self._tells_now = False
            try:
                await self._settle()
            except Exception:  # noqa: BLE001 - the readers settle as well, and say what it is
                self._heard.set()
            await asyncio.sleep(pause_s)

    async def _tell_somehow(self, ticket: Ticket) -> float:
        """Try one message; one that our own code cannot tell is parked, and stops no other."""
        try:
            pause_s = await self._tell(ticket)
        except Exception as e:  # noqa: BLE001 - a bug of ours on one message; orders go on
            self._mishaps.threw(e, "telling")
            cause = f"a fault of ours: {type(e).__name__}: {e}"
            await self._bury(ticket, self._composed(ticket), cause)
            return self._alarm.pause_s
        self._mishaps.worked("telling")
        return pause_s

    async def _until_ready(self) -> None:
        self._heard.clear()
        try:
            async with asyncio.timeout(self._waiting.ready_in(self._now_s())):
                await self._heard.wait()
        except TimeoutError:
            return

    async def _tell(self, ticket: Ticket) -> float:
        """Try one message; return how long to leave the channel alone."""
        incident = self._digest.incidents.get(ticket.incident_id)
        message = self._composed(ticket)
        answer = await self._alarm.tell(message, self._thread_of(incident))
        match answer:
            case Told():
                self._failures = 0
                self.trouble = None
                self._told += 1
                if incident is not None:
                    self._digest.is_told(incident)
                    self._note_thread(Known(incident, answer.thread))
                    await self._memory.save(self._known())
                _done(ticket.marks)
            case Never(cause):
                self.trouble = cause
                await self._bury(ticket, message, cause)
            case Later():
                return await self._later(ticket, answer)
        return self._alarm.pause_s

    async def _later(self, ticket: Ticket, answer: Later) -> float:
        self.trouble = answer.cause
        self._retried += 1
        backoff_s = min(RETRY_S_MIN * (1 << min(self._failures, 10)), RETRY_S_MAX)
        self._failures += 1
        self._waiting.put_back(ticket)
        for late in self._waiting.given_up(self._now_s()):
            cause = f"not told within its time: {answer.cause}"
            await self._bury(late, self._composed(late), cause)
        return max(answer.after_s or 0.0, backoff_s, self._alarm.pause_s)

    def _composed(self, ticket: Ticket) -> Message:
        incident = self._digest.incidents.get(ticket.incident_id)
        if incident is None:
            return compose_many(ticket)
        try:
            words = compose(incident, ticket, self._console_url)
        except Exception as e:  # noqa: BLE001 - a fault of ours in the words: bare lines must do
            self._mishaps.threw(e, "words")
            _log.exception("no words for incident %s", ticket.incident_id)
            return compose_many(ticket)
        self._mishaps.worked("words")
        return words

    def _thread_of(self, incident: Incident | None) -> str | None:
        """Return where the message of this episode stands; an older one of its name is another."""
        since, thread = (
            self._threads.get(incident.incident_id, (0, None)) if incident else (0, None)
        )
        return thread if incident and since == incident.since else None

    async def _bury(self, ticket: Ticket, message: Message, cause: str) -> None:
        """Nobody will be told by this channel: park the events, and write the message down."""
        self._dead += 1
        await self._log.tell(message, None)
        for record in ticket.letters.values():
            group = GROUPS.get(record.event.topic, GROUPS[ANOMALIES])
            self._letters.append((parked(record, group, cause), []))
        letter, _ = self._letters.pop()
        self._letters.append((letter, ticket.marks))

    def _note_thread(self, known: Known) -> None:
        incident, thread = known
        if thread is not None:
            self._threads[incident.incident_id] = incident.since, thread
        for name in self._threads.keys() - self._digest.incidents.keys():
            del self._threads[name]

    def _known(self) -> list[Known]:
        return [
            Known(incident, self._threads.get(name, (0, None))[1])
            for name, incident in self._digest.told.items()
        ]

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()


def _prefix(marks: deque[Mark]) -> list[Mark]:
    """Return what is done, up to the first that is not."""
    finished = []
    for mark in marks:
        if not mark.done:
            break
        finished.append(mark)
    return finished


def _done(marks: list[Mark]) -> None:
    for mark in marks:
        mark.done = True
