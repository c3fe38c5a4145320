"""When working orders are asked about: what owes a round, and what a round owes the next."""

from typing import Any

from app.dispatch.rounds import (
    SECOND_NS,
    Rhythm,
    Round,
    Rounds,
    Signs,
    begun,
    budget,
    ended,
    noticed,
)

RHYTHM = Rhythm()
OURS = Signs(epoch=1)
S = SECOND_NS


def after(rounds: Rounds, now: int, **facts: Any) -> Rounds:
    """Return what one tick comes to, when the broker looks so."""
    return begun(noticed(rounds, rounds.signs._replace(**facts), now), now, RHYTHM)


def quiet(now: int = 0) -> Rounds:
    """Return a broker of ours of which all orders were asked about at `now`."""
    return ended(after(Rounds(), now, epoch=1), now, missed=False, silent=False)


def test_whoever_has_taken_over_asks_about_all() -> None:
    first = after(Rounds(), 7, epoch=1)
    again = after(quiet(), 7, epoch=3)

    assert (first.under_way, first.why, first.owed) == (Round.FULL, "taken over", None)
    assert again.under_way is Round.FULL
    assert again.number > quiet().number


def test_whoever_answers_again_or_logs_on_again_is_asked_about_all() -> None:
    away = after(quiet(), S, reachable=False)
    down = after(quiet(), S, logon=None)

    assert (away.under_way, down.under_way) == (None, None)
    assert after(away, 2 * S, reachable=True).under_way is Round.FULL
    assert after(down, 2 * S, logon=99).under_way is Round.FULL
    assert after(quiet(), S, logon=98).under_way is Round.FULL  # it was down between two ticks


def test_a_session_that_is_down_is_asked_nothing() -> None:
    down = after(Rounds(), 0, epoch=1, logon=None)

    assert (down.under_way, down.owed, budget(down, RHYTHM)) == (None, "taken over", 0)


def test_an_outage_within_a_round_owes_another_one() -> None:
    going = after(Rounds(), 0, epoch=1)
    back = after(after(going, S, reachable=False), 2 * S, reachable=True)

    assert back.number == going.number
    done = ended(back, 3 * S, missed=False, silent=False)
    assert after(done, 4 * S).under_way is Round.FULL


def test_a_round_at_leisure_gives_way_to_one_that_is_owed() -> None:
    steady = after(quiet(), round(RHYTHM.round_s) * S, reports=5)
    assert steady.under_way is Round.STEADY
    hurried = after(after(steady, 601 * S, reachable=False), 602 * S, reachable=True)

    assert hurried.under_way is Round.FULL
    assert budget(hurried, RHYTHM) > budget(steady, RHYTHM) > 0


def test_silence_is_worth_a_sample_and_a_report_ends_it() -> None:
    heard = after(quiet(), 59 * S, reports=1)

    assert after(quiet(), 59 * S).under_way is None
    assert after(quiet(), 60 * S).under_way is Round.SAMPLE
    assert after(heard, 60 * S).under_way is None
    assert after(heard, 119 * S).under_way is Round.SAMPLE


def test_a_sample_that_shows_what_was_missed_owes_all_and_another_one_waits() -> None:
    sample = after(quiet(), 60 * S)
    missed = ended(sample, 61 * S, missed=True, silent=False)
    well = ended(sample, 61 * S, missed=False, silent=False)

    assert after(missed, 62 * S).under_way is Round.FULL
    assert after(well, 120 * S).under_way is None
    assert after(well, 121 * S).under_way is Round.SAMPLE


def test_samples_do_not_put_off_the_round_through_all() -> None:
    rounds, kinds = quiet(), []
    for second in range(1, 1_300):
        rounds = after(rounds, second * S)
        if rounds.under_way is not None:
            kinds.append(rounds.under_way)
            rounds = ended(rounds, second * S, missed=False, silent=False)

    assert kinds.count(Round.STEADY) == 2
    assert kinds.count(Round.FULL) == 0
    assert len(kinds) <= 1_300 // 60


def test_what_was_owed_to_a_silent_broker_still_is() -> None:
    going = after(Rounds(), 0, epoch=1)

    assert ended(going, S, missed=False, silent=True).owed == "taken over"
    assert ended(after(quiet(), 60 * S), 61 * S, missed=False, silent=True).owed is None


def test_nothing_is_begun_for_another_ones_broker() -> None:
    lost = noticed(quiet(), Signs(epoch=0), S)

    assert lost.under_way is None
    assert after(lost, 2 * S, epoch=2).under_way is Round.FULL
