"""A SQL store as the rooms use it: one call, one transaction, durable on return.

Two stand behind it: `app/sqlite.py`, a file of this process alone, and `app/postgres.py`, a server
that several processes share. The rooms write synchronous work over a connection and never commit;
the store runs it on a thread of its own. So no request's task ever holds a connection, and a
client that hangs up cannot leave one half way.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

import sqlalchemy as sa

T = TypeVar("T")
Work = Callable[[sa.Connection], T]


class NotDurable(Exception):
    """The store could lose what it acknowledged, so we do not start."""


class MissingDay(Exception):
    """A trade date has no table to keep this in: nothing of the transaction stands."""


class Database(Protocol):
    """One store. Work may run more than once where others write beside us: it must be pure."""

    @property
    def is_shared(self) -> bool:
        """Whether other processes may have it open too."""

    async def write(self, work: Work[T]) -> T:
        """Run `work` in one transaction; on return it is durable.

        On an exception of the work it is undone. `StoreAway` says that nobody knows: the store
        went before it had answered.
        """

    async def read(self, work: Work[T]) -> T:
        """Run `work` on one snapshot; it must not write."""

    def write_now(self, work: Work[T]) -> T:
        """Run `work` in one transaction on the calling thread: schema and start-up only."""

    def close(self) -> None:
        """Finish what runs and let go."""
