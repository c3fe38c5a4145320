"""A request becomes one order: identity before every reason to refuse, and disk before answer."""

from collections.abc import Coroutine, Iterator
from decimal import Decimal
from typing import Any, Final, TypeVar

import pytest

from app.domain.errors import Busy, Code, Refused
from app.domain.halts import Halts
from app.domain.instruments import Instrument
from app.domain.limits import Limits
from app.domain.records import Halt, Taken
from app.domain.request import OrderRequest
from app.domain.session import Calendar
from app.domain.values import Status
from app.intake.desk import Desk
from app.intake.writer import Writer
from app.ledger.schema import create
from app.ledger.store import Ledger
from app.reference import Reference
from app.sqlite import Database
from tests.builders import CLOSES_AT, NOW, OPENS_AT, SESSION, TODAY, StillClock, a_request
from tests.virtual import Virtual

T = TypeVar("T")
HALT: Final = Halt("account", "ann", "kim", NOW, "because")
INSTRUMENTS: Final = {
    ("XNAS", "AAPL"): Instrument("AAPL", "XNAS", "USD", reference_price=Decimal(190)),
}


class Counter:
    """A desk on a real ledger, the writer running beside it."""

    def __init__(self, virtual: Virtual) -> None:
        self._virtual = virtual
        self.clock = StillClock()
        self.halts: list[Halt] = []
        self.woken = 0
        self.database = Database(None)
        self.database.write_now(create)
        self.ledger = Ledger(self.database, self.clock)
        self.writer = Writer(self.ledger, self.clock)
        calendar = Calendar({"XNAS": [(TODAY, OPENS_AT, CLOSES_AT)]})
        self.desk = Desk(
            store=self.ledger,
            writer=self.writer,
            clock=self.clock,
            reference=lambda: Reference(calendar, INSTRUMENTS),
            halts=lambda: Halts.of(self.halts),
            limits=Limits(),
            on_queued=self._wake,
        )
        self._writing = virtual.loop.create_task(self.writer.run())

    def _wake(self) -> None:
        self.woken += 1

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._virtual.run(work)

    def place(self, request: OrderRequest) -> Taken:
        return self.run(self.desk.place(request))

    def place_all(self, *requests: OrderRequest | Refused) -> list[Taken | Refused | Busy]:
        return self.run(self.desk.place_all(requests))

    def stored(self) -> int:
        count: int = self.database.write_now(
            lambda c: c.exec_driver_sql("SELECT count(*) FROM orders").scalar_one()
        )
        return count


@pytest.fixture
def counter(virtual: Virtual) -> Iterator[Counter]:
    counter = Counter(virtual)
    yield counter
    counter.database.close()


def refused(code: Code) -> Any:
    return pytest.raises(Refused, match=f"^{code.code}:")


def test_an_order_is_on_disk_when_it_is_answered(counter: Counter) -> None:
    taken = counter.place(a_request())

    assert taken.created
    assert counter.run(counter.ledger.get(taken.order.order_id)) == taken.order
    assert (taken.order.status, counter.woken) == (Status.QUEUED, 1)


def test_what_comes_before_the_bell_is_reserved_and_wakes_nobody(counter: Counter) -> None:
    counter.clock.at = OPENS_AT - 1
    taken = counter.place(a_request())

    assert (taken.order.status, counter.woken) == (Status.RESERVED, 0)
    assert taken.order.trading_session_id == SESSION.trading_session_id


def test_a_repetition_is_the_same_order_and_wakes_nobody(counter: Counter) -> None:
    first = counter.place(a_request())
    again = counter.place(a_request(quantity=Decimal("10.0")))

    assert again == Taken(first.order, created=False)
    assert (counter.stored(), counter.woken) == (1, 1)


def test_another_body_under_the_same_id_is_a_conflict_that_names_the_first(
    counter: Counter,
) -> None:
    first = counter.place(a_request())
    with refused(Code.CLIENT_ORDER_ID_CONFLICT) as conflict:
        counter.place(a_request(quantity=Decimal(11)))

    assert conflict.value.context == {
        "existing_order_id": first.order.order_id,
        "status": Status.QUEUED,
    }
    assert counter.stored() == 1


@pytest.mark.parametrize(
    "obstacle",
    [
        lambda counter: setattr(counter.clock, "at", CLOSES_AT),
        lambda counter: counter.halts.append(HALT),
        lambda _: INSTRUMENTS.pop(("XNAS", "AAPL")),
    ],
    ids=["the session is over", "halted", "no longer listed"],
)
def test_a_repetition_outranks_every_reason_to_refuse(
    counter: Counter, obstacle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(INSTRUMENTS, ("XNAS", "AAPL"), INSTRUMENTS["XNAS", "AAPL"])
    first = counter.place(a_request())
    obstacle(counter)

    assert counter.place(a_request()) == Taken(first.order, created=False)
    with refused(Code.CLIENT_ORDER_ID_CONFLICT):
        counter.place(a_request(quantity=Decimal(11)))
    with pytest.raises(Refused):
        counter.place(a_request("c-2"))
    assert counter.stored() == 1


@pytest.mark.parametrize(
    "halt",
    [
        HALT,
        HALT._replace(scope="symbol", target="AAPL"),
        HALT._replace(scope="route", target="XNAS"),
        HALT._replace(scope="all", target=""),
    ],
)
def test_a_halt_that_covers_it_refuses_a_new_order(counter: Counter, halt: Halt) -> None:
    counter.halts.append(halt)
    with refused(Code.TRADING_HALTED):
        counter.place(a_request())

    assert counter.stored() == 0


def test_a_halted_broker_refuses_nobody(counter: Counter) -> None:
    """The order may go to another one, or wait."""
    counter.halts.append(HALT._replace(scope="broker", target="north"))

    assert counter.place(a_request()).created


def test_what_breaks_a_limit_is_no_order(counter: Counter) -> None:
    with refused(Code.QUANTITY_TOO_LARGE):
        counter.place(a_request(quantity=Decimal(10_000_000)))

    assert counter.stored() == 0


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "\udfff\0"])
@pytest.mark.parametrize("field", ["client_order_id", "account_id", "text", "list_id"])
def test_a_text_that_cannot_be_stored_is_refused_and_fails_nobody_else(
    counter: Counter, field: str, text: str
) -> None:
    """One such order once failed the commit of its whole group, and with it the process."""
    with refused(Code.VALIDATION_FAILED):
        counter.place(a_request(**{"client_order_id": "bad", field: text}))
    facts = {"client_order_id": "bad", field: text}
    bad, good = counter.place_all(a_request(**facts), a_request("good"))

    assert isinstance(bad, Refused)
    assert isinstance(good, Taken)
    assert counter.stored() == 1


@pytest.mark.parametrize("text", ['it\'s "q" \\', "\N{PILE OF POO}", "a\nb\tc", "\x7f\x85", " "])
def test_any_other_text_is_kept_as_it_came(counter: Counter, text: str) -> None:
    taken = counter.place(a_request(text=text))

    assert counter.run(counter.ledger.get(taken.order.order_id)) == taken.order
    assert taken.order.text == text


# --- batches ----------------------------------------------------------------------------


def test_each_of_a_batch_is_judged_by_itself_in_input_order(counter: Counter) -> None:
    first = counter.place(a_request("old"))
    unreadable = Refused(Code.VALIDATION_FAILED, "the door could not read it")
    answers = counter.place_all(
        a_request("new"),
        unreadable,
        a_request("old"),
        a_request("old", quantity=Decimal(11)),
        a_request("far", limit_price=Decimal(1)),
        a_request("new"),
        a_request("new", quantity=Decimal(11)),
    )

    words = [a.code.code if isinstance(a, Refused | Busy) else str(a.created) for a in answers]
    assert words == [
        "True",
        "validation-failed",
        "False",
        "client-order-id-conflict",
        "price-out-of-band",
        "False",
        "client-order-id-conflict",
    ]
    assert answers[2] == Taken(first.order, created=False)
    assert counter.stored() == 2


def test_a_replay_in_a_batch_outranks_a_halt(counter: Counter) -> None:
    first = counter.place(a_request("old"))
    counter.halts.append(HALT)
    old, new = counter.place_all(a_request("old"), a_request("new"))

    assert old == Taken(first.order, created=False)
    assert isinstance(new, Refused)


def test_a_batch_that_does_not_fit_is_busy_but_what_is_known_is_still_answered(
    counter: Counter,
) -> None:
    first = counter.place(a_request("old"))
    counter.halts.append(HALT)

    async def drained() -> list[Taken | Refused | Busy]:
        counter.writer.drain()
        return await counter.desk.place_all(
            [a_request("old"), a_request("b-1", account_id="bob"), a_request("new")]
        )

    old, busy, halted = counter.run(drained())

    assert old == Taken(first.order, created=False)
    assert isinstance(busy, Busy)
    assert isinstance(halted, Refused)
    assert counter.stored() == 1


# --- edits ------------------------------------------------------------------------------


def amend(counter: Counter, taken: Taken, quantity: object, price: object = "187.25") -> Any:
    terms = Decimal(str(quantity)), Decimal(str(price))
    return counter.run(counter.desk.amend(taken.order, taken.order.version, *terms))


def test_an_edit_is_judged_like_a_new_order(counter: Counter) -> None:
    taken = counter.place(a_request())
    with refused(Code.PRICE_OUT_OF_BAND):
        amend(counter, taken, 5, 1)
    with refused(Code.BAD_QUANTITY):
        amend(counter, taken, "0.5")
    after = amend(counter, taken, 5, 188)

    assert (after.quantity, after.limit_price, after.version) == (5, 188, 2)


def test_nothing_is_edited_under_a_halt_or_after_the_close(counter: Counter) -> None:
    taken = counter.place(a_request())
    counter.halts.append(HALT)
    with refused(Code.TRADING_HALTED):
        amend(counter, taken, 5)
    counter.halts.clear()
    counter.clock.at = CLOSES_AT
    with refused(Code.SESSION_OVER):
        amend(counter, taken, 5)


def test_an_edit_does_not_change_what_a_repetition_is(counter: Counter) -> None:
    taken = counter.place(a_request())
    after = amend(counter, taken, 5)

    assert counter.place(a_request()) == Taken(after, created=False)
    with refused(Code.CLIENT_ORDER_ID_CONFLICT):
        counter.place(a_request(quantity=Decimal(5)))
