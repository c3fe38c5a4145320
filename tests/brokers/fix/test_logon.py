"""The first message of a connection: what a good Logon is, and that nothing else will do."""

from typing import Final

import pytest

from app.brokers.fix.commands import (
    Advance,
    Alarm,
    Disconnect,
    Garbled,
    LoggedOn,
    ResetNumbers,
    Send,
)
from app.brokers.fix.stamps import written
from tests.brokers.fix.peer import LOGON, NOW, REPORT, US, Peer, sends, types

MINUTE_MS: Final = 60_000


def test_a_logon_is_answered_and_tested_before_an_order_may_leave() -> None:
    peer = Peer()
    assert peer.last == [Send("A", LOGON)]

    assert types(peer.says("A", *LOGON)) == "1"
    assert not peer.session.may_send

    assert peer.answers() == [Advance(3), LoggedOn()]
    assert peer.session.may_send


def test_the_logon_says_what_the_contract_asks_for() -> None:
    peer = Peer(US._replace(username="u", password="p", next_expected=True), 5, 9)

    (logon,) = sends(peer.last)
    assert logon.fields == (*LOGON, (789, "9"), (553, "u"), (554, "p"))


def test_another_ones_heartbeat_does_not_answer_the_test() -> None:
    peer = Peer()
    peer.says("A", *LOGON)
    peer.says("0", (112, "another"))
    peer.says("0")

    assert not peer.session.may_send


def test_a_logon_from_ahead_is_taken_and_the_gap_asked_for() -> None:
    peer = Peer(next_in=3)
    commands = peer.says("A", *LOGON, number=7)
    assert types(commands) == "2 1"
    assert sends(commands)[0].fields == ((7, "3"), (16, "0"))
    assert peer.next_in == 3

    peer.number = 8
    peer.answers()
    assert not peer.session.may_send  # their reports of the night come before our orders

    peer.repeats("8", *REPORT, number=3)
    peer.repeats("4", (123, "Y"), (36, "9"), number=4)
    assert peer.last == [Advance(9), LoggedOn()]


A_BAD_LOGON: Final = {
    "another sender": {"sender": "SOUTH"},
    "another target": {"target": "SOMEBODY"},
    "an old clock": {"sent": written(NOW - 3 * MINUTE_MS)},
    "no time": {"sent": "yesterday"},
    "another begin string": {"begin": "FIX.4.2"},
}


@pytest.mark.parametrize("header", A_BAD_LOGON.values(), ids=A_BAD_LOGON)
def test_a_logon_that_is_none_ends_the_connection(header: dict[str, str]) -> None:
    peer = Peer()
    commands = peer.says("A", *LOGON, header=header)

    assert [type(command) for command in commands] == [Alarm, Disconnect]
    assert peer.says("A", *LOGON) == []  # nothing is heard after it


@pytest.mark.parametrize(
    ("type_", "fields"),
    [
        ("0", ()),
        ("8", REPORT),
        ("5", ((58, "wrong password"),)),
        ("3", ((45, "1"),)),
        ("A", ((98, "0"),)),
        ("A", ((98, "1"), (108, "30"))),
        ("A", ((98, "0"), (108, "0"))),
        ("A", ((98, "0"), (108, "-30"))),
        ("A", ((98, "0"), (108, "9" * 9))),
    ],
)
def test_nothing_but_a_good_logon_may_come_first(
    type_: str, fields: tuple[tuple[int, str], ...]
) -> None:
    peer = Peer()
    commands = peer.says(type_, *fields)

    assert [type(c) for c in commands if not isinstance(c, Advance)] == [Alarm, Disconnect]


def test_a_refused_logon_says_why() -> None:
    commands = Peer().says("5", (58, "wrong password"))

    assert Disconnect("the broker refused the logon: wrong password") in commands
    assert Advance(2) in commands


def test_a_garbled_first_message_ends_the_connection() -> None:
    assert isinstance(Peer().hears(Garbled("the checksum is wrong", b"8="))[-1], Disconnect)


def test_a_logon_that_is_not_answered_ends_the_connection() -> None:
    peer = Peer()
    assert peer.waits(9) == []

    assert peer.waits(1) == [Disconnect("the logon was not answered")]


def test_the_interval_of_the_brokers_logon_is_the_one_that_holds() -> None:
    peer = Peer()
    peer.says("A", (98, "0"), (108, "5"))
    peer.answers()

    assert types(peer.waits(5)) == "0"


def test_a_logon_from_behind_ends_the_session_and_a_person_hears_of_it() -> None:
    peer = Peer(next_in=9)
    commands = peer.says("A", *LOGON, number=4)

    words = "MsgSeqNum too low, expecting 9 but received 4"
    assert commands == [Send("5", ((58, words),)), Alarm(words), Disconnect(words)]


def test_a_new_numbering_that_nobody_asked_for_is_a_persons_business() -> None:
    commands = Peer(next_out=5).says("A", *LOGON, (141, "Y"))

    assert not [c for c in commands if isinstance(c, ResetNumbers)]
    assert isinstance(commands[-1], Disconnect)


def test_where_every_logon_begins_anew_the_numbers_do_before_it_leaves() -> None:
    peer = Peer(US._replace(reset_on_logon=True), 57, 40)
    assert peer.last[0] == ResetNumbers("every logon begins a new numbering")
    assert sends(peer.last)[0].fields == (*LOGON, (141, "Y"))

    peer.number = 1
    assert Advance(2) in peer.says("A", *LOGON, (141, "Y"))


def test_a_broker_that_does_not_begin_anew_with_us_is_left() -> None:
    peer = Peer(US._replace(reset_on_logon=True), 57, 40)

    assert isinstance(peer.says("A", *LOGON, number=41)[-1], Disconnect)


def test_a_second_logon_ends_the_session() -> None:
    assert isinstance(Peer().logged_on().says("A", *LOGON)[-1], Disconnect)
