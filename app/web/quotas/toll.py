"""What a door asks before it lets a caller pass, and what every reply says of the quota.

Who reads pays one read. Who sends orders pays for each, under the key, for the account and for
all at once; an amendment counts as an order. A cancel pays from a budget of its own, because
whoever has spent his orders and cannot cancel is trapped in the market. Who is turned away before
he could pay, for a broken body or a foreign account, pays for one: guessing is not free.

A batch is paid as a whole or not at all, before any of it is taken: one answer with
`Retry-After` is what every client can obey, where 600 of 1,000 results would each have to be
picked out and sent again. The trap is an account that is over its quota and burns that of its
key, which others use: so the counts of a refused request stay as they were.
"""

from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from math import ceil
from typing import Any, Final

import prometheus_client

from app.domain.errors import Busy, Code, Refused
from app.domain.request import OrderRequest
from app.ports.control import Allowance, Charge
from app.web.access.keys import Principal
from app.web.house import House
from app.web.problems import OverQuota
from app.web.spec import Call, Spec

QUOTA: Final = "openbell.quota"  # the headers for the porch, in the scope; there once it is paid
ORDERS: Final = "orders"
KEY: Final = "key"
ACCOUNT: Final = "account"
GLOBAL: Final = "global"
READS: Final = "reads"
CANCELS: Final = "cancels"


def tolled(spec: Spec[Any, Any]) -> str:
    """Return what a door takes toll for: reads, orders, cancels, or nothing."""
    if spec.scope == "orders:read":
        return READS
    if spec.scope != "orders:write":
        return ""
    return CANCELS if spec.cancels else ORDERS


def priced(spec: Spec[Any, Any]) -> Spec[Any, Any]:
    """Return the door's description with the refusal that toll brings."""
    if not tolled(spec):
        return spec
    return replace(spec, refuses=(*spec.refuses, Code.QUOTA_EXCEEDED))


class Toll:
    """Takes toll by the house's quotas; where there are none, everybody passes."""

    def __init__(self, house: House) -> None:
        self._quotas = house.quotas
        self._policies = {} if house.quotas is None else house.quotas.policies
        refused = prometheus_client.Counter(
            "openbell_quota_refused_total",
            "Requests refused by quota, by policy.",
            ["policy"],
            registry=house.registry,
        )
        self._refused = {name: refused.labels(name) for name in self._policies}
        self._lines = {
            name: b'"%s";q=%d;w=1' % (name.encode(), quota)
            for name, quota in self._policies.items()
        }

    async def one(self, call: Call[Any, Any], policy: str) -> None:
        """Let one read or one cancel pass, or raise `OverQuota`."""
        if self._quotas is not None:
            await self._pay(call, [Charge(policy, call.who.key_id)])

    async def order(self, call: Call[Any, Any], account_id: str) -> None:
        """Let one order or amendment pass, or raise `OverQuota` or `Busy`."""
        if self._quotas is not None:
            await self._pay(call, [Charge(ACCOUNT, account_id), *_sent(call.who, 1)])

    async def batch(self, call: Call[Any, Any], items: Sequence[OrderRequest | Refused]) -> None:
        """Let all items pass, or none."""
        if self._quotas is None:
            return
        accounts = Counter(item.account_id for item in items if isinstance(item, OrderRequest))
        charges = [Charge(ACCOUNT, account_id, n) for account_id, n in accounts.items()]
        charges += _sent(call.who, max(1, len(items)))
        for policy, _, cost in charges:
            most = self._policies.get(policy, cost)
            if cost > most:  # it would never pass
                detail = f"{policy}: expected at most {most} orders in one batch, were {cost}"
                raise Refused(Code.TOO_MANY_ORDERS, detail, orders=cost)
        await self._pay(call, charges)

    async def turned_away(self, call: Call[Any, Any]) -> None:
        """Let a refused request pay for one order, if it has not paid."""
        if self._quotas is not None and QUOTA not in call.request.scope:
            await self._pay(call, _sent(call.who, 1))

    async def _pay(self, call: Call[Any, Any], charges: Sequence[Charge]) -> None:
        assert self._quotas is not None
        due = [charge for charge in charges if charge.policy in self._policies]
        if not due:
            return
        allowance = await self._quotas.take(due)
        call.request.scope[QUOTA] = self._headers(due, allowance)
        if allowance.allowed:
            return
        self._refused[allowance.charge.policy].inc()
        if allowance.charge.policy == GLOBAL:  # the others' doing: nothing is wrong with this one
            raise Busy(Code.OVERLOADED, allowance.fits_in_s)
        raise _over(allowance)

    def _headers(
        self, due: Sequence[Charge], allowance: Allowance
    ) -> tuple[tuple[bytes, bytes], ...]:
        """Return the fields of draft-ietf-httpapi-ratelimit-headers-10."""
        policies = {charge.policy: charge.subject for charge in due}
        lines = [self._lines[name] for name in policies]
        if ACCOUNT in policies and len(policies) == len(due):
            lines[0] += b";pk=:%s:" % b64encode(policies[ACCOUNT].encode())
        tightest = allowance.charge.policy.encode()
        frees_in_s = max(1, ceil(allowance.fits_in_s))
        left = b'"%s";r=%d;t=%d' % (tightest, allowance.remaining, frees_in_s)
        return (b"ratelimit-policy", b", ".join(lines)), (b"ratelimit", left)


def _sent(who: Principal, orders: int) -> list[Charge]:
    return [Charge(KEY, who.key_id, orders), Charge(GLOBAL, "", orders)]


def _over(allowance: Allowance) -> OverQuota:
    policy, subject, cost = allowance.charge
    detail = (
        f"{policy}: expected at most {allowance.quota} a second;"
        f" {allowance.remaining} are left, and this takes {cost}"
    )
    told = {"quota": allowance.quota, "remaining": allowance.remaining, "cost": cost}
    whose = {"account_id": subject} if policy == ACCOUNT else {}
    return OverQuota(policy, detail, allowance.fits_in_s, **told, **whose)
