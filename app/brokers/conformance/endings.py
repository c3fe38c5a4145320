"""B-8xx: wrong credentials, and the end."""

import asyncio
from typing import Final

from app.brokers.conformance.case import Need, case
from app.brokers.conformance.kit import Kit, only
from app.brokers.conformance.verdict import Failed
from app.domain.messages import NotSent

WRONG: Final = "not-the-secret-of-this-broker"
# Two seconds: what takes longer to close is not closing.
LOOKS: Final = 100
LOOK_EVERY_S: Final = 0.02


@case(
    "B-801",
    "With a wrong secret a ping is no",
    Need.SECRET,
    proves="a gate does not open for a broker that will refuse us",
    source="ports.brokers.Broker.ping: authenticated",
)
async def ping(kit: Kit) -> str:
    broker = await kit.broker(**{kit.terms.secret_option: WRONG})
    if await kit.seen(broker.ping()):
        raise Failed("False", "True")
    return "False"


@case(
    "B-802",
    "With a wrong secret an order is not sent",
    Need.SECRET,
    Need.LIVE,
    proves="an expired token rejects no customer's order, and opens the gate",
    source="order-model 5, NotSent; FIX Logout (5) after Logon (A)",
)
async def order(kit: Kit) -> str:
    broker = await kit.broker(**{kit.terms.secret_option: WRONG})
    answer = only(await kit.submit(broker, kit.order()))
    if not isinstance(answer, NotSent) or not answer.credentials:
        raise Failed("NotSent(credentials=True)", answer)
    return str(answer)


@case(
    "B-811",
    "Closing closes, also twice",
    Need.LINE,
    proves="a gateway that stops leaves no connection behind",
    source="ports.brokers.Broker.close",
)
async def closing(kit: Kit) -> str:
    broker = await kit.on_the_line()
    await kit.seen(broker.find([kit.key()]))
    if kit.terms.live:  # an order's connection is one that adapters like to keep
        await kit.attempted(broker, kit.order())
    await kit.let_go()
    for _ in range(2):
        await kit.seen(broker.close())
    for _ in range(LOOKS):
        if not kit.line.standing:
            break
        await asyncio.sleep(LOOK_EVERY_S)
    if kit.line.standing:
        raise Failed("no connection", f"{kit.line.standing} still open")
    return "nothing is left open"


CASES: Final = (ping, order, closing)
