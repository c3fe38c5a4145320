"""What this gateway was started with: each setting, its value, where that comes from.

`openbell config show` says what one would be started with; here is what acts in this process,
whatever has been changed around it since. What operators set at run time is no setting: it stands
in the ledger, and at the doors of what it is about. The trap is a secret in a reply: see
`app/effective.py`.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from app.web.house import House
from app.web.shapes import instant
from app.web.spec import Call, Reply, Spec, ok
from app.web.told import At, Told


class SettingTold(Told):
    """One setting."""

    setting: str = Field(examples=["port"])
    value: Any = Field(description="A secret is told as (secret).", examples=[8080])
    origin: str = Field(
        description="Its variable, command line, or default.", examples=["OPENBELL_PORT"]
    )


class ConfigTold(Told):
    """What a gateway was started with."""

    at: At
    data: list[SettingTold]


class Configuration:
    """The settings of this process."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def shown(self, call: Call[None, None]) -> Reply:  # noqa: ARG002 - doors are alike
        """Show every setting that acts in this process, and where it comes from."""
        found = [one._asdict() for one in self._house.effective]
        return ok({"at": instant(self._house.clock.now()), "data": found})


def configuration_specs(house: House) -> Sequence[Spec[Any, Any]]:
    return (
        Spec(
            method="GET",
            path="/admin/v1/config",
            name="get_config",
            scope="admin:read",
            handler=Configuration(house).shown,
            answers={200: ConfigTold},
        ),
    )
