"""The witness of lanes that nobody watches: it hears nothing and knows nothing.

Lanes always have a witness, so that their path has no branch for one that is missing.
"""

from collections.abc import Sequence
from typing import Final

from app.domain.messages import Answer, ExecutionReport
from app.ports.dispatch import Witness


class _Nobody:
    def sending(self, broker_id: str) -> None: ...

    def answered(self, broker_id: str, answers: Sequence[Answer], took_ns: int) -> None: ...

    def reported(self, reports: Sequence[ExecutionReport]) -> None: ...

    def pinged(self, broker_id: str, *, alive: bool) -> None: ...

    def health(self, broker_id: str) -> None: ...

    def heard(self, broker_id: str) -> None: ...


NOBODY: Final[Witness] = _Nobody()
