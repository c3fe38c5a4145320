"""The seam to the outside: one POST, and what came of it.

The trap it avoids: an exception of a library that says in its text where the customer's server is.
"""

from collections.abc import Mapping
from typing import Protocol

from app.domain.webhooks import Answer
from app.webhooks.guard import Target


class Post(Protocol):
    """Carries one delivery to a target that was judged."""

    async def send(self, target: Target, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST it once and return what came of it; never an exception, but cancellation."""

    async def close(self) -> None:
        """Let go of what is open."""
