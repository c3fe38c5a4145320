"""What operators are told of a breaker's numbers, as OpenAPI describes it.

As all models of replies they describe and read nothing: see `app/web/brokers/told.py`.
"""

from pydantic import Field

from app.web.told import At, BrokerId, Told, Version


class BreakerNumbersTold(Told):
    """When a circuit opens, and how it comes back."""

    failures_max: int = Field(description="In a row.", examples=[20])
    failure_rate: float = Field(examples=[0.5])
    slow_rate: float = Field(examples=[0.8])
    slow_s: float
    window_s: int = Field(examples=[10])
    calls_min: int = Field(examples=[50])
    open_s: float = Field(description="Doubling with each trip.", examples=[5.0])
    open_s_max: float = Field(examples=[60.0])
    calm_s: float = Field(examples=[300.0])
    jitter: float = Field(examples=[0.1])
    trials: int = Field(examples=[5])
    trials_in_flight_max: int = Field(examples=[2])
    half_open_s_max: float = Field(examples=[15.0])
    ping_s_max: float = Field(examples=[5.0])


class BreakerConfigTold(Told):
    """A breaker's numbers: in force, and as they are by themselves."""

    broker_id: BrokerId
    version: Version
    numbers: BreakerNumbersTold
    turned: list[str] = Field(description="Which of them people have set.", examples=[["open_s"]])
    usual: BreakerNumbersTold
    expires_at: At | None = Field(description="Of whatever is set for a time on this broker.")
