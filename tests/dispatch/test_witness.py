"""A witness hears what really went to a broker, and nothing that we kept back ourselves."""

import asyncio
from collections.abc import Sequence

import pytest

from app.dispatch.gate import GatedBroker, Lane
from app.dispatch.unwitnessed import NOBODY
from app.domain.messages import Answer, Cancellation, ExecutionReport, Submission
from tests.dispatch.rig import HALTED, LIVELY, OK, ORDER, SILENT, S, ScriptedBroker
from tests.virtual import Virtual


class Notes:
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.sent = 0
        self.answers: list[tuple[list[Answer], float]] = []

    def sending(self, broker_id: str) -> None:
        assert broker_id == "scripted"
        self.sent += 1

    def answered(self, broker_id: str, answers: Sequence[Answer], took_ns: int) -> None:
        assert broker_id == "scripted"
        self.answers.append((list(answers), took_ns / S))

    def reported(self, reports: Sequence[ExecutionReport]) -> None: ...

    def pinged(self, broker_id: str, *, alive: bool) -> None: ...

    def health(self, broker_id: str) -> None: ...

    def heard(self, broker_id: str) -> None: ...


class Broken(ScriptedBroker):
    async def submit(self, batch: Sequence[Submission]) -> list[Answer]:
        raise RuntimeError("a bug of the adapter")


def test_each_request_is_heard_with_its_answers_and_its_time(virtual: Virtual) -> None:
    notes = Notes()
    gate = GatedBroker(ScriptedBroker(delay_s=0.5), virtual.clock, witness=notes)
    virtual.run(gate.submit([ORDER, ORDER]))
    virtual.run(gate.cancel([Cancellation("k", None)]))
    virtual.run(gate.find(["k"]))

    assert (notes.sent, notes.answers) == (1, [([OK, OK], 0.5)])


def test_what_the_circuit_keeps_back_is_not_heard(virtual: Virtual) -> None:
    notes = Notes()
    gate = GatedBroker(ScriptedBroker(SILENT), virtual.clock, LIVELY, witness=notes)
    for _ in range(5):
        virtual.run(gate.submit([ORDER]))

    assert gate.state(Lane.SUBMIT).state == "open"
    assert notes.answers == [([SILENT], 0.0)] * LIVELY.failures_max


def test_what_an_adapter_held_back_is_heard_as_nothing(virtual: Virtual) -> None:
    notes = Notes()
    gate = GatedBroker(ScriptedBroker(HALTED), virtual.clock, LIVELY, witness=notes)
    answers = [virtual.run(gate.submit([ORDER])) for _ in range(9)]

    assert answers == [[HALTED]] * 9
    assert notes.answers == [([], 0.0)] * 9


def test_a_cancelled_request_is_answered_by_nothing(virtual: Virtual) -> None:
    notes = Notes()
    gate = GatedBroker(ScriptedBroker(delay_s=9), virtual.clock, witness=notes)

    async def gives_up() -> None:
        async with asyncio.timeout(2):
            await gate.submit([ORDER])

    with pytest.raises(TimeoutError):
        virtual.run(gives_up())
    assert (notes.sent, notes.answers) == (1, [([], 2.0)])


def test_an_adapter_that_raises_is_heard_as_silence(virtual: Virtual) -> None:
    notes = Notes()
    gate = GatedBroker(Broken(), virtual.clock, witness=notes)
    with pytest.raises(RuntimeError):
        virtual.run(gate.submit([ORDER]))

    ((answers, _),) = notes.answers
    assert [type(answer) for answer in answers] == [type(SILENT)]


def test_lanes_that_nobody_watches_have_no_health() -> None:
    assert NOBODY.health("scripted") is None
