"""Refusals of a message that come when nobody waits any more: whose word they are. Pure.

A Reject or a BusinessMessageReject names no order but a number (45) and a type (372). Both
together are the message that left under that number in this numbering, and nothing else: a gap
fill in its place has another type, and an ended numbering is not looked up. Whatever is named less
clearly than that proves nothing, and the doubt stays.

The trap is "rejected" for what was not judged. A list that is refused as a whole says of none of
its orders that it is bad: nobody looked at them, and a look-up then takes that for proof.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from app.brokers.fix import tags
from app.brokers.fix.said import Said, reported
from app.brokers.fix.words import Dialect
from app.domain.messages import Answer, ExecutionType, NotSent, Rejected

# Of messages without an answer. What is forgotten stays in doubt, and is asked about.
KEPT_MAX: Final = 10_000
_TIMES: Final = (tags.SENDING_TIME, tags.ORIGINAL_SENDING_TIME)


class Place(NamedTuple):
    """Where a message of ours stands for ever."""

    numbering: int
    number: int


class Left(NamedTuple):
    """What left there, and whom of it nobody has answered for."""

    type: str
    list_id: str | None
    keys: list[str]


class Late:
    """What left and was not answered in time, by its place."""

    def __init__(self) -> None:
        self._left: dict[Place, Left] = {}
        self._lists: dict[str, list[Left]] = {}  # the same, by the list that they are parts of

    def note(self, place: Place, left: Left) -> None:
        standing = self._left.setdefault(place, left)
        if standing is not left:
            standing.keys.extend(left.keys)
        elif left.list_id is not None:
            self._lists.setdefault(left.list_id, []).append(left)
        if len(self._left) > KEPT_MAX:
            oldest = self._left.pop(next(iter(self._left)))
            self._lists.pop(oldest.list_id or "", None)

    def refused(self, said: Said, numbering: int) -> Sequence[Left]:
        """Return what this refuses, if it says so beyond doubt."""
        if said.number is None:
            whole = said.list_id is not None and said.key is None
            return self._lists.get(said.list_id or "", ()) if whole else ()
        left = self._left.get(Place(numbering, said.number))
        return [left] if left is not None and left.type == said.refused_type else ()


def words(
    broker_id: str, dialect: Dialect, said: Said, values: Mapping[int, str], left: Left
) -> list[Said]:
    """Return a late refusal of one message as what it says of each order in it."""
    is_replace = left.type == tags.REPLACE
    is_unread = left.list_id is not None and said.number is not None
    answer = as_of_list(said.submitted) if is_unread else said.submitted
    kind = ExecutionType.REPLACE_REJECTED if is_replace else ExecutionType.REJECTED
    heard = []
    for key in left.keys:
        word = Said(key=key, request=key, submitted=answer)
        if is_replace:
            answer = said.replaced
            word = Said(key=key, request=key, replaced=answer)
        if isinstance(answer, Rejected):
            about = {tag: values[tag] for tag in _TIMES if tag in values}
            about |= {tags.CLIENT_ORDER_ID: key, tags.TEXT: f"{answer.code}: {answer.detail}"}
            word = reported(broker_id, dialect, word, about, kind)
        heard.append(word)
    return heard


def as_of_list(answer: Answer | None) -> Answer | None:
    """Return what a refusal of a whole list proves of each of its orders: it was not looked at."""
    if isinstance(answer, Rejected):
        return NotSent(f"its list was refused: {answer.code}: {answer.detail}"[:200])
    return answer
