"""The FIX brokers, as tests get them: what they answer, lose, remember and report unasked."""

import asyncio

import pytest

from tests.eventually import eventually
from tests.servers.fix import Acceptor, Client
from tests.servers.fix_raw import RawClient, a_cancel, an_order


@pytest.fixture
def client(acceptor: Acceptor) -> Client:
    return acceptor.client()


def kinds(client: Client) -> list[str]:
    return [line["exec_type"] for line in client.audit("executed")]


def test_it_takes_an_order_and_writes_down_what_came_and_what_it_did(client: Client) -> None:
    client.set(fills="full")
    with RawClient(client) as raw:
        raw.logon()
        raw.send("D", an_order("k-1"))
        new, fill = raw.expect("8"), raw.expect("8")

    (received,) = client.audit("received")
    assert (new[150], new[39], new[11], new[151]) == ("0", "0", "k-1", "10")
    assert (fill[150], fill[39], fill[32], fill[31], fill[14]) == ("F", "2", "10", "12.5", "10")
    assert new[17] != fill[17]
    assert received["name"] == "k-1"
    assert (received["number"], received["poss_dup"], received["booked"]) == ("2", "N", "Y")
    assert [line["exec_id"] for line in client.audit("executed")] == [new[17], fill[17]]


def test_a_second_copy_is_refused_and_counted(client: Client) -> None:
    with RawClient(client) as raw:
        raw.logon()
        raw.send("D", an_order("k-1"))
        raw.expect("8")
        raw.send("D", an_order("k-1"))
        copy = raw.expect("8")
        raw.send("D", {**an_order("k-1"), 97: "Y"})
        repeat = raw.expect("8")

    assert (copy[150], copy[39], copy[103]) == ("8", "8", "6")
    assert (repeat[150], repeat[39]) == ("I", "0")
    assert [line["booked"] for line in client.audit("received")] == ["Y", "N", "N"]


def test_cancels_and_replaces_win_or_come_too_late(client: Client) -> None:
    client.set(fills="partial")
    with RawClient(client) as raw:
        raw.logon()
        raw.send("D", an_order("k-1"))
        raw.expect("8")
        raw.expect("8")
        raw.send("G", {**an_order("k-2", quantity="20", price="13"), 41: "k-1"})
        replaced = raw.expect("8")
        raw.send("G", {**an_order("k-3", quantity="5"), 41: "k-2"})
        below = raw.expect("9")
        raw.send("F", a_cancel("k-4", of="k-2"))
        canceled = raw.expect("8")
        raw.send("F", a_cancel("k-5", of="k-2"))
        late = raw.expect("9")
        raw.send("F", a_cancel("k-6", of="nobody"))
        unknown = raw.expect("9")

    assert (replaced[150], replaced[11], replaced[41]) == ("5", "k-2", "k-1")
    assert (replaced[38], replaced[151], replaced[39]) == ("20", "15", "1")
    assert (below[434], below[102]) == ("2", "0")
    assert (canceled[150], canceled[39], canceled[11], canceled[41]) == ("4", "4", "k-4", "k-2")
    assert (late[434], late[102], late[39]) == ("1", "0", "4")
    assert (unknown[102], unknown[37]) == ("1", "NONE")


def test_it_tells_where_an_order_stands_and_that_it_knows_none(client: Client) -> None:
    asked = {55: "AAPL", 54: "1"}
    with RawClient(client) as raw:
        raw.logon()
        raw.send("AF", {584: "m-1", 585: "7"})
        none = raw.expect("8")
        raw.send("D", an_order("k-1"))
        raw.send("D", an_order("k-2"))
        raw.expect("8")
        raw.expect("8")
        raw.send("H", {11: "k-1", 790: "q-1", **asked})
        known = raw.expect("8")
        raw.send("H", {11: "k-9", **asked})
        unknown = raw.expect("8")
        raw.send("AF", {584: "m-2", 585: "7"})
        both = [raw.expect("8"), raw.expect("8")]

    assert (none[39], none[103], none[911], none[912]) == ("8", "5", "0", "Y")
    assert (known[150], known[39], known[790]) == ("I", "0", "q-1")
    assert (unknown[150], unknown[39], unknown[103], unknown[11]) == ("I", "8", "5", "k-9")
    assert [(one[11], one[911], one[912]) for one in both] == [("k-1", "2", "N"), ("k-2", "2", "Y")]
    assert kinds(client) == ["0", "0"]


def test_it_reports_what_nobody_asked_for(client: Client) -> None:
    with RawClient(client) as raw:
        raw.logon()
        raw.send("D", an_order("k-1"))
        raw.expect("8")
        client.does("fill", name="k-1", quantity="4", price="12")
        fill = raw.expect("8")
        client.does("correct", exec_id=fill[17], quantity="3", price="11")
        corrected = raw.expect("8")
        client.does("bust", exec_id=corrected[17])
        busted = raw.expect("8")
        client.does("cancel_all")
        canceled = raw.expect("8")
        raw.send("E", {66: "l-1", 394: "3", 68: "0"})
        unsupported = raw.next()

    assert (fill[150], fill[39], fill[14]) == ("F", "1", "4")
    assert (corrected[150], corrected[19], corrected[14]) == ("G", fill[17], "3")
    assert (busted[150], busted[19], busted[14], busted[39]) == ("H", corrected[17], "0", "0")
    assert (canceled[150], canceled[39]) == ("4", "4")
    assert unsupported[35] in {"3", "j"}  # one that reads a dictionary refuses it itself


def test_mute_it_takes_and_says_nothing_and_it_loses_the_answers_it_is_told_to(
    client: Client,
) -> None:
    with RawClient(client) as raw:
        raw.logon()
        client.set(mute="Y")
        raw.send("D", an_order("k-1"))
        asyncio.run(eventually(lambda: client.state()["received"] == 1))
        client.set(mute="N", drop=1)
        raw.send("D", an_order("k-2"))
        raw.send("D", an_order("k-3"))
        heard = raw.expect("8")

    assert heard[11] == "k-3"
    assert heard[34] == "2"  # what was kept back has no number, so nobody asks for it
    assert kinds(client) == ["0", "0", "0"]


def test_it_loses_an_order_that_came_in_and_denies_it(client: Client) -> None:
    client.set(lose=1)
    with RawClient(client) as raw:
        raw.logon()
        raw.send("D", an_order("k-1"))
        raw.send("H", {11: "k-1", 55: "AAPL", 54: "1"})
        denied = raw.expect("8")

    assert (denied[39], denied[103]) == ("8", "5")
    assert [line["booked"] for line in client.audit("received")] == ["N"]


@pytest.mark.parametrize("booked", [True, False])
def test_killed_inside_an_order_it_asks_for_it_again_and_says_what_it_knows(
    acceptor: Acceptor, client: Client, *, booked: bool
) -> None:
    acceptor.needs("kill")
    with RawClient(client) as raw:
        raw.logon()
        raw.send("D", an_order("k-1"))
        raw.expect("8")
        client.die(booked=booked)
        lost = raw.send("D", an_order("k-2"))
        assert raw.ended()
    acceptor.revive()
    with RawClient(client, next_out=raw.next_out) as raw:
        raw.logon()
        again = raw.expect("2")
        raw.send("4", {123: "Y", 36: str(raw.next_out)}, number=lost, poss_dup=1)
        raw.send("H", {11: "k-2", 55: "AAPL", 54: "1"})
        state = raw.expect("8")

    assert again[7] == str(lost)
    assert state[39] == ("0" if booked else "8")
    assert [line["booked"] for line in client.audit("received")] == ["Y", "Y" if booked else "N"]


def test_it_logs_out_disconnects_and_sets_its_numbers_on_command(client: Client) -> None:
    with RawClient(client) as raw:
        raw.logon()
        assert client.state()["logged_on"]
        client.logout("closing")
        assert raw.expect("5")[58] == "closing"
        raw.send("5", {})
        assert raw.ended()
    client.logon()
    client.numbers(next_in=9, next_out=7)
    with RawClient(client, next_out=9) as raw:
        assert raw.logon()[34] == "7"
        client.disconnect()
        assert raw.ended()

    state = client.state()
    assert (state["logged_on"], state["next_in"], state["next_out"]) == (False, 10, 8)


def test_a_number_too_low_ends_the_session(client: Client) -> None:
    client.numbers(next_in=5)
    with RawClient(client, next_out=2) as raw:
        raw.send("A", {98: "0", 108: "30"})
        told = raw.expect("5")
        assert raw.ended()

    assert "expecting 5" in told[58]
    assert client.audit("received") == []


def test_its_clients_share_nothing(acceptor: Acceptor) -> None:
    one, other = acceptor.client(), acceptor.client()
    with RawClient(one) as first, RawClient(other) as second:
        first.logon()
        second.logon()
        first.send("D", an_order("k-1"))
        second.send("D", an_order("k-1"))

        assert first.expect("8")[39] == second.expect("8")[39] == "0"
    assert len(one.audit("received")) == len(other.audit("received")) == 1
