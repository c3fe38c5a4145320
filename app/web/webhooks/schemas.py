"""What a client says of his endpoints, and what he is told of them and of their deliveries."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict

from app.domain.webhooks import OVERLAP_S_MAX, DeliveryState
from app.web.clients.queries import Instant
from app.web.clients.schemas import Asked, Name, Words
from app.web.told import Told

DELIVERIES_PAGE_MAX = 500
EXAMPLE: JsonDict = {
    "url": "https://hooks.customer.com/openbell",
    "accounts": ["A-1"],
    "types": ["order.filled", "order.canceled", "order.rejected"],
}
Url = Annotated[str, StringConstraints(pattern=r"^https://", max_length=2_048)]
Account = Name | Literal["*"]
EventType = Annotated[str, StringConstraints(pattern=r"^order\.[a-z_]{1,32}$")]
Accounts = Annotated[list[Account], Field(min_length=1, max_length=100)]
Types = Annotated[list[EventType], Field(max_length=32)]

_URL = "https, a public host, port 443 or 8443; no user, no fragment."
_TYPES = "Such as `order.filled`; empty: each event of an order."


class EndpointAsked(Asked):
    """A new endpoint."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    url: Url = Field(description=_URL)
    accounts: Accounts | None = Field(
        None, description="Whose orders it hears of (tag 1); absent: each account of the key."
    )
    types: Types = Field([], description=_TYPES)
    description: Words = Field("", description="For people.")


class EndpointChanged(Asked):
    """What an endpoint may change to; absent: as it was."""

    url: Url | None = Field(None, description=_URL)
    accounts: Accounts | None = Field(None, description="Whose orders it hears of (tag 1).")
    types: Types | None = Field(None, description=_TYPES)
    description: Words | None = Field(None, description="For people.")
    enabled: bool | None = Field(
        None, description="Disabled, nothing is sent; what happens waits, as far as there is room."
    )


class Rotation(Asked):
    """A new secret, and how long the old one signs beside it."""

    overlap_s: int = Field(86_400, ge=0, le=OVERLAP_S_MAX, description="0: the old one has leaked.")


class ReplayAsked(Asked):
    """What is to be told again."""

    since: Instant = Field(description="Deliveries made from then on; they are kept for 7 days.")
    state: Literal["delivered", "failed"] | None = Field(
        None, description="Only those; absent: both."
    )


class DeliveriesAsked(BaseModel):
    """Which deliveries of an endpoint."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: DeliveryState | None = None
    cursor: str | None = Field(None, max_length=200, description="A next_cursor, as it was given.")
    limit: int = Field(100, ge=1, le=DELIVERIES_PAGE_MAX)


class EndpointTold(Told):
    """One endpoint. Its secret is not in it."""

    endpoint_id: str
    version: int
    url: str
    accounts: list[str]
    types: list[str]
    description: str
    state: str = Field(description="enabled or disabled.")
    disabled_by: str | None = Field(
        description="owner, operator, gone (it answered 410) or failing."
    )
    created_at: str
    changed_at: str
    previous_secret_until: str | None = Field(description="Until then two secrets sign.")
    failing_since: str | None = Field(description="The first failure after the last success.")
    quiet_until: str | None = Field(description="It asked for a rest by Retry-After.")
    missed_events: int = Field(description="Too much waited: list the orders to see these.")
    missed_at: str | None = Field(description="When that was, the last time.")


class SecretTold(EndpointTold):
    """An endpoint with its new secret, this once."""

    secret: str = Field(description="`whsec_…`: it verifies our signatures. Keep it.")


class EndpointsTold(Told):
    """The endpoints of all accounts of the key."""

    data: list[EndpointTold]


class DeliveryTold(Told):
    """One event on its way to one endpoint."""

    delivery_id: str = Field(description="`webhook-id`: apply each once.")
    endpoint_id: str
    event_id: str
    type: str
    state: str = Field(description="waiting, delivered or failed.")
    attempts: int
    next_attempt_at: str | None
    created_at: str
    last_attempt_at: str | None
    last_status: int | None = Field(description="What your server answered.")
    last_error: str | None


class DeliveryWhole(DeliveryTold):
    """A delivery with what is sent."""

    body: str = Field(description="The raw body, as it is signed.")


class DeliveriesTold(Told):
    """A page of deliveries, the newest first."""

    data: list[DeliveryTold]
    has_more: bool
    next_cursor: str | None


class ReplayTold(Told):
    """What waits again. Not `done`: ask again with `next_since`."""

    replayed: int
    done: bool
    next_since: str | None


class EndpointSeen(Told):
    """One endpoint as operators see it: of its URL where it leads, and no path."""

    endpoint_id: str
    url: str
    accounts: list[str]
    types: list[str]
    state: str
    disabled_by: str | None
    version: int
    created_at: str
    changed_at: str
    failing_since: str | None
    missed_events: int


class EndpointsSeen(Told):
    """Every customer's endpoints."""

    data: list[EndpointSeen]
