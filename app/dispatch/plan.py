"""How much to claim, in which batches it leaves, and how long the rest will take. Pure.

A claim is a promise to send within moments: what is claimed and cannot leave sits in `sending`,
where no cancel and no failover can reach it. So a claim takes at most 50 ms of the rate, and
never more than windows and slots let out. Which accounts come first is the ledger's rank; here
an account's own orders only keep their order.
"""

from collections.abc import Sequence
from typing import Final

from app.dispatch.pacer import STEADY_PER_MILLE
from app.domain.capabilities import Capabilities
from app.domain.messages import Submission, submission_of
from app.domain.records import Claimed

# A lease, a halt or a failover waits for what is claimed: 50 ms of it is within every promise.
CLAIM_MS: Final = 50
# Without a rate something else must bound a claim: this many orders commit in a few milliseconds.
CLAIM_ORDERS_MAX: Final = 500


def batches(orders: Sequence[Submission], capabilities: Capabilities) -> list[list[Submission]]:
    """Shape claimed orders into requests; sent in this order, each account's own stay in line.

    Where a batch carries one symbol only, or lives and dies as one and so carries one account
    only, an order may join an earlier batch of its kind unless that would overtake an order of
    its own account.
    """
    if not (capabilities.batch_same_symbol or capabilities.batch_atomic):
        step = max(1, capabilities.batch_max)
        return [list(orders[start : start + step]) for start in range(0, len(orders), step)]
    shaped: list[list[Submission]] = []
    open_for: dict[tuple[str, ...], int] = {}  # the batch that still takes this kind
    last_of: dict[str, int] = {}  # the batch of the account's latest order
    for order in orders:
        kind = _kind(order, capabilities)
        place = open_for.get(kind, -1)
        if place < last_of.get(order.account_id, 0) or _is_full(shaped[place], capabilities):
            place = len(shaped)
            shaped.append([])
            open_for[kind] = place
        shaped[place].append(order)
        last_of[order.account_id] = place
    return shaped


def claim_size(
    *, per_second: int | None, window_room: int, free_slots: int, capabilities: Capabilities
) -> int:
    """Return how many orders to claim now: 50 ms of the rate, one batch at least, 0 if none may.

    `window_room` counts permits and `free_slots` requests; the capabilities say what each costs.
    Whatever fits into no slot, no window or no second is not claimed.
    """
    batch_max = max(1, capabilities.batch_max)
    limits = [
        capabilities.orders_for(window_room),
        max(0, free_slots) * batch_max,
        CLAIM_ORDERS_MAX,
    ]
    if per_second is not None:
        share = capabilities.orders_for(-(-per_second * CLAIM_MS // 1_000))
        limits += [max(share, batch_max), capabilities.orders_for(per_second)]
    return min(limits)


def eta_s(backlog: int, per_second: int | None) -> float | None:
    """Return the seconds in which a backlog leaves at the steady pace; None: not while paused.

    Without a limit the answer is 0: how fast the broker answers is nothing to promise.
    """
    if backlog <= 0 or per_second is None:
        return 0.0
    return None if per_second == 0 else backlog * 1_000 / (per_second * STEADY_PER_MILLE)


def _kind(order: Submission, capabilities: Capabilities) -> tuple[str, ...]:
    """Return what the orders of one batch have in common."""
    instrument = (order.market, order.symbol) if capabilities.batch_same_symbol else ()
    return (*instrument, order.account_id) if capabilities.batch_atomic else instrument


def _is_full(batch: Sequence[Submission], capabilities: Capabilities) -> bool:
    return len(batch) >= max(1, capabilities.batch_max)


def submission(claimed: Claimed) -> Submission:
    """Return what leaves for a claimed order."""
    return submission_of(claimed.order, claimed.broker_order_key)
