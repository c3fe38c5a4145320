"""What operators send about a breaker: its numbers within their bounds, and its reset.

The bounds stand in `domain.breaking`, once; a schema that wrote them again would be another law.
"""

from typing import Any, Literal

from pydantic import Field

from app.domain.breaking import BOUNDS, USUAL, as_facts
from app.web.clients.schemas import Asked
from app.web.operator_schemas import Reason, Ttl


def _bounded(name: str, words: str) -> Any:
    least, most = BOUNDS[name]
    usual = as_facts(USUAL)[name]
    return Field(None, ge=least, le=most, description=words, examples=[usual])


class BreakerNumbers(Asked):
    """A merge patch: what is absent stays, what is null goes back to the usual number."""

    failures_max: int | None = _bounded("failures_max", "So many failures in a row open it.")
    failure_rate: float | None = _bounded("failure_rate", "This share of failures opens it.")
    slow_rate: float | None = _bounded("slow_rate", "This share of slow answers opens it.")
    slow_s: float | None = _bounded("slow_s", "An answer that takes longer is slow.")
    window_s: int | None = _bounded("window_s", "The shares are of so many seconds.")
    calls_min: int | None = _bounded("calls_min", "Fewer calls in the window say nothing.")
    open_s: float | None = _bounded("open_s", "It waits so long at first, then twice that.")
    open_s_max: float | None = _bounded("open_s_max", "It waits no longer than that.")
    calm_s: float | None = _bounded("calm_s", "Closed for so long, the waits begin anew.")
    jitter: float | None = _bounded("jitter", "The waits are spread by this share.")
    trials: int | None = _bounded("trials", "So many answered trials close it.")
    trials_in_flight_max: int | None = _bounded("trials_in_flight_max", "At once.")
    half_open_s_max: float | None = _bounded("half_open_s_max", "A trial out so long is lost.")
    ping_s_max: float | None = _bounded("ping_s_max", "A ping that takes longer has failed.")
    ttl_s: Ttl | None = None
    reason: Reason


class BreakerReset(Asked):
    """How a broker is asked again."""

    to: Literal["half_open", "closed"] = Field(
        "half_open",
        description="half_open: a ping, then trials. closed: at once; it wants X-Confirm.",
    )
    reason: Reason
