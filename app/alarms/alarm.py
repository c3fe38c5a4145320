"""How people are told: one Protocol, and the three things that can come of it.

`tell` never raises (but cancellation of the task): what can happen on a good day is a value. It
does not repeat by itself either, so that one place decides about patience.
"""

from typing import NamedTuple, Protocol

from app.alarms.message import Message


class Told(NamedTuple):
    """They have it. `thread` is where later news of the incident belongs, where there is one."""

    said: str
    thread: str | None = None


class Later(NamedTuple):
    """Not now; `after_s` is how long the other side wants to be left alone, if it said."""

    cause: str
    after_s: float | None = None


class Never(NamedTuple):
    """Not this message, however often it is tried."""

    cause: str


Answer = Told | Later | Never


class Alarm(Protocol):
    """A channel to people. `pause_s` is how long it wants between two calls."""

    pause_s: float

    async def tell(self, message: Message, thread: str | None) -> Answer:
        """Tell it; under the message of its incident, if the channel has threads."""

    async def close(self) -> None: ...
