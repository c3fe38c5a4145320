"""The FIX 4.4 session as a state machine: events in, commands out. Pure.

    session = Session(identity)
    session.connected(at, next_out=7, next_in=5) -> [Send(Logon)]      TCP and TLS are up
    session.received(message_or_garbled, at)     -> commands
    session.tick(at)                             -> commands           about once a second
    session.wrote(at, number)                    -> None               after bytes have left
    session.logout(reason, at)                   -> commands
    session.lost(at)                             -> commands           the connection is gone
    session.may_send: bool                                             asked before each number

`wrote` tells which new number left (None: a gap fill under an old one), so that silence of
ours is known and a gap is filled up to what was really written.

    off ──connected──► logging on ──Logon──► testing ──its TestRequest answered──► up
     ▲                     │                    │       and nothing of theirs open  │
     └─────────────────────┴─ Disconnect, lost ─┴──────────── leaving ◄─────────────┘

The trap is to call a session up when its Logon is answered: the peer may be about to ask for
what it lacks, and an order sent meanwhile falls into the gap that we then fill.
"""

from typing import Final

from app.brokers.fix import logon, sayings, tags, turns
from app.brokers.fix.commands import (
    Alarm,
    Command,
    Disconnect,
    Fill,
    Garbled,
    Identity,
    Instant,
    Message,
    ResetNumbers,
    Send,
)
from app.brokers.fix.standing import Standing, State, too_low

# Both are answered at once by a peer that lives; ten seconds are a bad day and not a death.
LOGON_MS: Final = 10_000
LOGOUT_MS: Final = 10_000
# FIX leaves "some reasonable transmission time" open; a fifth of the interval is usual.
TRANSMISSION_MS_MIN: Final = 1_000
# Noise on the line passes; ten in a row are no FIX at all.
GARBLED_MAX: Final = 10
_LEAVING: Final = (Send, Fill)


class Session:
    """One session with one broker, as its initiator; lives as long as the process."""

    def __init__(self, identity: Identity) -> None:
        self._standing = Standing(identity)
        self._heartbeat_ms = identity.heartbeat_s * 1000
        self._wrote_ms = 0
        self._heard_ms = 0
        self._asked_alive = False
        self._garbled = 0

    @property
    def state(self) -> State:
        return self._standing.state

    @property
    def may_send(self) -> bool:
        """Whether an order may take a number now: logged on, tested, no gap open either way."""
        return self.state is State.UP and not self._standing.inbound.is_open

    def connected(self, at: Instant, next_out: int, next_in: int) -> list[Command]:
        """Log on over a fresh connection, under the numbers that the ledger holds."""
        identity = self._standing.identity
        commands: list[Command] = []
        if identity.reset_on_logon:
            commands.append(ResetNumbers("every logon begins a new numbering"))
            next_out = next_in = 1
        self._standing.begin(at, State.LOGGING_ON, next_out, next_in)
        self._standing.begun_anew = 0
        self._heartbeat_ms = identity.heartbeat_s * 1000
        self._heard_ms = at.steady_ms
        self._asked_alive = False
        self._garbled = 0
        commands.append(sayings.logon(identity, next_in, reset=identity.reset_on_logon))
        return self._done(commands, at)

    def received(self, what: Message | Garbled, at: Instant) -> list[Command]:
        """Obey one message, in the order in which they came."""
        if self.state is State.OFF:
            return []
        if isinstance(what, Garbled):
            return self._done(self._ignored(what), at)
        self._garbled = 0
        self._heard_ms = at.steady_ms
        self._asked_alive = False
        if self.state is State.LOGGING_ON:
            return self._done(self._first(what, at), at)
        return self._done(turns.obeyed(self._standing, what, dict(what.fields), at), at)

    def tick(self, at: Instant) -> list[Command]:
        """Look at the time: silence either way, and answers that did not come."""
        waited = at.steady_ms - self._standing.since_ms
        match self.state:
            case State.OFF:
                return []
            case State.LOGGING_ON if waited >= LOGON_MS:
                return self._done([Disconnect("the logon was not answered")], at)
            case State.LEAVING if waited >= LOGOUT_MS:
                return self._done([Disconnect("the logout was not answered")], at)
            case State.LOGGING_ON | State.LEAVING:
                return []
            case _:
                return self._done(self._watched(at), at)

    def wrote(self, at: Instant, number: int | None) -> None:
        """Note that bytes have left: of this new number, or of a gap fill."""
        self._wrote_ms = at.steady_ms
        if number is not None:
            self._standing.outbound.wrote(number)

    def logout(self, reason: str, at: Instant) -> list[Command]:
        """Say goodbye; what still comes is taken until the peer has answered."""
        match self.state:
            case State.OFF | State.LEAVING:
                return []
            case State.LOGGING_ON:
                return self._done([Disconnect(reason)], at)
            case _:
                return self._done(self._standing.leave(reason, at), at)

    def lost(self, at: Instant) -> list[Command]:
        """Note that the connection is gone; the numbers stand as the ledger has them."""
        self._standing.enter(State.OFF, at)
        return []

    def _done(self, commands: list[Command], at: Instant) -> list[Command]:
        for place, command in enumerate(commands, start=1):
            if isinstance(command, _LEAVING):
                self._wrote_ms = at.steady_ms
            elif isinstance(command, Disconnect):  # nothing is done after it
                self._standing.enter(State.OFF, at)
                return commands[:place]
        return commands

    def _first(self, message: Message, at: Instant) -> list[Command]:
        """Judge the first message of a connection."""
        standing, values = self._standing, dict(message.fields)
        identity = standing.identity
        logon_number = standing.outbound.logon_number
        refusal = logon.refusal(identity, message, values, at.wall_ms)
        if refusal is not None:
            turn = standing.turned(message, at) if message.type == tags.LOGOUT else []
            return [*turn, Alarm(refusal), Disconnect(refusal)]
        if message.number < standing.inbound.next_in:
            return standing.cut(too_low(message, standing.inbound.next_in))
        wrong = logon.numbering_fault(message, values, began_anew=identity.reset_on_logon)
        wrong = wrong or logon.lost_numbers(values, logon_number)
        if wrong is not None:
            return standing.cut(wrong)
        self._heartbeat_ms = int(values[tags.HEARTBEAT]) * 1000
        standing.enter(State.TESTING, at)
        commands = standing.turned(message, at)
        commands += standing.early(message, at, ask=not identity.next_expected)
        expected = logon.expected_of_us(values, logon_number)
        if identity.next_expected and expected is not None:
            standing.outbound.lacks(expected)
            commands.append(Fill(expected, None))
        return [*commands, *standing.test(at)]

    def _ignored(self, garbled: Garbled) -> list[Command]:
        self._garbled += 1
        said = f"garbled: {garbled.why}"
        if self.state is State.LOGGING_ON:
            return [Alarm(said), Disconnect(said)]
        if self._garbled >= GARBLED_MAX:
            return self._standing.cut(f"{GARBLED_MAX} garbled messages in a row")
        return [Alarm(said)]

    def _watched(self, at: Instant) -> list[Command]:
        """Keep the peer sure of us, and make sure of the peer."""
        now, standing = at.steady_ms, self._standing
        patience = self._heartbeat_ms + max(TRANSMISSION_MS_MIN, self._heartbeat_ms // 5)
        silent = now - self._heard_ms
        if silent >= 2 * patience:
            return [Disconnect(f"silent for {silent // 1000} s")]
        commands: list[Command] = []
        if standing.inbound.is_stuck(now, patience):
            if not standing.inbound.ask_again(now):
                return standing.cut("the broker does not fill its gap")
            commands.append(sayings.resend_request(standing.inbound.next_in))
        # While it resends its night to us, it has no time for tests.
        is_untested = not standing.outbound.tested and not standing.inbound.is_open
        if is_untested and now - standing.outbound.test_ms >= patience:
            commands += standing.test(at)
        elif silent >= patience and not self._asked_alive:
            self._asked_alive = True
            commands.append(sayings.test_request(f"{at.wall_ms}"))
        if not commands and now - self._wrote_ms >= self._heartbeat_ms:
            commands.append(sayings.heartbeat())
        return commands
