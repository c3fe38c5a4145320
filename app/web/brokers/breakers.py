"""The doors of a breaker's own numbers, and of its reset; `dials` says who rules it.

None of them can send an order twice: a circuit only says when to ask a broker again, and what is
in doubt stays in doubt whatever it says. The trap is a reset that floods a broker which is sick
still: half open is what a reset means by itself, a ping and then a few trials, and closing it at
once wants the broker's name beside it.
"""

from collections.abc import Sequence
from typing import Any, Final

from app.domain.breaking import NAMES, USUAL, as_facts, contradiction, numbers_of
from app.domain.errors import Code
from app.domain.records import BrokerControl
from app.domain.tuning import CIRCUIT, circuit_of, tuning_of, with_facts
from app.web.brokers.breaker_told import BreakerConfigTold
from app.web.brokers.breaker_words import BreakerNumbers, BreakerReset
from app.web.brokers.dials import Dials
from app.web.brokers.doors import BROKER, SEE, turning
from app.web.house import House
from app.web.operator_schemas import Preview
from app.web.problems import invalid_at
from app.web.shapes import instant
from app.web.spec import Call, Reply, Spec, etag, json_of, ok

CONFIG: Final = f"{BROKER}/breaker/config"


class Breakers:
    """When a breaker opens, and how it is asked again."""

    def __init__(self, dials: Dials) -> None:
        self._dials = dials

    async def config(self, call: Call[None, None]) -> Reply:
        """Show the numbers that are in force, which of them people have turned, and the usual."""
        control = await self._dials.control(call)
        return ok(_shape(control), etag(control.version))

    async def set_config(self, call: Call[BreakerNumbers, Preview]) -> Reply:
        """Turn some of the numbers; what is absent stays, null goes back to the usual number."""
        control = await self._dials.seen(call)
        given = [name for name in NAMES if name in call.body.model_fields_set]
        if not given:
            raise invalid_at(NAMES[0], "expected at least one number to change")
        facts = {f"{CIRCUIT}{name}": getattr(call.body, name) for name in given}
        wrong = contradiction(circuit_of(tuning_of(with_facts(control, facts))))
        if wrong is not None:
            raise invalid_at(*wrong)
        return await self._dials.set(call, facts, call.body.ttl_s)

    async def reset(self, call: Call[BreakerReset, Preview]) -> Reply:
        """Ask a broker again now: behind a ping and trials, or, confirmed, at the full rate.

        It acts once, where the lane runs. To undo it takes back the word, and not what the
        circuit has done since. An override stands above it.
        """
        control = await self._dials.seen(call)
        facts = {"reset_version": control.version + 1, "reset_to": call.body.to}
        return await self._dials.set(call, facts, None)


def _shape(control: BrokerControl) -> dict[str, Any]:
    turned = dict(tuning_of(control).circuit)
    return {
        "broker_id": control.broker_id,
        "version": control.version,
        "numbers": as_facts(numbers_of(turned)),
        "turned": sorted(turned),
        "usual": as_facts(USUAL),
        "expires_at": instant(control.expires_at),
    }


def _closed(call: Call[BreakerReset, Any]) -> str | None:
    """Return what a reset is confirmed by: to close asks a broker at its full rate at once."""
    return call.part("broker_id") if call.body.to == "closed" else None


def breaker_specs(house: House) -> Sequence[Spec[Any, Any]]:
    breakers = Breakers(Dials(house))
    return (
        Spec(
            method="GET",
            path=CONFIG,
            name="get_breaker_config",
            scope=SEE,
            handler=breakers.config,
            answers={200: BreakerConfigTold},
            shows=("ETag",),
            refuses=(Code.NOT_FOUND,),
        ),
        turning(
            "PATCH",
            CONFIG,
            "set_breaker_config",
            breakers.set_config,
            json_of(BreakerNumbers),
        ),
        turning(
            "POST",
            f"{BROKER}/breaker/reset",
            "reset_breaker",
            breakers.reset,
            json_of(BreakerReset),
            beyond=(Code.CONFIRM_REQUIRED,),
            names=_closed,
        ),
    )
