"""The words of which every reply's description is made; each brings its example.

They describe and read nothing: what a client sends is read by the models of `schemas.py`.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

At = Annotated[
    str, Field(examples=["2026-03-03T14:30:00.000Z"], json_schema_extra={"format": "date-time"})
]
Day = Annotated[str, Field(examples=["2026-03-03"], json_schema_extra={"format": "date"})]
AccountId = Annotated[str, Field(description="Tag 1.", examples=["A-1"])]
OrderId = Annotated[
    str, Field(description="Tag 37, ours.", examples=["01KJRZ3VH0S3H6Q1M2N4P5R6T7"])
]
SessionId = Annotated[str, Field(description="Tag 336.", examples=["XNAS-2026-03-03-REG"])]
BrokerId = Annotated[str, Field(examples=["north"])]
RouteId = Annotated[str, Field(examples=["XNAS"])]
Version = Annotated[int, Field(ge=0, description="Its ETag.", examples=[3])]
AuditId = Annotated[int, Field(ge=1, description="Its row in the audit log.", examples=[17])]
Tps = Annotated[int, Field(ge=0, examples=[200])]
Person = Annotated[str, Field(examples=["mina"])]
Why = Annotated[str, Field(examples=["the desk asked, OPS-12"])]


class Told(BaseModel):
    """A reply, as the documents describe it."""

    model_config = ConfigDict(extra="forbid")


class WouldTold(Told):
    """What a change would make of a document: a dry run."""

    dry_run: bool = Field(examples=[True])
    before: Any
    after: Any


class SessionTold(Told):
    """One session; `state` is upcoming, open, over or closed_day."""

    trading_session_id: SessionId
    market: str = Field(description="Tag 207.", examples=["XNAS"])
    trade_date: Day = Field(description="Tag 75.")
    opens_at: At
    closes_at: At
    state: str = Field(examples=["upcoming"])


class SessionsTold(Told):
    """What is open, and what follows."""

    data: list[SessionTold]
