"""The session after its logon: numbers, strangers, silence, gaps and goodbyes, law by law."""

import pytest

from app.brokers.fix.commands import (
    Advance,
    Alarm,
    Deliver,
    Disconnect,
    Fill,
    Garbled,
    Lacking,
    LoggedOn,
    Message,
    ResetNumbers,
    Send,
)
from app.brokers.fix.stamps import written
from tests.brokers.fix.peer import (
    LOGON,
    NOW,
    REPORT,
    THEM,
    Peer,
    raw,
    read,
    sends,
    types,
    written_by,
)

# --- numbers ----------------------------------------------------------------------------------


def test_a_report_is_delivered_before_the_number_moves() -> None:
    peer = Peer().logged_on()
    message = peer.a_message("8", *REPORT)
    assert isinstance(message, Message)

    assert peer.hears(message) == [Deliver(message), Advance(4)]


def test_a_gap_is_asked_for_once_and_what_came_early_is_thrown_away() -> None:
    peer = Peer().logged_on()
    commands = peer.says("8", *REPORT, number=7)
    assert commands == [Send("2", ((7, "3"), (16, "0")))]
    assert not peer.session.may_send
    assert peer.says("8", *REPORT, number=8) == []

    for number in range(3, 9):
        delivered, advanced = peer.repeats("8", *REPORT, number=number)
        assert isinstance(delivered, Deliver)
        assert advanced == Advance(number + 1)
    assert peer.session.may_send


def test_a_gap_that_nobody_fills_is_asked_for_again_and_then_ends_the_session() -> None:
    peer = Peer().logged_on()
    peer.says("0", number=7)
    asked = []
    for turn in range(3):
        peer.waits(18)
        peer.says("0", number=8 + turn)
        asked.append(types(peer.waits(18)))

    assert asked == ["2", "2", "5"]
    assert isinstance(peer.last[-1], Disconnect)


def test_a_number_too_low_ends_the_session() -> None:
    commands = Peer().logged_on().says("0", number=1)

    words = "MsgSeqNum too low, expecting 3 but received 1"
    assert commands == [Send("5", ((58, words),)), Alarm(words), Disconnect(words)]


def test_a_message_without_a_number_ends_the_session() -> None:
    peer = Peer().logged_on()
    message = read(raw((35, "0"), (34, "x"), (49, "NORTH"), (56, "OPENBELL"), (52, written(NOW))))

    assert types(peer.hears(message)) == "5"
    assert isinstance(peer.last[-1], Disconnect)


def test_what_is_garbled_moves_no_number() -> None:
    peer = Peer().logged_on()

    commands = peer.hears(Garbled("the checksum is wrong", b"8=FIX.4.4"))
    assert commands == [Alarm("garbled: the checksum is wrong")]
    assert peer.says("0") == [Advance(4)]


def test_a_line_of_nothing_but_noise_is_given_up() -> None:
    peer = Peer().logged_on()
    for _ in range(9):
        assert not sends(peer.hears(Garbled("noise", b"")))

    assert isinstance(peer.hears(Garbled("noise", b""))[-1], Disconnect)


def test_one_whole_message_makes_up_for_the_noise_before_it() -> None:
    peer = Peer().logged_on()
    for _ in range(3):
        for _ in range(9):
            peer.hears(Garbled("noise", b""))
        peer.says("0")

    assert peer.session.may_send


def test_a_possible_duplicate_is_taken_in_its_turn_and_never_twice() -> None:
    peer = Peer().logged_on()
    delivered, advanced = peer.repeats("8", *REPORT, number=3)

    assert isinstance(delivered, Deliver)
    assert delivered.message.possible_duplicate
    assert advanced == Advance(4)
    assert peer.repeats("8", *REPORT, number=3) == []
    assert peer.repeats("0", number=1) == []


def test_a_duplicate_sent_before_it_was_first_sent_ends_it() -> None:
    peer = Peer().logged_on()
    commands = peer.repeats("8", *REPORT, number=2, first=NOW + 10_000)

    assert types(commands) == "3 5"
    assert dict(sends(commands)[0].fields)[373] == "10"
    assert peer.next_in == 3


def test_a_duplicate_without_its_first_sending_time_is_rejected() -> None:
    peer = Peer().logged_on()
    (reject,) = sends(peer.says("8", (43, "Y"), *REPORT, number=2))

    fields = dict(reject.fields)
    assert (fields[45], fields[371], fields[373]) == ("2", "122", "1")
    assert peer.next_in == 3
    assert peer.session.may_send


def test_a_possible_resend_is_the_applications_business() -> None:
    peer = Peer().logged_on()
    delivered, advanced = peer.says("8", (97, "Y"), *REPORT)

    assert isinstance(delivered, Deliver)
    assert advanced == Advance(4)


def test_fields_may_come_in_any_order() -> None:
    peer = Peer().logged_on()
    stamp = written(NOW)
    message = read(
        raw((35, "8"), (17, "E1"), (52, stamp), (56, "OPENBELL"), (34, "3"), (49, "NORTH"))
    )

    assert [type(command) for command in peer.hears(message)] == [Deliver, Advance]


# --- who, when and what -----------------------------------------------------------------------


def test_another_begin_string_ends_the_session() -> None:
    peer = Peer().logged_on()

    assert peer.says("1", (112, "T"), header={"begin": "FIX.4.2"}) == [
        Send("5", ((58, "Incorrect BeginString"),))
    ]
    assert not peer.session.may_send
    assert isinstance(peer.says("5", number=3)[-1], Disconnect)


@pytest.mark.parametrize("header", [{"sender": "SOUTH"}, {"target": "SOMEBODY"}])
def test_a_stranger_is_rejected_and_logged_out(header: dict[str, str]) -> None:
    peer = Peer().logged_on()
    commands = peer.says("8", *REPORT, header=header)

    assert types(commands) == "3 5"
    assert dict(sends(commands)[0].fields)[373] == "9"
    assert not [c for c in commands if isinstance(c, Deliver)]


@pytest.mark.parametrize("off_ms", [-121_000, 121_000])
def test_a_clock_that_is_two_minutes_off_is_rejected_and_logged_out(off_ms: int) -> None:
    commands = Peer().logged_on().says("0", header={"sent": written(NOW + off_ms)})

    assert types(commands) == "3 5"
    assert dict(sends(commands)[0].fields)[373] == "10"


def test_a_fill_that_waited_while_we_were_stopped_is_asked_for_again() -> None:
    peer = Peer().logged_on()
    stale = peer.at.wall_ms
    peer.steady_ms += 130_000
    for number in (3, 4):  # the second one comes while we log out
        commands = peer.says("8", *REPORT, number=number, header={"sent": written(stale)})
        assert not [c for c in commands if isinstance(c, Deliver | Advance)]
    assert isinstance(commands[-1], Disconnect)

    peer.session.connected(peer.at, 6, peer.next_in)
    assert Send("2", ((7, "3"), (16, "0"))) in peer.says("A", *LOGON, number=5)
    peer.repeats("8", *REPORT, number=3, first=stale)
    assert isinstance(peer.last[0], Deliver)


def test_a_clock_that_is_a_little_off_is_nobodys_business() -> None:
    assert Peer().logged_on().says("0", header={"sent": written(NOW - 119_000)}) == [Advance(4)]


def test_a_type_that_fix_does_not_know_is_rejected() -> None:
    peer = Peer().logged_on()
    (reject,) = sends(peer.says("*"))

    fields = dict(reject.fields)
    assert (fields[45], fields[372], fields[373]) == ("3", "*", "11")
    assert peer.next_in == 4


@pytest.mark.parametrize("type_", ["D", "B", "UX"])
def test_a_type_that_nobody_here_reads_is_answered_as_unsupported(type_: str) -> None:
    peer = Peer().logged_on()
    (answer,) = sends(peer.says(type_, (11, "x")))

    fields = dict(answer.fields)
    assert (answer.type, fields[45], fields[372], fields[380]) == ("j", "3", type_, "3")
    assert peer.next_in == 4


@pytest.mark.parametrize(
    ("type_", "fields", "reason", "tag"),
    [
        ("0", (("0", "HI"),), "0", "0"),
        ("0", (("-1", "HI"),), "0", "-1"),
        ("8", ((31, ""), *REPORT), "4", "31"),
        ("1", ((58, ""), (112, "T")), "4", "58"),
        ("1", (), "1", "112"),
        ("2", ((7, "1"),), "1", "16"),
        ("2", ((7, "x"), (16, "0")), "6", "7"),
        ("2", ((7, "0"), (16, "0")), "5", "7"),
        ("2", ((7, "2"), (16, "1")), "5", "16"),
        ("4", ((123, "Y"),), "1", "36"),
        ("4", ((123, "Y"), (36, "many")), "6", "36"),
        ("4", ((123, "Y"), (36, "3")), "5", "36"),
        ("8", ((43, "yes"), *REPORT), "6", "43"),
        ("8", ((122, "noon"), *REPORT), "6", "122"),
        ("8", ((34, "3"), *REPORT), "13", "34"),
    ],
)
def test_a_faulty_message_is_rejected_by_number_tag_and_reason(
    type_: str, fields: tuple[tuple[int | str, str], ...], reason: str, tag: str
) -> None:
    peer = Peer(next_out=5).logged_on()
    commands = peer.says(type_, *fields)

    (reject,) = sends(commands)
    said = dict(reject.fields)
    assert (reject.type, said[45], said[372]) == ("3", "3", type_)
    assert (said[373], said[371]) == (reason, tag)
    # A report is not said again: whoever reads them hears that this one is not to be read.
    heard = [c.message.fault is not None for c in commands if isinstance(c, Deliver)]
    assert heard == [True] * (type_ == "8")
    assert commands.index(Advance(4)) == len(commands) - 1
    assert peer.next_in == 4


def test_a_missing_comp_id_is_a_missing_tag() -> None:
    peer = Peer().logged_on()
    message = read(raw((35, "0"), (34, "3"), (49, "NORTH"), (52, written(NOW))))

    fields = dict(sends(peer.hears(message))[0].fields)
    assert (fields[371], fields[373]) == ("56", "1")


def test_a_reject_is_never_rejected() -> None:
    peer = Peer().logged_on()

    assert types(peer.says("3", (45, "x"))) == ""
    assert peer.next_in == 4


def test_a_reject_is_delivered_and_moves_the_number() -> None:
    peer = Peer().logged_on()
    commands = peer.says("3", (45, "2"), (58, "no such account"))

    assert [type(command) for command in commands] == [Deliver, Alarm, Advance]


def test_a_tag_that_nobody_here_knows_costs_no_fill() -> None:
    commands = Peer().logged_on().says("8", *REPORT, (9_999, "theirs"), (20_001, "theirs"))

    assert [type(command) for command in commands] == [Deliver, Advance]


@pytest.mark.parametrize("tag", [58, 15, 9_999])
def test_a_blank_that_nobody_here_reads_costs_no_fill(tag: int) -> None:
    commands = Peer().logged_on().says("8", (tag, ""), *REPORT)

    assert [type(command) for command in commands] == [Deliver, Advance]


# --- silence ----------------------------------------------------------------------------------


def test_our_silence_is_broken_by_a_heartbeat() -> None:
    peer = Peer().logged_on()
    assert peer.waits(29) == []
    peer.says("0")

    assert peer.waits(1) == [Send("0", ())]
    assert peer.waits(29) == []


def test_what_leaves_is_as_good_as_a_heartbeat() -> None:
    peer = Peer().logged_on()
    peer.waits(20)
    peer.session.wrote(peer.at, 4)
    peer.says("0")

    assert peer.waits(29) == []
    assert types(peer.waits(1)) == "0"


def test_a_test_request_is_answered_with_its_own_words() -> None:
    assert Peer().logged_on().says("1", (112, "HELLO")) == [
        Advance(4),
        Send("0", ((112, "HELLO"),)),
    ]


def test_their_silence_is_tested_and_then_ends_it() -> None:
    peer = Peer().logged_on()
    assert types(peer.waits(35)) == "0"
    assert types(peer.waits(1)) == "1"
    assert types(peer.waits(30)) == "0"

    assert peer.waits(6) == [Disconnect("silent for 72 s")]


def test_any_message_ends_their_silence() -> None:
    peer = Peer().logged_on()
    peer.waits(36)
    peer.says("8", *REPORT)

    assert types(peer.waits(35)) == "0"
    assert types(peer.waits(1)) == "1"


def test_a_step_of_the_wall_clock_is_no_silence() -> None:
    peer = Peer().logged_on()
    later = peer.at._replace(wall_ms=NOW + 3_600_000)

    assert peer.session.tick(later) == []


def test_a_broker_that_speaks_but_never_answers_the_test_is_left() -> None:
    peer = Peer()
    peer.says("A", *LOGON)
    sent = []
    for _ in range(3):
        peer.says("0")
        sent.append(types(peer.waits(36)))

    assert sent == ["1", "1", "5"]
    assert isinstance(peer.last[-1], Disconnect)


def test_a_broker_that_has_much_to_resend_is_given_the_time() -> None:
    peer = Peer(next_in=3)
    peer.says("A", *LOGON, number=900)
    for number in range(3, 23):
        peer.repeats("8", *REPORT, number=number)
        assert types(peer.waits(29)) in {"", "0"}

    peer.repeats("4", (123, "Y"), (36, "901"), number=23)
    peer.number = 901
    assert types(peer.waits(1)) == "1"
    assert peer.answers()[-1] == LoggedOn()


# --- resending --------------------------------------------------------------------------------


def test_nothing_is_ever_sent_again_every_number_asked_for_is_a_gap() -> None:
    peer = Peer(next_out=5).logged_on()
    for number in range(7, 10):
        peer.session.wrote(peer.at, number)  # orders

    assert peer.says("2", (7, "2"), (16, "4"))[0] == Fill(2, 5)
    assert peer.says("2", (7, "5"), (16, "0"))[0] == Fill(5, None)
    assert peer.says("2", (7, "7"), (16, "9"))[0] == Fill(7, None)
    assert peer.says("2", (7, "7"), (16, "999999"))[0] == Fill(7, None)
    assert types(peer.last) == ""
    assert peer.says("2", (7, "10"), (16, "0")) == [Advance(8)]


def test_a_request_beyond_what_was_ever_sent_ends_the_session() -> None:
    assert isinstance(Peer().logged_on().says("2", (7, "99"), (16, "0"))[-1], Disconnect)


def test_who_asks_for_the_same_for_ever_is_left() -> None:
    peer = Peer(next_out=5).logged_on()
    commands = [peer.says("2", (7, "2"), (16, "0")) for _ in range(10)]

    assert [isinstance(each[-1], Disconnect) for each in commands if each].count(True) == 1
    assert len([each for each in commands if each]) < 9


def test_a_gap_fill_moves_the_number_only_in_its_turn() -> None:
    peer = Peer().logged_on()
    assert peer.says("4", (123, "Y"), (36, "20"), number=3) == [Advance(20)]
    assert peer.repeats("4", (123, "Y"), (36, "30"), number=3) == []
    assert types(peer.says("4", (123, "Y"), (36, "60"), number=50)) == "2"
    assert peer.next_in == 20

    assert isinstance(peer.says("4", (123, "Y"), (36, "30"), number=3)[-1], Disconnect)


def test_a_sequence_reset_moves_forward_and_never_back() -> None:
    peer = Peer().logged_on()
    commands = peer.says("4", (36, "25"), number=0)
    assert commands[-1] == Advance(25)
    assert isinstance(commands[0], Alarm)  # what was skipped may have been fills

    assert peer.says("4", (36, "25"), (123, "N"), number=0) == []
    (reject,) = sends(peer.says("4", (36, "9"), number=0))
    assert dict(reject.fields)[373] == "5"
    assert peer.next_in == 25


def test_two_sides_that_lack_something_do_not_deadlock() -> None:
    peer = Peer(next_out=9, next_in=3)
    peer.says("A", *LOGON, number=7)
    commands = peer.says("2", (7, "4"), (16, "0"), number=8)

    assert commands[0] == Fill(4, None)
    assert types(commands) == "1"
    peer.number = 9
    peer.answers()
    peer.repeats("4", (123, "Y"), (36, "10"), number=3)
    assert peer.last == [Advance(10), Lacking(4, 8), LoggedOn()]


def test_what_is_resent_and_faulty_is_rejected_and_passed() -> None:
    peer = Peer().logged_on()
    peer.says("0", number=4)
    commands = peer.repeats("8", (31, ""), *REPORT, number=3)

    assert types(commands) == "3"
    assert peer.next_in == 4


def test_a_new_numbering_in_mid_session_is_followed_and_tested_again() -> None:
    peer = Peer(next_out=9, next_in=9).logged_on()
    commands = peer.says("A", *LOGON, (141, "Y"), number=1)

    kinds = [type(command) for command in commands]
    assert kinds == [Alarm, ResetNumbers, Send, Advance, Send]
    assert sends(commands)[0].fields == (*LOGON, (141, "Y"))
    assert commands[3] == Advance(2)
    assert not peer.session.may_send


def test_a_new_numbering_while_logging_out_is_too_late() -> None:
    peer = Peer().logged_on()
    peer.session.logout("the session is over", peer.at)
    commands = peer.says("A", *LOGON, (141, "Y"), number=1)

    assert not [command for command in commands if isinstance(command, ResetNumbers)]
    assert isinstance(commands[-1], Disconnect)


def test_an_answer_to_our_answer_begins_nothing_anew() -> None:
    """Some engines take our 141=Y for a request of ours, and answer it in turn."""
    peer = Peer(next_out=9, next_in=9).logged_on()
    peer.says("A", *LOGON, (141, "Y"), number=1)
    test_id = peer.test_id
    again = peer.says("A", *LOGON, (141, "Y"), number=1)

    assert [type(command) for command in again] == [Alarm]
    assert peer.says("0", (112, test_id), number=2) == [Advance(3), LoggedOn()]
    # It stands; whoever begins anew from here on is answered again.
    commands = peer.says("A", *LOGON, (141, "Y"), number=1)
    assert any(isinstance(command, ResetNumbers) for command in commands)


@pytest.mark.parametrize("between", [False, True])
def test_a_peer_that_begins_anew_for_ever_is_left(between: bool) -> None:  # noqa: FBT001 - a case
    peer = Peer(next_out=9, next_in=9).logged_on()
    peer.says("A", *LOGON, (141, "Y"), number=1)
    if between:  # then it is no answer to ours
        peer.says("0", number=2)
    else:
        peer.says("A", *LOGON, (141, "Y"), number=1)
    commands = peer.says("A", *LOGON, (141, "Y"), number=1)

    assert not [command for command in commands if isinstance(command, ResetNumbers)]
    assert commands[-1] == Disconnect("the broker keeps beginning a new numbering")


# --- goodbye ----------------------------------------------------------------------------------


def test_a_logout_is_answered_and_the_connection_closed() -> None:
    assert Peer().logged_on().says("5", (58, "good night")) == [
        Advance(4),
        Send("5", ()),
        Disconnect("the broker logged out: good night"),
    ]


def test_a_logout_from_ahead_is_answered_and_the_gap_stays_for_the_next_logon() -> None:
    peer = Peer().logged_on()
    commands = peer.says("5", number=9)

    assert types(commands) == "5"
    assert isinstance(commands[-1], Disconnect)
    assert peer.next_in == 3


def test_our_logout_takes_what_still_comes_until_it_is_answered() -> None:
    peer = Peer().logged_on()
    said = peer.session.logout("the session is over", peer.at)
    assert said == [Send("5", ((58, "the session is over"),))]
    assert not peer.session.may_send
    assert peer.session.logout("again", peer.at) == []

    assert isinstance(peer.says("8", *REPORT)[0], Deliver)
    assert peer.says("5")[-1] == Disconnect("the broker logged out: no reason given")
    assert peer.next_in == 5


def test_our_logout_does_not_wait_for_ever() -> None:
    peer = Peer().logged_on()
    peer.session.logout("the session is over", peer.at)
    peer.waits(9)

    assert peer.waits(1) == [Disconnect("the logout was not answered")]


def test_nothing_is_said_on_a_connection_that_is_gone() -> None:
    peer = Peer().logged_on()
    peer.session.lost(peer.at)

    assert peer.says("1", (112, "T")) == []
    assert peer.waits(3600) == []
    assert peer.session.logout("bye", peer.at) == []
    assert not peer.session.may_send


def test_the_next_connection_begins_where_the_ledger_stands() -> None:
    peer = Peer().logged_on()
    peer.session.lost(peer.at)
    peer.last = peer.carried_out(peer.session.connected(peer.at, peer.next_out, peer.next_in))

    assert types(peer.says("A", *LOGON)) == "1"
    assert peer.answers()[-1] == LoggedOn()


def test_what_a_gap_fill_looks_like_to_a_peer_is_what_we_obey_ourselves() -> None:
    peer = Peer().logged_on()
    fill = written_by(THEM, "4", 3, (123, "Y"), (36, "8"))

    assert peer.hears(read(fill)) == [Advance(8)]
