"""What operators are told of a broker's contract, as OpenAPI describes it.

As all models of replies they describe and read nothing: see `app/web/brokers/told.py`.
"""

from pydantic import Field

from app.web.brokers.told import EdgeTold
from app.web.told import AccountId, At, BrokerId, SessionTold, Told, Tps


class ContractLimitsTold(Told):
    """How much a broker takes."""

    orders_per_second_max: Tps
    max_in_flight: int = Field(description="Requests without an answer.", examples=[64])
    batch_max: int = Field(description="Orders a request.", examples=[50])
    cancel_batch_max: int
    replace_batch_max: int
    find_batch_max: int
    batch_cost: str = Field(description="What a batch spends.", examples=["per_order"])
    batch_cost_step: int = Field(examples=[40])
    rate_profile: list[EdgeTold] = Field(description="Its number by phase of the session.")


class AbilitiesTold(Told):
    """What a broker's adapter can do; a list that is null: any."""

    batch_same_symbol: bool
    batch_atomic: bool = Field(description="One refused order refuses its whole batch.")
    lists: bool = Field(description="A batch leaves as one list.")
    list_message_max: int | None
    query_by_key: bool = Field(description="Without it a doubt goes to an operator.")
    mass_status: bool
    replaces: bool = Field(description="It changes terms in one step.")
    visibility_window_s: float = Field(description="So long 'not found' proves nothing.")
    unknown_answers_required: int = Field(description="Then it is proof.", examples=[2])
    markets: list[str] | None = Field(examples=[["XNAS"]])
    order_types: list[str] | None = Field(examples=[["limit", "market"]])
    times_in_force: list[str] | None = Field(examples=[["day"]])
    accounts: list[AccountId] | None = Field(description="Of those that you may see.")


class WindowTold(Told):
    """Hours of some days; `closes` is after midnight where it is not after `opens`."""

    days: list[str] = Field(examples=[["mon", "tue"]])
    opens: str = Field(examples=["07:00"])
    closes: str = Field(examples=["17:30"])
    zone: str = Field(examples=["America/New_York"])


class HoursTold(Told):
    """When a broker takes messages at all."""

    windows: list[WindowTold] = Field(description="None: always, but for the blackouts.")
    blackouts: list[WindowTold]
    guard_s: float = Field(description="Before an edge and after it nothing leaves.")
    open_now: bool
    changes_at: At | None


class ContractTold(Told):
    """A broker's contract."""

    broker_id: BrokerId
    known: bool = Field(description="false: no adapter of this process speaks to it.")
    limits: ContractLimitsTold | None
    can: AbilitiesTold | None
    hours: HoursTold | None
    sessions: list[SessionTold] = Field(description="Of the markets that lead to it.")
