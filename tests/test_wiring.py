"""What the root of the house opens it closes again, whether or not the house comes to stand.

The trap is a start that fails in its last step: by then brokers and stores are open, and nobody has
a gateway yet by which to close them.
"""

import asyncio
import gc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app.ledger.schema import upgrade
from app.main import listen, serve
from app.settings import BrokerSettings, Settings
from app.sqlite import Database
from app.wiring import open_gateway
from tests.dispatch.rig import ScriptedBroker

FILES: Final = ("ledger.db", "bus.db", "book.db")


class Closable(ScriptedBroker):
    """A broker that tells when it is let go of."""

    def __init__(self, name: str, told: list[str], *, fails: bool = False) -> None:
        super().__init__()
        self.name = name
        self._told = told
        self._fails = fails

    async def close(self) -> None:
        self._told.append(self.name)
        if self._fails:
            raise OSError(f"{self.name} hung up")


Installs = Callable[..., None]


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def installs(monkeypatch: pytest.MonkeyPatch, told: list[str]) -> Installs:
    """Install an adapter for each broker that the settings name; one may fail at its end."""

    def install(*failing: str) -> None:
        def load(adapter: str, options: Mapping[str, Any]) -> Closable:
            assert adapter == "closable", adapter
            return Closable(options["name"], told, fails=options["name"] in failing)

        monkeypatch.setattr("app.wiring.load", load)

    return install


def settings_of(directory: Path, *adapters: str) -> Settings:
    names = ("north", "south")
    brokers = {n: BrokerSettings(adapter=a) for n, a in zip(names, adapters, strict=True)}
    return Settings(data_dir=directory, brokers=brokers)


def can_be_opened(directory: Path) -> bool:
    for name in FILES:
        Database(directory / name).close()  # or `InUse`
    return True


def test_a_house_that_cannot_be_furnished_is_left_as_it_was_found(
    tmp_path: Path, told: list[str], installs: Installs
) -> None:
    installs()
    database = Database(tmp_path / "ledger.db")
    upgrade(database)
    database.write_now(lambda c: c.execute(text("DROP TABLE broker_control")))
    database.close()
    with pytest.raises(OperationalError, match="broker_control"):
        asyncio.run(open_gateway(settings_of(tmp_path, "closable", "closable")))

    assert sorted(told) == ["north", "south"]
    assert can_be_opened(tmp_path)


def test_a_broker_that_cannot_be_built_closes_those_before_it(
    tmp_path: Path, told: list[str], installs: Installs
) -> None:
    installs()
    with pytest.raises(AssertionError, match="nonsense"):
        asyncio.run(open_gateway(settings_of(tmp_path, "closable", "nonsense")))

    assert told == ["north"]
    assert list(tmp_path.glob("*.db")) == []


@pytest.mark.parametrize("failing", [("north",), ("south",), ("north", "south")])
def test_a_broker_whose_end_goes_wrong_keeps_nothing_else_open(
    tmp_path: Path, told: list[str], installs: Installs, failing: tuple[str, ...]
) -> None:
    installs(*failing)

    async def visit() -> None:
        gateway = await open_gateway(settings_of(tmp_path, "closable", "closable"))
        await gateway.close()

    with pytest.raises(OSError, match="hung up"):
        asyncio.run(visit())

    assert sorted(told) == ["north", "south"]
    assert can_be_opened(tmp_path)


def test_a_loop_that_fails_ends_the_house_though_another_loses_the_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def deaf(*_: object) -> None:
        try:
            begun.set()
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(60)

    async def fails(_: object) -> None:
        await begun.wait()
        raise OSError("a loop")

    monkeypatch.setattr("app.main.keep_used", deaf)
    monkeypatch.setattr("app.wiring.Gateway.run", fails)
    monkeypatch.setattr("app.ending.AGAIN_S", 0.1)
    settings = Settings(data_dir=tmp_path, port=0)

    async def story() -> bool:
        with listen(settings) as bound:
            serving = asyncio.ensure_future(serve(settings, bound))  # noqa: TID251 - see the name
            await asyncio.wait({serving}, timeout=60)
            return serving.done() and isinstance(serving.exception(), ExceptionGroup)

    thresholds = gc.get_threshold()
    try:
        assert asyncio.run(story())
    finally:  # a server collects its garbage rarely; the tests that follow do not
        gc.unfreeze()
        gc.set_threshold(*thresholds)
    assert can_be_opened(tmp_path)
