"""A process may stop, crash or be frozen at any moment: nothing is lost, nothing is sent twice."""

from dataclasses import replace

from tests.scenarios.fates import PLAIN
from tests.scenarios.floor import Floor
from tests.virtual import Virtual

NAMES = [f"o-{n}" for n in range(60)]


def test_stopping_waits_for_answers_and_loses_nothing(floor: Floor) -> None:
    floor.reserve_all(NAMES)
    floor.north.does("new", back_s=1.0)
    floor.bell()
    floor.until(lambda: len(floor.north.news()) >= 10)
    floor.disk_takes(0.2)  # answers are heard faster than they can be written
    floor.stop()
    floor.disk_takes(0.0005)
    states = [floor.state(n) for n in NAMES]
    assert set(states) == {"new", "queued"}
    assert states.count("new") == len(floor.north.orders)

    floor.start()
    floor.comes_to("new", *NAMES)

    assert sorted(floor.north.news()) == sorted(floor.key(n) for n in NAMES)


def test_stopping_does_not_wait_for_a_cancel_that_stays_silent(floor: Floor) -> None:
    floor.reserve("o-1")
    floor.bell()
    floor.comes_to("new", "o-1")
    floor.north.does("cancel", arrives=False)
    floor.cancel("o-1")
    floor.until(lambda: any(s.verb == "cancel" for s in floor.north.sent))
    began = floor.virtual.loop.time()
    floor.stop()
    assert floor.virtual.loop.time() - began < 1

    floor.north.answers()
    floor.start()
    floor.comes_to("canceled", "o-1")


def test_a_crash_after_the_bytes_left_finds_the_attempt_on_disk(floor: Floor) -> None:
    floor.reserve("o-1")
    floor.north.does("new", there_s=1.0)
    floor.bell()
    floor.until(lambda: bool(floor.north.sent))
    floor.restart()
    assert [a.outcome for a in floor.attempts("o-1")] == ["unknown"]
    assert floor.state("o-1") == "in_doubt"

    floor.comes_to("new", "o-1")
    floor.passes(20)

    assert floor.north.news() == [floor.key("o-1")]


def test_a_crash_before_the_bytes_left_sends_it_once_that_is_proved(virtual: Virtual) -> None:
    floor = Floor(virtual, tps=2, capabilities=replace(PLAIN, batch_max=20))
    floor.reserve_all(["o-1", "o-2"])
    floor.bell()
    floor.comes_to("sending", "o-1", "o-2")
    floor.until(lambda: len(floor.north.sent) == 1)
    floor.restart()
    floor.comes_to("new", "o-1", "o-2")

    outcomes = [[a.outcome for a in floor.attempts(n)] for n in ("o-1", "o-2")]
    assert sorted(outcomes) == [["accepted"], ["not_received", "accepted"]]
    assert len(floor.north.orders) == 2
    floor.crash()


def test_a_lane_frozen_past_its_lease_writes_nothing_new(floor: Floor) -> None:
    floor.reserve("o-1")
    floor.bell()
    floor.disk_takes(0.5)
    floor.comes_to("sending", "o-1")  # the claim is on disk, and nobody has heard of it yet
    assert floor.north.sent == []
    former = floor.life
    floor.freeze()
    floor.disk_takes(0.0005)
    floor.passes(15)
    floor.start()
    assert floor.state("o-1") == "in_doubt"
    former.thaw()  # it finds its lease run out, and its word that nothing left is evidence
    assert floor.comes_to("new", "o-1") < PLAIN.visibility_window_s
    floor.passes(10)

    assert [s.key for s in floor.north.sent] == [floor.key("o-1", 2)]
    assert [a.outcome for a in floor.attempts("o-1")] == ["not_sent", "accepted"]
    former.end()


def test_a_former_owner_neither_claims_nor_cancels(floor: Floor) -> None:
    floor.reserve_all(["o-1", "o-2"])
    floor.bell()
    floor.comes_to("new", "o-1", "o-2")
    former = floor.life
    floor.freeze()
    floor.passes(5)
    floor.start()
    floor.crash()  # the new owner lived just long enough to raise the epoch
    floor.goes_on(former)
    floor.reserve("o-3")
    floor.passes(8)
    assert floor.state("o-3") == "queued"

    floor.cancel("o-1")
    floor.passes(10)
    assert [s.verb for s in floor.north.sent] == ["new", "new"]
    former.end()


def test_a_late_answer_to_a_former_owner_is_still_evidence(floor: Floor) -> None:
    floor.reserve("o-1")
    floor.north.does("new", back_s=2.0)
    floor.north.does("query", refused=True)
    floor.bell()
    floor.until(lambda: bool(floor.north.orders))
    life = floor.life
    floor.freeze()
    floor.start()
    assert floor.state("o-1") == "in_doubt"
    floor.passes(1)
    life.thaw()
    floor.passes(3)
    assert floor.state("o-1") == "new"

    assert floor.north.news() == [floor.key("o-1")]
    life.end()
