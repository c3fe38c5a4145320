"""What an adapter that breaks its port amounts to: silence about every item, and no verdict."""

import asyncio
from collections.abc import Sequence

import pytest

from app.dispatch.contract import held
from app.domain.messages import Accepted, Answer, Unknown

HAS_IT = Accepted("b-1")


async def answering(answers: Sequence[Answer]) -> Sequence[Answer]:
    return answers


async def raising(error: BaseException) -> Sequence[Answer]:
    raise error


def test_one_answer_for_each_item_is_taken_as_it_is() -> None:
    answers: list[Answer] = [HAS_IT, Unknown("no answer")]

    assert asyncio.run(held(answering(answers), 2, "another batch")) == answers


@pytest.mark.parametrize("answers", [[], [HAS_IT], [HAS_IT] * 3])
def test_answers_for_another_batch_are_believed_for_none(answers: list[Answer]) -> None:
    doubts = [Unknown("the adapter answered for another batch")] * 2

    assert asyncio.run(held(answering(answers), 2, "another batch")) == doubts


def test_what_an_adapter_raises_is_silence() -> None:
    doubts = [Unknown("the adapter raised KeyError")] * 2

    assert asyncio.run(held(raising(KeyError("x")), 2, "other orders")) == doubts


def test_whoever_stops_waiting_is_not_held_up() -> None:
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(held(raising(asyncio.CancelledError()), 1, "another batch"))
