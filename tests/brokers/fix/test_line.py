"""What the line to a FIX broker promises, against an acceptor that shares no code with it."""

import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest

from app.brokers.fix.options import read_tls
from app.brokers.fix.outbox import Outbox, Post
from app.ports.sessions import Numbers, Outgoing, SessionOwner
from tests.brokers.fix.counterpart import Book, Counterpart
from tests.brokers.fix.stage import IDENTITY, Stage, running, staged
from tests.builders import a_report
from tests.contracts.record import KIM
from tests.eventually import eventually


def play(story: Callable[[Stage], Coroutine[Any, Any, None]], book: Book | None = None) -> None:
    async def whole() -> None:
        async with staged(book) as stage:
            await story(stage)

    asyncio.run(whole())


def sent(stage: Stage, count: int) -> bool:
    return len(stage.book.audit) == count


def test_orders_that_gather_leave_in_one_commit_under_numbers_in_order() -> None:
    async def story(stage: Stage) -> None:
        line = stage.line()
        async with running(line, stage.standing):
            posts = [stage.order(f"k-{n}") for n in range(50)]
            line.post(posts)
            await eventually(lambda: len(stage.book.audit) == 50)
            placed = await stage.sessions.placed(line.session_id, ["k-0", "k-49"])
            assert placed["k-49"].number - placed["k-0"].number == 49
            assert [a.key for a in stage.book.audit] == [f"k-{n}" for n in range(50)]
            assert [post.number for post in posts] == [a.number for a in stage.book.audit]
            assert (line.status().state, line.status().host) == (
                "logged_on",
                f"127.0.0.1:{stage.counterpart.port}",
            )
        # It said goodbye.
        assert b"5" in [m.get(35) for m in stage.counterpart.peers[0].received]

    play(story)


def test_numbers_go_on_where_they_stood() -> None:
    async def story(stage: Stage) -> None:
        for run in range(3):
            line = stage.line()
            async with running(line, stage.standing):
                line.post([stage.order(f"k-{run}")])
                await eventually(partial(sent, stage, run + 1))
        numbers = await stage.sessions.numbers(line.session_id)
        assert numbers is not None
        assert numbers.next_out == stage.book.next_in
        assert stage.book.keys() == ["k-0", "k-1", "k-2"]

    play(story)


def test_without_a_logon_nothing_is_taken() -> None:
    async def story(stage: Stage) -> None:
        line = stage.line()
        line.post([stage.order("before")])
        assert stage.lost == [("before", False, "not logged on: starting")]
        stage.book.logon_words = "password expired"
        async with running(line, stage.standing, up=False):
            await eventually(lambda: line.refusal)
            line.post([stage.order("refused")])
            assert stage.lost[1][:2] == ("refused", False)
            assert "password expired" in stage.lost[1][2]
            stage.book.logon_words = None
            await eventually(lambda: line.is_up)
            assert line.refusal is None
        assert stage.book.audit == []

    play(story)


def test_what_a_broker_says_instead_of_a_logon_can_be_stored_and_shown() -> None:
    async def story(stage: Stage) -> None:
        line = stage.line()
        async with running(line, stage.standing, up=False):
            await eventually(lambda: line.refusal)
            assert line.refusal is not None
            assert line.refusal.startswith("logon refused: \N{REPLACEMENT CHARACTER}locked ")
            assert len(line.refusal) < 200

    play(story, Book(logon_words="\0locked " + "x" * 5_000))


def test_what_was_on_the_line_when_it_broke_may_be_there_and_what_comes_later_is_not() -> None:
    async def story(stage: Stage) -> None:
        stage.book.script = ["drop"]
        line = stage.line(back_off_s_min=5, back_off_s_max=5)
        async with running(line, stage.standing):
            line.post([stage.order("a")])
            await eventually(lambda: stage.lost)
            line.post([stage.order("b")])
            assert [(key, written) for key, written, _ in stage.lost] == [("a", True), ("b", False)]
        assert stage.book.keys() == ["a"]

    play(story)


def test_a_number_that_the_broker_asks_for_again_is_filled_and_proved_lacking() -> None:
    async def story(stage: Stage) -> None:
        line = stage.line()
        owner = SessionOwner(line.session_id, "north", stage.owner.epoch)
        at = await stage.sessions.open(owner)
        # A process numbered these and died before a byte of them had left.
        await stage.sessions.append(owner, at, [Outgoing("D", "a", "[]"), Outgoing("D", "b", "[]")])
        async with running(line, stage.standing):
            placed = await eventually_lacked(stage, line.session_id, "a", "b")
            assert (placed["a"].lacked, placed["b"].lacked) == (True, True)
            line.post([stage.order("c")])
            await eventually(lambda: stage.book.keys() == ["c"])
            later = await stage.sessions.placed(line.session_id, ["c"])
            assert not later["c"].lacked

    play(story)


async def eventually_lacked(stage: Stage, session_id: str, *keys: str) -> Any:
    for _ in range(200):
        placed = await stage.sessions.placed(session_id, keys)
        if all(place.lacked for place in placed.values()):
            return placed
        await asyncio.sleep(0.01)
    raise AssertionError(placed)


def test_what_was_asked_for_is_noted_before_it_is_filled() -> None:
    """A broker that has taken the fill never asks again: the next logon would show nothing."""

    async def story(stage: Stage) -> None:
        line = stage.line()
        owner = SessionOwner(line.session_id, "north", stage.owner.epoch)
        at = await stage.sessions.open(owner)
        await stage.sessions.append(owner, at, [Outgoing("D", "a", "[]")])
        noted: list[int] = []
        lack = stage.sessions.lack

        async def watched(*numbers: Any) -> int:
            filled = [m for m in stage.counterpart.peers[0].received if m.get(35) == b"4"]
            noted.append(len(filled))
            return await lack(*numbers)

        stage.sessions.lack = watched  # type: ignore[assignment, method-assign]
        async with running(line, stage.standing):
            assert noted == [0]

    play(story)


def test_a_number_that_the_broker_took_is_never_lacking() -> None:
    async def story(stage: Stage) -> None:
        stage.book.script = ["swallow"]
        line = stage.line()
        async with running(line, stage.standing):
            line.post([stage.order("a")])
            await eventually(lambda: stage.book.keys() == ["a"])
            stage.counterpart.peer.close()
            await eventually(lambda: line.logons == 2)
            placed = await stage.sessions.placed(line.session_id, ["a"])
            assert not placed["a"].lacked
        assert stage.book.keys() == ["a"]

    play(story)


def test_what_nobody_waits_for_any_more_does_not_leave() -> None:
    async def story(stage: Stage) -> None:
        line = stage.line()
        async with running(line, stage.standing):
            kept, given_up = stage.order("kept"), stage.order("given up")
            line.post([given_up, kept])
            assert given_up.withdraw()
            await eventually(lambda: stage.book.keys() == ["kept"])
        assert not given_up.written

    play(story)


def test_what_is_given_up_between_number_and_write_is_a_gap_in_its_place() -> None:
    async def story(stage: Stage) -> None:
        line, append = stage.line(), stage.sessions.append
        given_up, kept = stage.order("given up"), stage.order("kept")

        async def watched(*batch: Any) -> Numbers:
            after = await append(*batch)
            given_up.withdraw()
            return after

        async with running(line, stage.standing):
            stage.sessions.append = watched  # type: ignore[assignment, method-assign]
            line.post([given_up, kept])
            await eventually(lambda: stage.book.keys() == ["kept"])
            placed = await stage.sessions.placed(line.session_id, ["given up", "kept"])
            # It has a number, which the broker took as a gap: nobody asks for it again.
            assert placed["given up"].number == placed["kept"].number - 1
            assert stage.book.next_in == placed["kept"].number + 1
            assert stage.lost == [("given up", False, "it could not leave in time")]

    play(story)


def test_a_halt_stops_what_a_gap_of_the_broker_s_has_held_back() -> None:
    async def story(stage: Stage) -> None:
        line = stage.line()
        async with running(line, stage.standing):
            stage.book.next_out += 1  # one is lost on the way, and the next one shows it
            stage.counterpart.peer.fills_gaps = False
            stage.counterpart.peer.send("0", [])
            asked = stage.counterpart.peer.received
            await eventually(lambda: any(message.get(35) == b"2" for message in asked))
            line.post([stage.order("held back"), stage.order("free")])
            stage.stopped["held back"] = "halted"
            stage.counterpart.peer.fill_gap(stage.book.next_out - 2)
            await eventually(lambda: stage.book.audit)
            assert stage.lost == [("held back", False, "halted")]
            assert stage.book.keys() == ["free"]

    play(story)


def test_a_lease_that_runs_out_between_number_and_write_lets_nothing_out() -> None:
    async def story(stage: Stage) -> None:
        line = stage.line()
        async with running(line, stage.standing):
            stage.owner.sure = False
            line.post([stage.order("a")])
            await eventually(lambda: stage.lost)
            assert stage.lost == [("a", False, "the session was lost")]
            stage.owner.sure = True
            await eventually(lambda: line.logons == 2)
            placed = await stage.sessions.placed(line.session_id, ["a"])
            assert placed["a"].lacked
            line.post([stage.order("b")])
            await eventually(lambda: stage.book.keys() == ["b"])

    play(story)


def test_who_lost_the_lease_sends_nothing_and_stands_by() -> None:
    async def story(stage: Stage) -> None:
        line = stage.line()
        async with running(line, stage.standing):
            await stage.ledger.take_lease("north", "another", 10_000)
            line.post([stage.order("a")])
            await eventually(lambda: stage.lost)
            stage.owner.epoch = 0
            await eventually(lambda: line.status().state == "standing_by")
            assert stage.lost[0][:2] == ("a", False)
        assert stage.book.audit == []

    play(story)


def test_a_stall_does_not_bunch_what_leaves_above_the_contract() -> None:
    async def story(stage: Stage) -> None:
        line = stage.line(per_second_max=20)
        async with running(line, stage.standing):
            line.post([stage.order(f"k-{n}") for n in range(45)])
            await eventually(lambda: len(stage.book.audit) == 45)
        at = [a.at for a in stage.book.audit]
        # At a broker on a busy machine a second is a little shorter than at our socket.
        assert max(sum(t <= u < t + 0.8 for u in at) for t in at) <= 20

    play(story)


def test_a_stall_does_not_bunch_what_leaves_above_the_operators_number() -> None:
    """A permit was spent for each, one by one; the commit of their numbers let all go at once."""

    async def story(stage: Stage) -> None:
        number: list[int | None] = [20]
        line = stage.line(per_second_max=1_000)
        standing = stage.standing._replace(per_second=lambda: number[0])
        async with running(line, standing):
            line.post([stage.order(f"k-{n}") for n in range(45)])
            await eventually(lambda: len(stage.book.audit) == 45)
            number[0] = None  # and where there is none, the contract alone holds
            line.post([stage.order(f"l-{n}") for n in range(45)])
            await eventually(lambda: len(stage.book.audit) == 90)
        at = [a.at for a in stage.book.audit]
        # At a broker on a busy machine a second is a little shorter than at our socket.
        assert max(sum(t <= u < t + 0.8 for u in at[:45]) for t in at[:45]) <= 20
        assert at[-1] - at[45] < 0.8

    play(story)


def test_the_next_host_is_tried_when_one_is_away() -> None:
    async def story(stage: Stage) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            away = f"127.0.0.1:{taken.getsockname()[1]}"
            here = f"127.0.0.1:{stage.counterpart.port}"
            line = stage.line(hosts=[away, here])
            async with running(line, stage.standing):
                assert line.status().host == here

    play(story)


class Door(NamedTuple):
    """Hours that a test opens and closes."""

    state: dict[str, bool]

    def is_open(self, _now: int) -> bool:
        return self.state["open"]


def test_outside_its_hours_the_line_is_closed_and_says_goodbye_when_they_end() -> None:
    async def story(stage: Stage) -> None:
        hours = {"open": False}
        line = stage.line(hours=(Door(hours),))
        async with running(line, stage.standing, up=False):
            await eventually(lambda: line.status().state == "closed")
            line.post([stage.order("a")])
            assert stage.lost == [("a", False, "not logged on: outside the session's hours")]
            hours["open"] = True
            await eventually(lambda: line.is_up)
            hours["open"] = False
            await eventually(lambda: line.status().state == "closed")
        assert b"5" in [m.get(35) for m in stage.counterpart.peers[0].received]

    play(story)


def test_a_line_that_wants_tls_says_nothing_in_the_clear() -> None:
    async def story(stage: Stage) -> None:
        line = stage.line(tls=True, connect_s=0.2)
        async with running(line, stage.standing, up=False):
            await eventually(lambda: line.status().state == "waiting" and stage.counterpart.peers)
            line.post([stage.order("a")])
            assert stage.lost[0][:2] == ("a", False)
        assert [peer.received for peer in stage.counterpart.peers if peer.received] == []

    play(story)


def certificate(directory: Path) -> tuple[Path, Path]:
    """Make a certificate for localhost that vouches for itself; return it and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl: not installed")
    cert, key = directory / "cert.pem", directory / "key.pem"
    made = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    )
    more = ("-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert))
    subprocess.run([openssl, *made.split(), *more], check=True, capture_output=True)  # noqa: S603 - our words
    return cert, key


@pytest.mark.parametrize(("name", "is_up"), [("localhost", True), ("north.example", False)])
def test_over_tls_the_broker_shows_who_it_is(tmp_path: Path, name: str, *, is_up: bool) -> None:
    cert, key = certificate(tmp_path)

    async def story(stage: Stage) -> None:
        await stage.counterpart.hang_up()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(cert, key)
        await stage.counterpart.listen(context)
        tls = {"ca_file": str(cert), "server_name": name}
        line = stage.line(tls=tls)
        async with running(line, stage.standing, up=False):
            if is_up:
                await eventually(lambda: line.is_up)
                line.post([stage.order("a")])
                await eventually(lambda: stage.book.keys() == ["a"])
            else:
                await eventually(lambda: "CERTIFICATE_VERIFY_FAILED" in (line.status().why or ""))

    play(story)


def test_tls_always_verifies_the_broker_and_its_name() -> None:
    for options in (True, {"server_name": "fix.north.example"}):
        tls = read_tls(options)
        assert tls is not None
        assert tls.context().verify_mode is ssl.CERT_REQUIRED
        assert tls.context().check_hostname
    assert read_tls(given=False) is None


def test_a_ping_is_a_round_trip_over_the_session() -> None:
    async def story(stage: Stage) -> None:
        line = stage.line()
        assert not await line.ping(5.0)
        async with running(line, stage.standing):
            assert await line.ping(5.0)
            stage.counterpart.peer.silent = True
            asyncio.get_running_loop().call_later(0.05, stage.counterpart.peer.close)
            assert not await line.ping(5.0)

    play(story)


def test_an_alarm_outlives_its_connection_until_a_logon_stands_or_a_person_has_seen_it() -> None:
    async def story(stage: Stage) -> None:
        line = stage.line()

        async def asks_again() -> None:
            stage.counterpart.peer.send("2", [(7, 1), (16, 1)])
            await eventually(lambda: line.status().alarm is not None)

        async with running(line, stage.standing):
            await asks_again()
            await stage.counterpart.hang_up()
            await eventually(lambda: not line.is_up)
            assert "asked again for 1 to 1" in (line.status().alarm or "")
            stage.book.logon_words = "come back later"
            await stage.counterpart.listen()
            await eventually(lambda: line.refusal)
            assert "come back later" in (line.status().alarm or "")
            stage.book.logon_words = None
            await eventually(lambda: line.is_up)
            assert line.status().alarm is None
            await asks_again()
            await line.log_out("seen")
            assert line.status().alarm is None

    play(story)


def test_a_numbering_that_a_person_ended_goes_on_at_one() -> None:
    async def story(stage: Stage) -> None:
        line = stage.line()
        async with running(line, stage.standing):
            line.post([stage.order("a")])
            await eventually(lambda: stage.book.keys() == ["a"])
            await stage.sessions.reset_by(line.session_id, 1, KIM)
            stage.book.next_in = stage.book.next_out = 1
            stage.book.sent.clear()
            await eventually(lambda: line.logons == 2)
            assert line.status().numbering == 2
            line.post([stage.order("b")])
            await eventually(lambda: stage.book.keys() == ["a", "b"])

    play(story)


def test_every_logon_may_begin_a_new_numbering() -> None:
    async def story(stage: Stage) -> None:
        identity = IDENTITY._replace(reset_on_logon=True)
        for run in (1, 2):
            line = stage.line(identity=identity)
            async with running(line, stage.standing):
                line.post([stage.order(f"k-{run}")])
                await eventually(partial(sent, stage, run))
                placed = await stage.sessions.placed(line.session_id, ["k-1"])
        numbers = await stage.sessions.numbers(line.session_id)
        assert isinstance(numbers, Numbers)
        assert numbers.numbering == 3
        assert placed["k-1"].lacked  # its numbering has ended

    play(story)


@pytest.mark.parametrize("words", [{"hosts": "nowhere"}, {"counts": "some"}, {"tls": {"x": 1}}])
def test_options_that_mean_nothing_are_refused(words: dict[str, object]) -> None:
    async def story() -> None:
        async with Counterpart() as counterpart:
            stage = Stage(counterpart)
            try:
                with pytest.raises(ValueError, match="expected"):
                    stage.line(**words)
            finally:
                stage.close()

    asyncio.run(story())


def test_a_word_too_long_to_be_sent_back_ends_nothing() -> None:
    async def story(stage: Stage) -> None:
        line = stage.line()
        async with running(line, stage.standing):
            # A type of 65,470 letters fits a message; the Reject that names it does not.
            stage.counterpart.peer.send("X" * 65_470, [])
            await eventually(lambda: stage.counterpart.peer.received[-1].get(36) is not None)
            line.post([stage.order("a")])
            await eventually(lambda: stage.book.keys() == ["a"])
            assert line.logons == 1

    play(story)


def test_a_password_that_cannot_be_written_ends_the_connection_and_is_not_told() -> None:
    async def story(stage: Stage) -> None:
        line = stage.line(identity=IDENTITY._replace(username="us", password="se\x01cret"))
        async with running(line, stage.standing, up=False):
            await eventually(lambda: "cannot be written" in (line.status().why or ""))
            assert "cret" not in (line.status().why or "")

    play(story)


def test_a_broker_that_stops_reading_is_left_and_another_connection_is_made() -> None:
    """As one whose process is stopped: its host goes on saying that the line is well."""

    async def story(stage: Stage) -> None:
        line = stage.line(write_s=0.2)
        async with running(line, stage.standing):
            cast("asyncio.Transport", stage.counterpart.peer._writer.transport).pause_reading()
            posts = [Post("D", ((58, "x" * 60_000),), f"k-{n}", stage.gone) for n in range(200)]
            line.post(posts)
            await eventually(lambda: line.logons == 2)
            assert {(key, why) for key, _, why in stage.lost} == {
                (post.key, "the session was lost") for post in posts
            }

    play(story)


def test_goodbye_ends_in_its_time_though_the_bus_is_away_behind_a_new_numbering() -> None:
    async def story(stage: Stage) -> None:
        line = stage.line(farewell_s=0.2)
        away = asyncio.Event()

        async def publish(_reports: object) -> None:
            away.set()
            await asyncio.Event().wait()

        line._hear = lambda _message: [a_report()]
        async with asyncio.timeout(30), running(line, stage.standing._replace(publish=publish)):
            stage.counterpart.peer.send("8", [(11, "k-1")])
            await away.wait()
            # Its answer may not leave before what was heard under the old numbers is on disk.
            stage.book.next_out = 1
            stage.counterpart.peer.send("A", [(98, 0), (108, 1), (141, "Y")])
            await eventually(lambda: line.status().alarm)

    play(story)


def test_what_was_given_up_does_not_gather_behind_a_gap() -> None:
    outbox, lost = Outbox(), list[str]()
    for n in range(100):
        post = Post("D", (), f"k-{n}", lambda _post, why: lost.append(why))
        outbox.post([post])
        assert outbox.take(posts=False) == []
        post.withdraw()

    assert (len(outbox.clear()), lost) == (1, [])
