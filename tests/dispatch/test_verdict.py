"""Doubt ends by proof: what proves, and what only looks like it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dispatch.verdict import (
    ASK_EVERY_NS,
    SECOND_NS,
    AtBroker,
    DoubtRecord,
    NeverReceived,
    StillInDoubt,
    Verdict,
    judge,
)
from app.domain.capabilities import Capabilities
from app.domain.messages import Absent, Found, Lookup, Unknown
from app.domain.values import Status

SENT = 100 * SECOND_NS
SETTLES = SENT + 10 * SECOND_NS
DOUBT = DoubtRecord(SENT)
TWICE = Capabilities(visibility_window_s=10.0, unknown_answers_required=2)
FOUND = Found("b-1", Status.NEW)


def judged(
    answers: list[tuple[int, Lookup]], capabilities: Capabilities = TWICE
) -> tuple[DoubtRecord, Verdict]:
    doubt, verdict = DOUBT, StillInDoubt("", 0)
    for asked, lookup in answers:
        doubt, verdict = judge(doubt, lookup, asked, capabilities)  # type: ignore[assignment]
    return doubt, verdict


def test_an_order_that_the_broker_shows_is_there() -> None:
    assert judged([(SENT + 1, FOUND)]) == (DOUBT, AtBroker(FOUND))


def test_absence_is_proved_by_enough_answers_the_last_after_the_window() -> None:
    assert judged([(SENT + 1, Absent()), (SETTLES, Absent())])[1] == NeverReceived()


def test_not_found_before_visibility_window() -> None:
    many = [(SENT + second * SECOND_NS, Absent()) for second in range(1, 10)]
    doubt, verdict = judged([*many, (SETTLES - 1, Absent())])

    assert isinstance(verdict, StillInDoubt)
    assert doubt.absent_answers == 10


def test_one_answer_after_the_window_is_not_yet_two() -> None:
    _, verdict = judged([(SETTLES + 5, Absent())])

    assert verdict == StillInDoubt("absent 1 of 2 times", SETTLES + 5 + ASK_EVERY_NS)


def test_dns_error_is_not_negative() -> None:
    failures = [(SETTLES + second, Unknown("dns")) for second in range(50)]
    doubt, verdict = judged([*failures, (SETTLES + 60, Absent()), (SETTLES + 61, Unknown("dns"))])

    assert doubt.absent_answers == 1
    assert isinstance(verdict, StillInDoubt)
    assert verdict.why == "the look-up failed: dns"


def test_a_question_asked_before_the_last_send_does_not_count() -> None:
    for asked in (SENT - 1, SENT):
        doubt, verdict = judged([(asked, Absent()), (SETTLES, Absent())])

        assert doubt.absent_answers == 1
        assert isinstance(verdict, StillInDoubt)


@pytest.mark.parametrize("lookup", [Absent(), FOUND, Unknown("timeout")])
def test_a_broker_that_cannot_be_asked_by_key_leaves_it_to_an_operator(lookup: Lookup) -> None:
    blind = Capabilities(query_by_key=False, unknown_answers_required=1)
    _, verdict = judged([(SETTLES + 1, lookup), (SETTLES + 2, lookup)], blind)

    assert isinstance(verdict, StillInDoubt)
    assert verdict.ask_again_ns is None
    assert "an operator must" in verdict.why


def test_no_setting_makes_absence_provable_without_an_answer() -> None:
    none = Capabilities(unknown_answers_required=0, visibility_window_s=0.0)

    assert isinstance(judged([(SETTLES, Unknown("timeout"))], none)[1], StillInDoubt)
    assert judged([(SENT + 1, Absent())], none)[1] == NeverReceived()


def test_it_is_asked_again_each_second_and_at_the_instant_that_can_prove() -> None:
    early = judged([(SENT + SECOND_NS, Absent())])[1]
    late = judged([(SETTLES - SECOND_NS // 2, Unknown("timeout"))])[1]

    assert isinstance(early, StillInDoubt)
    assert isinstance(late, StillInDoubt)
    assert early.ask_again_ns == SENT + SECOND_NS + ASK_EVERY_NS
    assert late.ask_again_ns == SETTLES


ANSWERS = st.lists(
    st.tuples(
        st.integers(SENT - 2 * SECOND_NS, SETTLES + 3 * SECOND_NS),
        st.sampled_from([Absent(), Unknown("timeout")]),
    ),
    max_size=8,
)


@given(ANSWERS, st.integers(1, 4))
def test_never_received_has_all_of_its_proof(
    answers: list[tuple[int, Lookup]], required: int
) -> None:
    answers.sort(key=lambda item: item[0])
    capabilities = Capabilities(visibility_window_s=10.0, unknown_answers_required=required)
    doubt = DOUBT
    for place, (asked, lookup) in enumerate(answers):
        doubt, verdict = judge(doubt, lookup, asked, capabilities)
        absent = [at for at, it in answers[: place + 1] if it == Absent() and at > SENT]
        proved = lookup == Absent() and asked >= SETTLES and len(absent) >= required

        assert (verdict == NeverReceived()) is proved
        assert doubt.last_sent_ns == SENT
