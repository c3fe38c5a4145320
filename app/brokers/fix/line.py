"""The line to one broker: it comes up when it may, goes down politely, and tries the next host.

    may it be up? ─► connect ─► log on ─► orders and reports ─► lost ─► back-off ─┐
         ▲                                                                        │
         └────────────────────────────────────────────────────────────────────────┘

It may be up while this process owns the broker's lane and a session window is open. Before a
logon has stood its test nothing is taken: an order is `NotSent`, and if the broker refused the
logon, the gate hears that too. The trap is an engine that queues while it is logged out and sends
the queue when it comes back: by then the orders may be live elsewhere.
"""

import asyncio
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from app.brokers.fix.commands import Identity
from app.brokers.fix.connection import Connection, Hear
from app.brokers.fix.machine import Session
from app.brokers.fix.options import Host, LineOptions
from app.brokers.fix.outbox import LastSecond, Outbox, Post
from app.brokers.fix.register import Register
from app.brokers.fix.writing import Ground
from app.clock import Clock
from app.domain.broker_session import SessionStatus
from app.domain.records import FenceLost
from app.domain.windows import any_open
from app.ports.brokers import Standing
from app.ports.sessions import Numbers, SessionOwner

# How often one who may not be up looks whether he may.
LOOK_S: Final = 0.1
CHANCE_BITS: Final = 16
STANDING_BY: Final = "standing_by"
CLOSED: Final = "closed"
CONNECTING: Final = "connecting"
LOGGED_ON: Final = "logged_on"
WAITING: Final = "waiting"
REFUSED: Final = "refused"


class Line:
    """One session's line, whichever connection it has."""

    def __init__(
        self, broker_id: str, identity: Identity, options: LineOptions, clock: Clock, hear: Hear
    ) -> None:
        self._broker_id = broker_id
        self._options = options
        self._clock = clock
        self._hear = hear
        self._ground = Ground(
            identity,
            options,
            clock,
            Session(identity),
            Outbox(),
            LastSecond(options.per_second_max),
            LastSecond(options.per_second_max),
        )
        self._connection: Connection | None = None
        self._register: Register | None = None
        self._leaving = False
        self._tries = 0  # since a logon last stood
        self._host: Host | None = None
        self._state, self._since = WAITING, clock.now()
        self._why: str | None = "starting"
        self._alarm: str | None = None  # of a connection that is over, and nobody has seen it
        self.refusal: str | None = None  # what the broker said to our last logon, if it refused
        self.logons = 0
        self.standing: Standing | None = None

    # --- for the adapter ----------------------------------------------------------------

    @property
    def is_up(self) -> bool:
        """Whether what is posted now may leave."""
        return self._connection is not None and self._connection.logged_on

    @property
    def why_down(self) -> str:
        return self.refusal or f"not logged on: {self._why or self._state}"

    @property
    def session_id(self) -> str:
        return self._options.session_id

    @property
    def numbering(self) -> int:
        return 0 if self._register is None else self._register.at.numbering

    def post(self, posts: Sequence[Post]) -> None:
        """Let these leave, or tell them at once that they cannot."""
        if self.is_up:
            self._ground.outbox.post(posts)
            return
        for post in posts:
            post.on_lost(post, self.why_down)

    def waiting(self, number: int) -> Post | None:
        """Return what left under this number and has no answer yet."""
        return None if self._connection is None else self._connection.writing.waiting.get(number)

    def answered(self, post: Post) -> None:
        """Forget it: its answer is here, or nobody waits for it."""
        if self._connection is not None and post.number is not None:
            waiting = self._connection.writing.waiting
            if waiting.get(post.number) is post:
                del waiting[post.number]

    async def ping(self, within_s: float) -> bool:
        """Return whether a round trip over the session succeeds in this time."""
        connection = self._connection
        if connection is None:
            return False
        try:
            async with asyncio.timeout(within_s):
                return await connection.ping(f"ping-{self._clock.random_bits(64):016x}")
        except TimeoutError:
            return False

    async def log_out(self, reason: str) -> None:
        """End this connection politely; the next one is made as after any loss.

        Whoever asks for that has seen what was to be seen.
        """
        self._alarm = None
        if self._connection is not None:
            self._connection.alarm = None
        if self._connection is not None and self._connection.logged_on:
            await self._connection.log_out(reason)

    def status(self) -> SessionStatus:
        connection, at = self._connection, Numbers(0, 0, 0)
        if self._register is not None:
            at = self._register.at
        return SessionStatus(
            session_id=self.session_id,
            state=self._state,
            why=self._why,
            host=None if self._host is None else str(self._host),
            since=self._since,
            numbering=at.numbering,
            next_out=at.next_out,
            next_in=at.next_in,
            last_out_at=None if connection is None else connection.writing.last_at,
            last_in_at=None if connection is None else connection.last_in_at,
            alarm=self._alarm if connection is None else connection.alarm or self._alarm,
        )

    # --- life ---------------------------------------------------------------------------

    async def run(self, standing: Standing) -> None:
        """Keep the line up for ever; log out when cancelled."""
        self.standing = standing
        async with asyncio.TaskGroup() as tasks:
            life = tasks.create_task(self._live(standing))
            try:
                await asyncio.wait({life})
            except asyncio.CancelledError:
                await self._farewell(life)
                raise

    async def _farewell(self, life: asyncio.Task[None]) -> None:
        self._leaving = True
        if self.is_up:
            # Goodbye waits for its turn behind what is under way, which may stand still itself.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._options.farewell_s):
                    await self.log_out("we are closing")
                    await asyncio.wait({life})
        life.cancel()

    async def _live(self, standing: Standing) -> None:
        while not self._leaving:
            owner = await self._allowed(standing)
            host = self._next_host()
            self._is(CONNECTING, None)
            try:
                at = await standing.sessions.open(owner)
                streams = await self._connect(host)
            except (OSError, TimeoutError, FenceLost) as e:
                self._is(WAITING, f"{type(e).__name__}: {e}"[:200])
            else:
                await self._use(Register(standing, owner, at), streams)
            if not self._leaving:
                await self._rest()

    async def _allowed(self, standing: Standing) -> SessionOwner:
        """Return when the line may be up, and as whose."""
        while True:
            epoch = standing.epoch()
            if not epoch:
                self._is(STANDING_BY, "another process owns this broker")
            elif not any_open(self._options.windows, self._clock.now()):
                self._is(CLOSED, "outside the session's hours")
            else:
                return SessionOwner(self.session_id, self._broker_id, epoch)
            await asyncio.sleep(LOOK_S)

    async def _connect(self, host: Host) -> tuple[StreamReader, StreamWriter]:
        tls = self._options.tls
        context: ssl.SSLContext | None = None if tls is None else tls.context()
        name = None if tls is None else tls.server_name or host.name
        async with asyncio.timeout(self._options.connect_s):
            return await asyncio.open_connection(
                host.name, host.port, ssl=context, server_hostname=name
            )

    async def _use(self, register: Register, streams: tuple[StreamReader, StreamWriter]) -> None:
        connection = Connection(self._ground, register, streams, self._hear, self._stands)
        self._connection, self._register = connection, register
        try:
            why = await connection.run()
        finally:
            self._connection = None
            self._alarm = connection.alarm or self._alarm
        with suppress(OSError):
            await streams[1].wait_closed()
        self.refusal = connection.refused
        self._is(WAITING if self.refusal is None else REFUSED, self.refusal or why)

    def _stands(self) -> None:
        self._tries = 0
        self.refusal = self._alarm = None
        self.logons += 1
        self._is(LOGGED_ON, None)

    def _next_host(self) -> Host:
        """Begin with the first host after each logon that stood, then take turns."""
        hosts = self._options.hosts
        self._host = hosts[self._tries % len(hosts)]
        self._tries += 1
        return self._host

    async def _rest(self) -> None:
        """Wait longer after each failure, by chance a little less: not all at one instant."""
        rounds = (self._tries - 1) // len(self._options.hosts)
        whole = min(
            self._options.back_off_s_max, self._options.back_off_s_min * 2 ** min(rounds, 20)
        )
        chance = self._clock.random_bits(CHANCE_BITS) / (1 << CHANCE_BITS)
        await asyncio.sleep(whole * (0.5 + chance / 2))

    def _is(self, state: str, why: str | None) -> None:
        if (state, why) != (self._state, self._why):
            self._state, self._why, self._since = state, why, self._clock.now()
