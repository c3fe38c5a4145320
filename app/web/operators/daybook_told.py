"""What operators are told of the days of the ledger, as OpenAPI describes it.

As all models of replies they describe and read nothing: see `app/web/brokers/told.py`.
"""

from pydantic import Field

from app.web.told import At, Day, Told


class DayTold(Told):
    """The tables of one trade date."""

    trade_date: Day
    state: str = Field(description="attached, detached or detaching.", examples=["attached"])
    archived: bool
    orders: int = Field(examples=[312400])
    is_rough: bool = Field(description="There are at most so many orders.")
    stays: str | None = Field(
        description="Why it does not leave though it is old enough.",
        examples=["an attempt of it is open"],
    )


class DayStepTold(Told):
    """What is done next, and why."""

    step: str = Field(examples=["create"])
    trade_date: Day
    reason: str = Field(examples=["a session to come needs it"])


class DaysTold(Told):
    """The days of the ledger."""

    at: At
    days: list[DayTold] = Field(description="The latest first.")
    next: list[DayStepTold] = Field(description="In this order; a step that fails is tried again.")
    looked_for_work: bool = Field(
        description="Whether old days were asked for open orders: not while a market is open."
    )
    attached: int | None
    days_ahead: int | None = Field(description="Below 2 somebody must look.", examples=[10])
    made_late: int | None = Field(description="By the first order of a day.")
    trouble: str | None = Field(
        description="What went wrong; if nothing can be planned for it, no day is told either."
    )
