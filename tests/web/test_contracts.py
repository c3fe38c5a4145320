"""What a broker can do is told as its adapter says it, and nothing is made up where none speaks."""

from dataclasses import fields

import pytest

from app.domain.capabilities import Capabilities
from app.domain.windows import read_window
from app.web.brokers.contract_told import AbilitiesTold, ContractLimitsTold
from app.web.brokers.contracts import APART
from tests.web.house import READER, SESSION, Gateway
from tests.web.operators import ADMIN
from tests.web.stand_ins import SignedBroker

CLOSED = {"days": "mon-fri", "opens": "09:25", "closes": "10:00", "zone": "America/New_York"}
ABLE = Capabilities(
    orders_per_second_max=900,
    batch_max=20,
    blackouts=(read_window(CLOSED),),
    rate_profile=(("open", 3),),
    markets=frozenset({"XNYS"}),
    accounts=frozenset({"A-1", "A-2"}),
)


def test_a_contract_is_told_whole(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SignedBroker, "capabilities", ABLE)
    path = f"{ADMIN}/brokers/nova/contract"
    told = gateway.client.get(path, headers=gateway.key(accounts=("A-2",))).json()

    assert (told["known"], told["limits"]["batch_max"]) == (True, 20)
    assert told["limits"]["rate_profile"] == [{"at": "open", "tps": 3}]
    assert (told["can"]["markets"], told["can"]["order_types"]) == (["XNYS"], None)
    assert told["can"]["accounts"] == ["A-2"], "another's account is not told"
    (blackout,) = told["hours"]["blackouts"]
    assert blackout == CLOSED | {"days": ["mon", "tue", "wed", "thu", "fri"]}
    assert (told["hours"]["open_now"], told["hours"]["changes_at"]) == (
        False,
        "2026-03-02T15:00:02.000Z",
    )
    assert told["sessions"][0]["trading_session_id"] == SESSION


def test_nothing_is_made_up_of_a_broker_that_nobody_speaks_to(gateway: Gateway) -> None:
    told = gateway.client.get(f"{ADMIN}/brokers/sol/contract", headers=gateway.key()).json()

    assert (told["known"], told["limits"], told["can"], told["hours"]) == (False, None, None, None)


def test_a_contract_is_for_operators_and_of_brokers(gateway: Gateway) -> None:
    client = gateway.key("lee", READER)

    assert gateway.client.get(f"{ADMIN}/brokers/nova/contract", headers=client).status_code == 403
    gone = gateway.client.get(f"{ADMIN}/brokers/moon/contract", headers=gateway.key())
    assert (gone.status_code, gone.json()["code"]) == (404, "not-found")


def test_every_ability_has_its_place() -> None:
    told = set(AbilitiesTold.model_fields) | set(ContractLimitsTold.model_fields) | APART

    assert {field.name for field in fields(Capabilities)} == told
