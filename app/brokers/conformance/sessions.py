"""B-9xx: a session of its own, whose messages have numbers: what may leave on it, and when.

An adapter without such a session, or whose session has no numbers, has nothing to judge here. What
leaves is counted on our own line, so behind TLS nothing can be said of it.
"""

import asyncio
from typing import Final

from app.brokers.conformance.case import Need, case
from app.brokers.conformance.held import UP, Held, until
from app.brokers.conformance.kit import Kit, only
from app.brokers.conformance.line import Fault
from app.brokers.conformance.silence import GRACE_S, must_be
from app.brokers.conformance.verdict import Failed, NotApplicable, NotJudged
from app.domain.broker_session import SessionStatus
from app.domain.messages import Absent, Found, NotSent, Submission, Unknown

FIX: Final = b"8=FIX"
ASKS_AGAIN: Final = b"\x0135=2\x01"  # ResendRequest
GOODBYE: Final = b"\x0135=5\x01"  # Logout


async def numbered(kit: Kit) -> Held:
    """Return an adapter that is logged on, on a session that numbers what it carries."""
    held = await kit.session()
    if not stands(held).numbering:
        raise NotApplicable("its session has no numbers: orders go by requests of their own")
    if kit.line.is_sealed:
        raise NotJudged("TLS: what leaves cannot be counted")
    return held


def stands(held: Held) -> SessionStatus:
    """Return how a session stands that has said so before."""
    if held.status is None:
        raise Failed("a state of its session", held.why)
    return held.status


def begins_anew(kit: Kit) -> None:
    """Refuse to judge numbers that both sides have agreed to forget at each logon."""
    if kit.run.subject.options.get("reset_on_logon"):
        raise NotJudged("reset_on_logon: each logon begins a new numbering")


async def vanished(kit: Kit, held: Held, fault: Fault) -> Submission:
    """Let an order leave that the broker never sees; its adapter must be in doubt."""
    since = held.since
    kit.line.arm(fault)
    order = kit.order()
    answer = only(await kit.submit(held.broker, order))
    kit.run.placed.append(order)  # the line is whole again after this: now it could come
    if not kit.line.mentions(order.broker_order_key):
        raise NotJudged("the order did not leave")
    if not isinstance(answer, Unknown):
        raise NotJudged(f"it was answered {answer} (see B-201, B-206)")
    if fault is Fault.CUT:
        await kit.down(since)
    return order


def told(kit: Kit, words: bytes) -> bool:
    """Whether the broker has said this on the line."""
    return any(words in passage.told for passage in kit.line.passages)


@case(
    "B-901",
    "What could not leave before a logon does not leave after it",
    Need.LINE,
    Need.LIVE,
    proves="an order that was handed back is live at one broker: the one that it goes to next",
    source="order-model 5, NotSent; FIX: no engine may queue while it is logged out",
)
async def never_queued(kit: Kit) -> str:
    held = await numbered(kit)
    since = held.since
    kit.line.arm(Fault.REFUSED)
    await kit.down(since)
    order = kit.order()
    answer = must_be(only(await kit.submit(held.broker, order)), NotSent)
    kit.run.placed.append(order)  # from here on it might
    await kit.up()
    await asyncio.sleep(GRACE_S)
    if kit.line.mentions(order.broker_order_key):
        raise Failed("nothing of it on the wire after the logon", "it was sent")
    return f"{answer}; and after the next logon nothing of it left"


@case(
    "B-902",
    "After a reconnect nothing is sent a second time",
    Need.LINE,
    Need.LIVE,
    proves="a broker that asks for its gap gets no order out of our store",
    source="order-model 11; FIX ResendRequest (2), SequenceReset-GapFill (4)",
)
async def never_again(kit: Kit) -> str:
    begins_anew(kit)
    held = await numbered(kit)
    order = await vanished(kit, held, Fault.CUT)
    left = kit.line.mentions(order.broker_order_key)
    await kit.up()
    await asyncio.sleep(GRACE_S)
    if (now := kit.line.mentions(order.broker_order_key)) > left:
        raise Failed("the order on the wire once", f"{now - left} times more after the reconnect")
    if kit.line.carriers(order.broker_order_key) > 1:
        raise Failed("the order on one connection", "on several")
    if not told(kit, ASKS_AGAIN):
        raise NotJudged("the broker did not ask for the number that it lacks")
    return "the broker asked for its number, and the order stayed where it was"


@case(
    "B-903",
    "On the session on which an order vanished, 'unknown order' is no absence",
    Need.LINE,
    Need.LIVE,
    proves="what the broker has not looked at yet is not gone",
    source="order-model 2, authoritative negative; FIX OrderStatusRequest (H)",
)
async def no_proof_yet(kit: Kit) -> str:
    held = await numbered(kit)
    if not held.broker.capabilities.query_by_key:
        raise NotApplicable("query_by_key is false: its doubts go to an operator")
    order = await vanished(kit, held, Fault.SWALLOWED)
    since = held.since
    kit.line.arm(Fault.NONE)
    # The first question shows the broker its gap, and falls into it.
    for _ in range(2):
        found = only(await kit.seen(held.broker.find([order.broker_order_key])))
        if isinstance(found, Absent):
            break
    if held.state != UP or held.since != since:
        raise NotJudged("the session was made again meanwhile")
    if isinstance(found, Absent):
        raise Failed("Unknown: no logon has shown yet what the broker lacks", found)
    if not isinstance(found, Found):
        kit.run.gone.add(order.broker_order_key)
    return str(found)


@case(
    "B-904",
    "An order whose number the broker lacks is absent after the next logon",
    Need.LINE,
    Need.LIVE,
    proves="doubt ends by the broker's own evidence, and not by a person's patience",
    source="order-model 2, authoritative negative; FIX ResendRequest (2)",
)
async def absent(kit: Kit) -> str:
    held = await numbered(kit)
    if not held.broker.capabilities.query_by_key:
        raise NotApplicable("query_by_key is false: its doubts go to an operator")
    order = await vanished(kit, held, Fault.CUT)
    left = kit.line.mentions(order.broker_order_key)
    await kit.up()
    await asyncio.sleep(GRACE_S)
    if kit.line.mentions(order.broker_order_key) > left:
        raise NotJudged("it was sent again (see B-902)")
    found = only(await kit.seen(held.broker.find([order.broker_order_key])))
    if isinstance(found, Found):
        raise Failed("Absent: no byte of it came", found)
    if isinstance(found, Unknown):
        if told(kit, ASKS_AGAIN):
            raise Failed("Absent: the broker asked for its number, and knows no such order", found)
        raise NotJudged(f"the broker gave no proof: {found.cause}")
    return "Absent, after the broker asked for its number"


@case(
    "B-905",
    "Numbers survive the process",
    Need.LINE,
    proves="a gateway that was killed goes on where the broker expects it",
    source="ports.SessionStore; FIX MsgSeqNum (34)",
)
async def survived(kit: Kit) -> str:
    begins_anew(kit)
    held = await numbered(kit)
    before = stands(held)
    kit.line.arm(Fault.REFUSED)  # no goodbye leaves
    await kit.let_go()
    kit.line.arm(Fault.NONE)
    held = await kit.again()
    if not await until(lambda: held.state == UP, kit.terms.patience_s):
        raise Failed(f"a logon under number {before.next_out} or later", held.why)
    after = stands(held)
    if after.numbering != before.numbering or after.next_out <= before.next_out:
        raise Failed(
            f"numbering {before.numbering} beyond {before.next_out}",
            f"numbering {after.numbering} at {after.next_out}",
        )
    return f"{before.next_out} before, {after.next_out} after"


@case(
    "B-906",
    "A logout says goodbye, and what was under way is not lost",
    Need.LINE,
    Need.LIVE,
    proves="an operator's logout, or a stop at night, costs no answer and no report",
    source="ports.LiveBroker.log_out; FIX Logout (5)",
)
async def goodbye(kit: Kit) -> str:
    held = await numbered(kit)
    order, since = kit.order(), held.since
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(kit.submit(held.broker, order))
        await until(lambda: kit.line.mentions(order.broker_order_key) > 0, kit.terms.patience_s)
        await kit.seen(held.broker.log_out("the kit says goodbye"))
    answer = only(sending.result())
    if isinstance(answer, NotSent):
        raise Failed("the broker's word, or Unknown: it had left", answer)
    await kit.down(since)
    await kit.up()
    key = order.broker_order_key
    if not await until(lambda: bool(kit.ears.of(key)), kit.terms.patience_s):
        raise Failed("a report of the order, before the logout or after the next logon", "none")
    said = [bytes(passage.heard) for passage in kit.line.passages]
    if said[0].startswith(FIX) and not any(GOODBYE in words for words in said):
        raise Failed("a Logout before the connection ended", "none")
    return f"{type(answer).__name__}, and its report was told"


@case(
    "B-907",
    "Whoever is not sure of the lane sends nothing",
    Need.LINE,
    proves="two processes that both take a lane for theirs send one order between them",
    source="ports.Standing.is_sure; order-model: fenced by the lane's lease",
)
async def unsure(kit: Kit) -> str:
    held = await numbered(kit)
    held.sure = False
    return await _kept(kit, held, kit.order())


@case(
    "B-908",
    "An order that may not leave after all does not",
    Need.LINE,
    proves="a halt stops what has been handed over and has not been written",
    source="ports.Standing.stops; order-model: halts",
)
async def stopped(kit: Kit) -> str:
    held = await numbered(kit)
    order = kit.order()
    held.stops[order.broker_order_key] = "the kit has halted it"
    return await _kept(kit, held, order)


@case(
    "B-909",
    "Whoever does not own the broker does not connect",
    Need.LINE,
    proves="a session has one holder, so a standby takes no numbers of the one that works",
    source="ports.LiveBroker.run: while the lane is ours",
)
async def standing_by(kit: Kit) -> str:
    held = await kit.session(owns=False)
    if not kit.line.tried:
        await asyncio.sleep(GRACE_S)
    if kit.line.tried:
        raise Failed("no connection", f"{kit.line.tried} connections")
    return held.state


async def _kept(kit: Kit, held: Held, order: Submission) -> str:
    """Submit an order that has to stay here; whatever leaves does not reach the broker."""
    kit.line.arm(Fault.SWALLOWED)
    answer = must_be(only(await kit.submit(held.broker, order)), NotSent)
    if kit.line.mentions(order.broker_order_key):
        raise Failed("nothing of it on the wire", "it was sent")
    return answer


CASES: Final = (
    never_queued,
    never_again,
    no_proof_yet,
    absent,
    survived,
    goodbye,
    unsure,
    stopped,
    standing_by,
)
