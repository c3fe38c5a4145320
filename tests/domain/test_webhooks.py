"""What an answer means: again, later each time and never together, and an end to everything."""

import pytest

from app.domain.webhooks import (
    AFTER_MS,
    ATTEMPTS_MAX,
    DAY_MS,
    FAILING_MS_MAX,
    HOUR_MS,
    JITTER_BITS,
    KEPT_MS,
    Answer,
    DeliveryState,
    DisabledBy,
    EndpointState,
    after,
    delivery_id_of,
    enabled,
    judged,
    rank_at,
    recorded,
    rotated,
)
from tests.builders import NOW
from tests.contracts.test_webhook_store import an_endpoint

DOWN = Answer(503, "HTTP 503")
MOST = (1 << JITTER_BITS) - 1


def test_the_schedule_is_the_specifications_and_ends_within_what_is_kept() -> None:
    minutes = [ms / 60_000 for ms in AFTER_MS[1:]]

    assert minutes == [5, 30, 120, 300, 600, 840, 1_200, 1_440]
    assert AFTER_MS[0] == 5_000
    assert sum(AFTER_MS) * 1.2 < FAILING_MS_MAX < KEPT_MS


@pytest.mark.parametrize("attempts", range(1, ATTEMPTS_MAX))
def test_a_failure_is_tried_again_later_each_time_and_not_all_at_once(attempts: int) -> None:
    soonest, latest = judged(attempts, DOWN, NOW, 0), judged(attempts, DOWN, NOW, MOST)

    assert soonest == (DeliveryState.WAITING, NOW + AFTER_MS[attempts - 1], None, False)
    assert latest.due_at - NOW == pytest.approx(AFTER_MS[attempts - 1] * 1.2, rel=0.01)


@pytest.mark.parametrize("status", [None, 100, 301, 302, 304, 400, 401, 404, 429, 500, 503])
def test_only_a_2xx_is_a_yes(status: int | None) -> None:
    assert judged(1, Answer(status), NOW, 0).state is DeliveryState.WAITING
    assert judged(ATTEMPTS_MAX, Answer(status), NOW, 0).state is DeliveryState.FAILED


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_a_yes(status: int) -> None:
    assert judged(ATTEMPTS_MAX, Answer(status), NOW, 0).state is DeliveryState.DELIVERED


def test_410_is_an_end_at_once() -> None:
    assert judged(1, Answer(410), NOW, 0) == (DeliveryState.FAILED, NOW, None, True)


def test_a_rest_that_is_asked_for_is_given_whole_and_up_to_a_day() -> None:
    asked = judged(1, Answer(429, "", 60.0), NOW, 0)
    short = judged(2, Answer(503, "", 1.0), NOW, 0)
    forever = judged(1, Answer(503, "", 1e12), NOW, MOST)

    assert (asked.due_at, asked.quiet_until) == (NOW + 60_000, NOW + 60_000)
    assert (short.due_at, short.quiet_until) == (NOW + AFTER_MS[1], NOW + 1_000)
    assert forever.quiet_until == NOW + 24 * HOUR_MS
    assert NOW + 24 * HOUR_MS < forever.due_at < NOW + 29 * HOUR_MS


def test_an_endpoint_fails_from_its_first_failure_until_a_success() -> None:
    well = an_endpoint()
    failing = after(well, judged(1, DOWN, NOW, 0), NOW)
    still = after(failing, judged(1, DOWN, NOW, 0), NOW + DAY_MS)

    rested = after(failing, judged(1, Answer(429, "", 9.0), NOW, 0), NOW)

    assert after(rested, judged(1, DOWN, NOW, 0), NOW).quiet_until == NOW + 9_000
    assert (failing.failing_since, failing.state) == (NOW, EndpointState.ENABLED)
    assert still.failing_since == NOW
    assert after(still, judged(1, Answer(200), NOW, 0), NOW + DAY_MS) == well


def test_days_of_failure_disable_an_endpoint_and_its_owner_enables_it_anew() -> None:
    failing = an_endpoint(failing_since=NOW)
    verdict = judged(1, DOWN, NOW, 0)
    off = after(failing, verdict, NOW + FAILING_MS_MAX)
    on = enabled(off)

    assert (off.state, off.disabled_by) == (EndpointState.DISABLED, DisabledBy.FAILING)
    assert (off.version, off.changed_at) == (2, NOW + FAILING_MS_MAX)
    assert after(off, verdict, NOW + 2 * FAILING_MS_MAX) == off
    assert (on.state, on.disabled_by, on.failing_since) == (EndpointState.ENABLED, None, None)


def test_what_an_owner_disabled_stays_his_whatever_answers_come() -> None:
    off = an_endpoint(state=EndpointState.DISABLED, disabled_by=DisabledBy.OWNER)
    found = after(off, judged(1, Answer(410), NOW, 0), NOW)

    assert (found.disabled_by, found.version) == (DisabledBy.OWNER, 1)


@pytest.mark.parametrize(
    ("account_id", "type_", "at", "hears"),
    [
        ("ann", "order.filled", NOW, True),
        ("ann", "order.filled", NOW - 1, False),
        ("ann", "order.new", NOW, False),
        ("bob", "order.filled", NOW, False),
        ("*", "order.filled", NOW, False),
    ],
)
def test_an_endpoint_hears_of_its_accounts_from_its_own_beginning_on(
    account_id: str, type_: str, at: int, *, hears: bool
) -> None:
    endpoint = an_endpoint(types=("order.filled",))

    assert endpoint.hears(account_id, type_, at) is hears
    assert an_endpoint(accounts=("*",)).hears("bob", "order.any", NOW)


def test_the_secret_before_signs_until_its_time_is_over() -> None:
    both = rotated(an_endpoint(), "new", "r", NOW + 10)
    other_root = rotated(an_endpoint(), "new", "q", NOW + 10)

    assert both.salts(NOW + 9) == ["new", "s"]
    assert both.salts(NOW + 10) == ["new"]
    assert (other_root.root, other_root.salts(NOW)) == ("q", ["new"])


def test_an_event_has_one_id_at_each_endpoint() -> None:
    ids = {delivery_id_of(e, p) for e in ("o-1", "o-2") for p in ("we_1", "we_2")}

    assert len(ids) == 4
    assert delivery_id_of("o-1", "we_1") in ids
    assert all("." not in id_ for id_ in ids)


def test_ranks_sort_as_instants_do() -> None:
    ranks = [rank_at(NOW), rank_at(NOW, 5), rank_at(NOW, 10**9), rank_at(NOW + 1)]

    assert ranks == sorted(set(ranks))
    assert ranks[-1] < 2**63


def test_the_audit_log_keeps_no_path_and_no_salt() -> None:
    kept = recorded(an_endpoint(url="https://a.com/hook/secret?token=secret", salt="secret"))

    assert kept["url"] == "https://a.com"
    assert "secret" not in str(kept)
