"""What operators are told of what leaves the house, as OpenAPI describes it.

As all models of replies they describe and read nothing: see `app/web/brokers/told.py`.
"""

from pydantic import Field

from app.web.told import At, Told


class OutboxTold(Told):
    """What waits for the relay."""

    at: At
    waiting: int = Field(description="Beyond 10,000 roughly.", examples=[3])
    oldest_event_id: str | None = Field(examples=["01KJRZ3VH0S3H6Q1M2N4P5R6T7-3"])
    oldest_type: str | None = Field(examples=["io.openbell.order.filled.v1"])
    oldest_at: At | None = Field(description="As the event itself says.")
    oldest_age_s: float | None = Field(examples=[0.2])
    parked: dict[str, int] | None = Field(
        description="Dead letters by topic; null: the bus did not answer.",
        examples=[{"openbell.orders.v1": 0}],
    )
