"""What shows that a broker never got a number of ours, and everything that does not.

An order in doubt may go elsewhere on this proof (and on the broker's own "unknown order"), so
each of these laws stands between a lost answer and a double order.
"""

import pytest

from app.brokers.fix.commands import Advance, Command, Disconnect, Fill, Lacking, LoggedOn
from tests.brokers.fix.peer import LOGON, US, Peer, types


def proofs(commands: list[Command]) -> list[Lacking]:
    return [command for command in commands if isinstance(command, Lacking)]


def test_who_asks_first_thing_takes_the_gap_and_answers_lacked_what_it_asked_for() -> None:
    peer = Peer(next_out=9)
    peer.says("A", *LOGON)
    assert peer.says("2", (7, "6"), (16, "0"))[0] == Fill(6, None)

    assert peer.answers() == [Advance(4), Lacking(6, 8), LoggedOn()]


def test_our_logon_and_what_follows_it_is_never_shown_lacking() -> None:
    peer = Peer(next_out=9)
    peer.says("A", *LOGON)
    peer.says("2", (7, "9"), (16, "0"))

    assert proofs(peer.answers()) == []
    assert peer.session.may_send


def test_asking_alone_proves_nothing_before_the_test_is_answered() -> None:
    peer = Peer(next_out=9)
    peer.says("A", *LOGON)

    assert proofs(peer.says("2", (7, "6"), (16, "0"))) == []
    assert not peer.session.may_send


def test_an_answer_to_the_test_before_the_gap_fill_proves_nothing() -> None:
    peer = Peer(next_out=9)
    peer.says("A", *LOGON)
    before = peer.test_id
    peer.says("2", (7, "6"), (16, "0"))

    assert proofs(peer.says("0", (112, before))) == []
    assert not peer.session.may_send


def test_who_asks_again_is_filled_again_and_tested_again() -> None:
    peer = Peer(next_out=9)
    peer.says("A", *LOGON)
    peer.says("2", (7, "6"), (16, "7"))
    before = peer.test_id
    assert peer.last[0] == Fill(6, 8)
    assert peer.says("2", (7, "8"), (16, "9"))[0] == Fill(8, 10)

    assert proofs(peer.says("0", (112, before))) == []
    peer.says("2", (7, "10"), (16, "0"))
    assert proofs(peer.answers()) == [Lacking(6, 8)]


def test_who_never_asks_has_everything() -> None:
    peer = Peer(next_out=9)
    peer.says("A", *LOGON)

    assert proofs(peer.answers()) == []
    assert peer.session.may_send


def test_asking_in_mid_connection_proves_nothing() -> None:
    """The peer may keep later messages in hand while it asks for one that was garbled."""
    peer = Peer(next_out=9).logged_on()
    commands = peer.says("2", (7, "6"), (16, "0"))
    assert commands[0] == Fill(6, None)
    assert types(commands) == ""

    assert proofs(peer.says("0", (112, "anything"))) == []


def test_a_connection_that_breaks_before_the_answer_proves_nothing() -> None:
    peer = Peer(next_out=9)
    peer.says("A", *LOGON)
    peer.says("2", (7, "6"), (16, "0"))
    old = peer.test_id
    peer.session.lost(peer.at)
    peer.steady_ms += 1_000
    peer.last = peer.carried_out(peer.session.connected(peer.at, peer.next_out, peer.next_in))
    peer.says("A", *LOGON)
    new = peer.test_id

    assert proofs(peer.says("0", (112, old))) == []
    assert peer.says("0", (112, new))[-1] == LoggedOn()
    assert proofs(peer.last) == []


def test_the_answer_counts_even_while_something_of_theirs_is_missing() -> None:
    peer = Peer(next_out=9, next_in=2)
    peer.says("A", *LOGON, number=5)
    peer.says("2", (7, "6"), (16, "0"), number=6)
    peer.says("0", (112, peer.test_id), number=7)
    assert not peer.session.may_send

    assert peer.repeats("4", (123, "Y"), (36, "8"), number=2) == [
        Advance(8),
        Lacking(6, 8),
        LoggedOn(),
    ]


def test_asking_after_the_answer_proves_nothing_though_the_session_is_not_up_yet() -> None:
    peer = Peer(next_out=9, next_in=2)
    peer.says("A", *LOGON, number=5)
    peer.says("0", (112, peer.test_id), number=6)
    assert peer.says("2", (7, "6"), (16, "0"), number=7)[0] == Fill(6, None)

    assert peer.repeats("4", (123, "Y"), (36, "8"), number=2) == [Advance(8), LoggedOn()]


def test_a_logon_that_says_what_it_expects_is_filled_at_once_and_is_proof_as_well() -> None:
    peer = Peer(US._replace(next_expected=True), 9, 1)
    commands = peer.says("A", *LOGON, (789, "6"))
    assert Fill(6, None) in commands

    assert proofs(peer.answers()) == [Lacking(6, 8)]


def test_a_logon_that_expects_the_next_number_lacks_nothing() -> None:
    peer = Peer(US._replace(next_expected=True), 9, 1)
    commands = peer.says("A", *LOGON, (789, "10"))
    assert not [command for command in commands if isinstance(command, Fill)]

    assert proofs(peer.answers()) == []


def test_a_logon_that_expects_more_than_was_sent_ends_the_session() -> None:
    peer = Peer(US._replace(next_expected=True), 9, 1)

    assert isinstance(peer.says("A", *LOGON, (789, "11"))[-1], Disconnect)


def test_who_was_told_what_we_expect_is_asked_only_if_nothing_comes() -> None:
    peer = Peer(US._replace(next_expected=True), 9, 3)
    assert types(peer.says("A", *LOGON, (789, "10"), number=7)) == "1"
    peer.says("0", (112, peer.test_id), number=8)
    assert not peer.session.may_send

    assert types(peer.waits(36)) == "2 1"


@pytest.mark.parametrize("number", [1, 8])
def test_a_new_numbering_shows_nothing_lacking(number: int) -> None:
    peer = Peer(next_out=number, next_in=9).logged_on()
    peer.says("A", *LOGON, (141, "Y"), number=1)
    peer.number = 2

    assert proofs(peer.answers()) == []
    assert peer.session.may_send
