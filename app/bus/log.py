"""The bus of the embedded gateway: one table of records, one of how far each group has come.

    publish ─► bus_records  0 1 2 3 4 5 6 7        no gaps, but where a topic is compacted
                                  ▲     ▲
                          committed     position: polled, perhaps being worked on, in memory

A restart forgets the position and begins after `committed`, so what was polled and not done
comes again. Nothing is deduplicated here. The traps: an offset given twice after a trim has
emptied a topic (so the newest record always stays, and holds the place), and a group that a
trim does not know yet (so a group is written down when it first polls).

A batch is one statement with two texts: small facts as JSON, and the payloads end to end in
one blob that `substr` cuts. A payload is so never escaped, never parsed, and comes back byte
for byte, whatever is in it; SQLite's own JSON would end a string at its first NUL.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple

import sqlalchemy as sa

from app import codec
from app.bus.topics import COMPACTED, DAY_MS, LETTER_RETENTION_DAYS, RETENTION_DAYS
from app.clock import Clock
from app.letters import SUFFIX
from app.ports.bus import Event, Record
from app.sqlite import Database

# Deleting 2,000 records takes some 10 ms, and a publisher may be waiting behind it.
TRIM_RECORDS_MAX: Final = 2_000
LETTERS_KEPT_MS: Final = LETTER_RETENTION_DAYS * DAY_MS
_ONLY: Final = 0  # the partition
# Above every offset that there will ever be.
_NEVER: Final = 2**62

_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS bus_records (
        topic TEXT NOT NULL, "offset" INTEGER NOT NULL, "key" TEXT NOT NULL,
        event_id TEXT NOT NULL, type TEXT NOT NULL, payload TEXT NOT NULL,
        published_at INTEGER NOT NULL, UNIQUE (topic, "offset")) STRICT""",
    """CREATE TABLE IF NOT EXISTS bus_groups (
        topic TEXT NOT NULL, "group" TEXT NOT NULL, committed INTEGER NOT NULL,
        PRIMARY KEY (topic, "group")) STRICT, WITHOUT ROWID""",
)

_APPEND: Final = sa.text(
    """INSERT INTO bus_records (topic, "offset", "key", event_id, type, payload, published_at)
    SELECT :topic, place.next + row."key", row.value ->> 0, row.value ->> 1, row.value ->> 2,
           coalesce(CAST(substr(:payloads, row.value ->> 3, row.value ->> 4) AS TEXT), ''), :now
    FROM json_each(:rows) row, (SELECT coalesce(max("offset"), -1) + 1 AS next
                                FROM bus_records WHERE topic = :topic) place"""
)
_READ: Final = sa.text(
    """SELECT json_group_array(json_array("offset", "key", event_id, type,
                                         length(CAST(payload AS BLOB)))),
              CAST(group_concat(payload, '') AS BLOB)
    FROM (SELECT * FROM bus_records WHERE topic = :topic AND "offset" > :position
          ORDER BY "offset" LIMIT :limit)"""
)
_ANY: Final = sa.text(
    'SELECT EXISTS (SELECT 1 FROM bus_records WHERE topic = :topic AND "offset" > :position)'
)
_REGISTER: Final = sa.text(
    'INSERT INTO bus_groups VALUES (:topic, :group, -1) ON CONFLICT (topic, "group") DO NOTHING'
)
_COMMITTED: Final = sa.text(
    'SELECT committed FROM bus_groups WHERE topic = :topic AND "group" = :group'
)
_COMMIT: Final = sa.text(
    """INSERT INTO bus_groups SELECT :topic, :group, :offset
    WHERE :offset <= (SELECT max("offset") FROM bus_records WHERE topic = :topic)
    ON CONFLICT (topic, "group") DO UPDATE SET committed = max(committed, excluded.committed)"""
)
_LAG: Final = sa.text(
    """SELECT coalesce(max("offset") - max(min("offset") - 1, coalesce(
        (SELECT committed FROM bus_groups WHERE topic = :topic AND "group" = :group), -1)), 0)
    FROM bus_records WHERE topic = :topic"""
)
# What was compacted has left gaps: there the records themselves are counted.
_LAG_WITH_GAPS: Final = sa.text(
    """SELECT count(*) FROM bus_records WHERE topic = :topic AND "offset" > coalesce(
        (SELECT committed FROM bus_groups WHERE topic = :topic AND "group" = :group), -1)"""
)
# Hop from topic to topic through the index instead of walking all of it.
_TOPICS: Final = sa.text(
    """WITH RECURSIVE t(topic) AS (
        SELECT min(topic) FROM bus_records UNION ALL
        SELECT (SELECT min(topic) FROM bus_records WHERE topic > t.topic) FROM t
        WHERE t.topic IS NOT NULL)
    SELECT json_group_array(topic) FROM t WHERE topic IS NOT NULL"""
)
# Only a prefix goes, so that offsets stay contiguous whatever the wall clock did meanwhile.
# It begins with DELETE, not WITH: before Python 3.12 the driver counts no rows for the latter.
_TRIM: Final = sa.text(
    """DELETE FROM bus_records WHERE topic = :topic AND "offset" < (SELECT min(
        last, first + :records_max,
        coalesce((SELECT min(committed) + 1 FROM bus_groups WHERE topic = :topic), :never),
        coalesce((SELECT "offset" FROM bus_records WHERE topic = :topic
                  AND "offset" < first + :records_max AND published_at >= :before
                  ORDER BY "offset" LIMIT 1), :never))
      FROM (SELECT min("offset") AS first, max("offset") AS last
            FROM bus_records WHERE topic = :topic))"""
)
# Of each key the last one stays while it is young enough, whoever has read it, and the newest of
# all for ever.
_COMPACT: Final = sa.text(
    """DELETE FROM bus_records WHERE topic = :topic AND "offset" IN (SELECT "offset" FROM
        (SELECT "offset", published_at,
                max("offset") OVER (PARTITION BY "key") AS last_of_key,
                max("offset") OVER () AS last
         FROM bus_records WHERE topic = :topic)
      WHERE "offset" < last AND ("offset" < last_of_key OR published_at < :before)
      ORDER BY "offset" LIMIT :records_max)"""
)


class _Batch(NamedTuple):
    """What one publish call appends to one topic."""

    topic: str
    events: int
    rows: str
    payloads: bytes


class LogBus:
    """A `Bus` in one SQLite file. One consumer a group; as many groups as you like."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._positions: dict[tuple[str, str], int] = {}
        self._published: dict[str, asyncio.Event] = {}
        database.write_now(_create)

    async def publish(self, events: Sequence[Event]) -> None:
        """Append all of them in one transaction, and return when it is on disk."""
        if not events:
            return
        batches = _by_topic(events)
        try:
            await self._database.write(partial(_append, batches, self._clock.now()))
        finally:
            # Also when the caller was cancelled: the writer's thread does not stop half way.
            for batch in batches:
                self._wake(batch.topic)

    async def poll(self, topic: str, group: str, limit: int) -> list[Record]:
        """Return the next records after the last poll; empty when there are none yet."""
        position = await self._position(topic, group)
        records = await self._database.read(partial(_read, topic, position, limit))
        if records:
            self._positions[topic, group] = records[-1].offset
        return records

    async def commit(self, topic: str, group: str, records: Sequence[Record]) -> None:
        """Note that these records, and all before them, are done. It never moves back."""
        if not records:
            return
        offset = max(record.offset for record in records)

        def work(connection: sa.Connection) -> None:
            noted = connection.execute(
                _COMMIT, {"topic": topic, "group": group, "offset": offset}
            ).rowcount
            # A commit beyond the end would swallow records that are not yet written.
            assert noted == 1, f"{topic}: {group} committed {offset}, which is not there"

        await self._database.write(work)

    async def lag(self, topic: str, group: str) -> int:
        """Return how many records the group has not committed."""
        return await self._database.read(partial(_lag, topic, group))

    async def wait(self, topic: str, group: str, timeout_s: float) -> None:
        """Return when there is something to poll, or the time is over."""
        # Taken before the question, so that what is published in between is not slept through.
        published = self._published.setdefault(topic, asyncio.Event())
        position = await self._position(topic, group)
        if await self._database.read(partial(_any, topic, position)):
            return
        try:
            async with asyncio.timeout(timeout_s):
                await published.wait()
        except TimeoutError:
            return

    async def trim(self, keep_ms: int) -> int:
        """Delete records older than `keep_ms` that every known group has committed.

        Return how many. A topic's newest record stays; a topic that no group has ever polled is
        kept by age alone. A compacted topic keeps the last of each key, whoever has read it. Dead
        letters wait for a person, not for a consumer that is quick: they are kept as long as on
        any other bus.
        """
        now = self._clock.now()
        trimmed = 0
        for topic in await self._database.read(_topics):
            for_ms = max(keep_ms, LETTERS_KEPT_MS) if topic.endswith(SUFFIX) else keep_ms
            trim = partial(_trim, _TRIM, topic, now - for_ms)
            if topic in COMPACTED:
                trim = partial(_trim, _COMPACT, topic, now - RETENTION_DAYS[topic] * DAY_MS)
            while gone := await self._database.write(trim):
                trimmed += gone
        return trimmed

    async def _position(self, topic: str, group: str) -> int:
        position = self._positions.get((topic, group))
        if position is not None:
            return position
        committed = await self._database.write(partial(_register, topic, group))
        return self._positions.setdefault((topic, group), committed)

    def _wake(self, topic: str) -> None:
        published = self._published.pop(topic, None)
        if published is not None:
            published.set()


def _by_topic(events: Sequence[Event]) -> list[_Batch]:
    topics: dict[str, list[Event]] = {}
    for event in events:
        topics.setdefault(event.topic, []).append(event)
    return [_batch(topic, each) for topic, each in topics.items()]


def _batch(topic: str, events: list[Event]) -> _Batch:
    rows = []
    start = 1  # SQL counts from one
    for event in events:
        length = len(event.payload)
        rows.append((event.key, event.event_id, event.type, start, length))
        start += length
    payloads = b"".join([event.payload for event in events])
    return _Batch(topic, len(events), codec.text(rows), payloads)


def _create(connection: sa.Connection) -> None:
    for table in _TABLES:
        connection.exec_driver_sql(table)


def _append(batches: list[_Batch], now: int, connection: sa.Connection) -> None:
    for topic, events, rows, payloads in batches:
        appended = connection.execute(
            _APPEND, {"topic": topic, "rows": rows, "payloads": payloads, "now": now}
        ).rowcount
        assert appended == events, f"{topic}: appended {appended} of {events}"


def _read(topic: str, position: int, limit: int, connection: sa.Connection) -> list[Record]:
    rows, payloads = connection.execute(
        _READ, {"topic": topic, "position": position, "limit": limit}
    ).one()
    records = []
    start = 0
    for offset, key, event_id, type_, length in codec.decode(rows):
        payload = payloads[start : start + length]
        records.append(Record(_ONLY, offset, Event(topic, key, event_id, type_, payload)))
        start += length
    return records


def _any(topic: str, position: int, connection: sa.Connection) -> bool:
    return bool(connection.execute(_ANY, {"topic": topic, "position": position}).scalar_one())


def _register(topic: str, group: str, connection: sa.Connection) -> int:
    connection.execute(_REGISTER, {"topic": topic, "group": group})
    return int(connection.execute(_COMMITTED, {"topic": topic, "group": group}).scalar_one())


def _lag(topic: str, group: str, connection: sa.Connection) -> int:
    counted = _LAG_WITH_GAPS if topic in COMPACTED else _LAG
    return int(connection.execute(counted, {"topic": topic, "group": group}).scalar_one())


def _topics(connection: sa.Connection) -> list[str]:
    topics: list[str] = codec.decode(connection.execute(_TOPICS).scalar_one())
    return topics


def _trim(statement: sa.TextClause, topic: str, before: int, connection: sa.Connection) -> int:
    values = {"topic": topic, "before": before, "records_max": TRIM_RECORDS_MAX}
    if statement is _TRIM:
        values["never"] = _NEVER
    return connection.execute(statement, values).rowcount
