"""When a key was last used: to the hour, off the path of requests, added up over gateways."""

import asyncio
import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from app.cli import app
from app.domain.values import rfc3339
from app.web.access.key_usage import EVERY_S, add_used, keep_used, read_used, used_path
from app.web.access.keyfile import SCOPES, Grant, create_key, read_keys
from app.web.access.keys import HOUR_MS, Keyring
from tests.virtual import VirtualClock, run_virtual
from tests.web.house import OPENS_AT, Gateway
from tests.web.operators import ADMIN

HOUR = OPENS_AT // HOUR_MS * HOUR_MS


def made(path: Path, clock: Any, *names: str) -> list[str]:
    return [create_key(path, Grant(name, SCOPES, ("*",)), clock) for name in names]


def test_a_use_is_noted_to_the_hour_and_a_refusal_is_none(gateway: Gateway) -> None:
    mina, jun = gateway.key("mina"), gateway.key("jun")
    wrong = {"Authorization": jun["Authorization"][:-4] + "0000"}
    assert gateway.client.get(f"{ADMIN}/keys", headers=wrong).status_code == 401

    for _ in range(2):
        reply = gateway.client.get(f"{ADMIN}/keys", headers=mina)
    shown = {key["name"]: key["last_used_at"] for key in reply.json()["data"]}
    assert shown == {"mina": rfc3339(HOUR), "jun": None}


def test_what_is_new_is_written_once_a_minute_and_read_at_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"

    async def scenario(clock: VirtualClock) -> None:
        tokens = made(path, clock, "mina", "jun", "lee")
        ids = [key.id for key in read_keys(path)]
        first, second = Keyring(path, clock), Keyring(path, clock)
        async with asyncio.TaskGroup() as tasks:
            keeping = [tasks.create_task(keep_used(it, path)) for it in (first, second)]
            first.principal(f"Bearer {tokens[0]}")
            await asyncio.sleep(EVERY_S - 1)
            assert not used_path(path).exists()  # no request waits for a disk
            second.principal(f"Bearer {tokens[1]}")
            await asyncio.sleep(2 * EVERY_S)
            hour = clock.now() // HOUR_MS * HOUR_MS
            assert read_used(path) == dict.fromkeys(sorted(ids[:2]), hour)
            assert first.used == second.used == read_used(path)  # each knows of the other's

            written = used_path(path).stat().st_mtime_ns
            first.principal(f"Bearer {tokens[0]}")
            await asyncio.sleep(2 * EVERY_S)
            assert used_path(path).stat().st_mtime_ns == written  # the same hour: nothing new
            for task in keeping:
                task.cancel()

        again = Keyring(path, clock)
        starting = asyncio.ensure_future(keep_used(again, path))  # noqa: TID251 - a test's own
        await asyncio.sleep(1)
        starting.cancel()
        assert again.used == read_used(path)

    run_virtual(scenario)


def test_a_folder_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"

    async def scenario(clock: VirtualClock) -> None:
        (token,) = made(path, clock, "mina")
        used_path(path).mkdir()  # nobody can put a file there
        keyring = Keyring(path, clock)
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(keep_used(keyring, path))
            keyring.principal(f"Bearer {token}")
            await asyncio.sleep(3 * EVERY_S)
            assert not keeping.done()
            keeping.cancel()
        assert len(keyring.used) == 1

    run_virtual(scenario)


def test_a_key_that_is_no_more_is_forgotten_and_a_later_use_stays(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    run_virtual(lambda clock: _made(path, clock))
    add_used(path, {"a": 3 * HOUR_MS, "b": HOUR_MS}, frozenset({"a", "b"}))

    after = add_used(path, {"a": 2 * HOUR_MS, "c": HOUR_MS}, frozenset({"a", "c"}))
    assert after == read_used(path) == {"a": 3 * HOUR_MS, "c": HOUR_MS}
    for broken in (b"{", b'{"\xff":1}'):
        used_path(path).write_bytes(broken)
        assert read_used(path) == {}


async def _made(path: Path, clock: VirtualClock) -> None:
    made(path, clock, "mina")


def test_the_last_use_is_listed_at_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    run_virtual(lambda clock: _made(path, clock))
    (key,) = read_keys(path)

    def listed() -> object:
        said = CliRunner().invoke(app, ["key", "list", "--json", "--data-dir", str(tmp_path)])
        return json.loads(said.stdout)[0]["last_used_at"]

    assert listed() is None
    add_used(path, {key.id: HOUR}, frozenset({key.id}))
    assert listed() == rfc3339(HOUR)
