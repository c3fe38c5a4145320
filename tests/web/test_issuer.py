"""The issuer's keys: fetched beside the requests, once for all, and kept while it is away."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import ValidationError

from app.domain.errors import Refused
from app.settings import OperatorSettings
from app.web.access.issuer import AGAIN_NS, Issuer, open_issuer
from app.web.access.issuer_keys import BYTES_MAX, FileSource, KeysAway, UrlSource
from tests.virtual import BEFORE_THE_BELL, VirtualClock, run_virtual
from tests.web.issuer import AUDIENCE, ISSUER, TERMS, StillSource, claims, jwk, key_set, token

NOW: Final = BEFORE_THE_BELL


def shown(kid: str = "ed-1", now: int = NOW) -> str:
    return f"Bearer {token(claims(now), kid)}"


def opens(issuer: Issuer, kid: str = "ed-1", now: int = NOW) -> bool:
    try:
        return issuer.principal(shown(kid, now)).name == "oidc:mina"
    except Refused:
        return False


Story = Callable[[VirtualClock, Issuer, StillSource], Coroutine[Any, Any, None]]


def told(story: Story) -> None:
    async def scenario(clock: VirtualClock) -> None:
        source = StillSource()
        await story(clock, Issuer(TERMS, source, clock), source)

    run_virtual(scenario)


def test_who_waits_for_the_keys_shares_one_answer() -> None:
    async def story(clock: VirtualClock, issuer: Issuer, source: StillSource) -> None:
        tokens = [shown(), shown("ed-2"), shown("ec-1")] * 30
        await asyncio.gather(*map(issuer.prepare, tokens))

        assert opens(issuer)
        assert source.asked == 1
        assert clock.now() - NOW == 100

    told(story)


def test_a_strange_kid_has_the_keys_fetched_once_in_half_a_minute() -> None:
    async def story(clock: VirtualClock, issuer: Issuer, source: StillSource) -> None:
        asked = []
        for _ in range(63):
            clock.set_now(NOW)  # the wall may stand still: it is not what is counted by
            await issuer.prepare(shown("ed-2"))
            await issuer.prepare(shown())  # known: nobody is asked
            await issuer.prepare("Bearer ob_live_1_2")
            asked.append(source.asked)
            await asyncio.sleep(1)

        assert [asked.count(n) for n in (1, 2)] == [30, 30]
        assert AGAIN_NS == 30_000_000_000

    told(story)


def test_the_last_good_set_stays_in_force_while_the_issuer_is_away() -> None:
    async def story(clock: VirtualClock, issuer: Issuer, source: StillSource) -> None:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(issuer.run())
            await asyncio.sleep(1)
            assert (opens(issuer), issuer.trouble) == (True, None)

            for away in (
                KeysAway("TimeoutError"),
                b"<html>",
                b'{"keys":[]}',
                key_set(jwk("ed-1", use="enc")),
            ):
                source.document = away
                await asyncio.sleep(600)
                assert opens(issuer, now=clock.now())
                assert issuer.trouble is not None

            asked = source.asked
            source.document = key_set(jwk("ed-2"))
            await asyncio.sleep(31)  # while there is trouble, it is asked every half minute
            assert source.asked == asked + 1
            assert issuer.trouble is None
            assert opens(issuer, "ed-2", clock.now())
            assert not opens(issuer, "ed-1", clock.now())  # a key that was taken out is out
            running.cancel()

    told(story)


def test_before_the_first_set_nobody_opens_and_the_start_does_not_wait() -> None:
    async def story(_: VirtualClock, issuer: Issuer, source: StillSource) -> None:
        source.document = KeysAway("ClientConnectorError")
        assert not opens(issuer)
        await issuer.prepare(shown())
        assert issuer.trouble == "the keys of operators' tokens: ClientConnectorError"

        source.document = key_set(jwk("ed-1"))
        await asyncio.sleep(30)
        await issuer.prepare(shown())
        assert opens(issuer)
        assert issuer.trouble is None

    told(story)


# --- where the keys are ---------------------------------------------------------------------


def answered(answer: bytes, *, then_waits: bool = False, timeout_s: float = 3.0) -> bytes:
    """Return what is fetched from a server on this machine that says just this."""

    async def scenario() -> bytes:
        gone = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            with suppress(ConnectionError):  # whoever has heard enough goes
                writer.write(answer)
                await writer.drain()
                if then_waits:
                    await reader.read()
                writer.close()
                await writer.wait_closed()
            gone.set()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with asyncio.timeout(30):
                try:
                    return await UrlSource(f"http://127.0.0.1:{port}/jwks", timeout_s).fetch()
                finally:
                    await gone.wait()

    return asyncio.run(scenario())


def reply(body: bytes, status: bytes = b"200 OK", *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"", body])


def test_a_published_set_is_fetched() -> None:
    assert answered(reply(key_set(jwk("ed-1")))) == key_set(jwk("ed-1"))


@pytest.mark.parametrize(
    "answer",
    [
        reply(b"", b"302 Found", b"Location: http://127.0.0.1:9/"),
        reply(b"{}", b"500 Oops"),
        reply(b"x" * (BYTES_MAX + 1)),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + (b"ffff\r\n" + b"x" * 65_535 + b"\r\n") * 2,
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"what?\r\n\r\n",
        b"",
    ],
)
def test_what_is_no_answer_is_none(answer: bytes) -> None:
    with pytest.raises(KeysAway):
        answered(answer)


def test_a_slow_issuer_is_away() -> None:
    with pytest.raises(KeysAway, match="Timeout"):
        answered(b"HTTP/1.1 200 OK\r\nContent-Le", then_waits=True, timeout_s=0.05)


def test_a_set_in_a_file_is_read_within_bounds(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    source = FileSource(path)
    with pytest.raises(KeysAway, match="No such file"):
        asyncio.run(source.fetch())

    path.write_bytes(key_set(jwk("ed-1")))
    assert asyncio.run(source.fetch()) == key_set(jwk("ed-1"))

    path.write_bytes(b"x" * (BYTES_MAX + 1))
    with pytest.raises(KeysAway, match="at most"):
        asyncio.run(source.fetch())

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(KeysAway, match="expected a file"):
        asyncio.run(asyncio.wait_for(FileSource(pipe).fetch(), 20))


# --- settings -------------------------------------------------------------------------------


def settings(**given: Any) -> OperatorSettings:
    return OperatorSettings(issuer=ISSUER, audience=AUDIENCE, **given)


def test_a_file_and_the_issuers_own_words_make_an_issuer(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_bytes(key_set(jwk("ed-1")))

    async def scenario(clock: VirtualClock) -> None:
        named = settings(jwks_file=path, role_claim="groups", roles={"desk-7": "approver"})
        issuer = open_issuer(named, clock)
        said = claims(clock.now(), groups=["desk-7", "viewer"])
        await issuer.prepare(f"Bearer {token(said)}")
        who = issuer.principal(f"Bearer {token(said)}")
        assert "admin:approve" in who.scopes
        assert "admin:tune" not in who.scopes

        # Whoever changes a file stands there and waits.
        path.write_bytes(key_set(jwk("ed-2")))
        await asyncio.sleep(1)
        await issuer.prepare(shown("ed-2"))
        assert opens(issuer, "ed-2", clock.now())

    run_virtual(scenario)


@pytest.mark.parametrize(
    "where",
    [
        {},
        {"jwks_url": "https://id.example/jwks", "jwks_file": "jwks.json"},
        {"jwks_url": "http://id.example/jwks"},
        {"jwks_url": "http://127.0.0.1.example/jwks"},
        {"jwks_url": "http://localhost@id.example/jwks"},
        {"jwks_url": "https://mina:secret@id.example/jwks"},
        {"jwks_url": "ftp://id.example/jwks"},
        {"jwks_url": "file:///etc/jwks"},
        {"jwks_file": "jwks.json", "roles": {"desk": "admin"}},
    ],
)
def test_keys_come_by_tls_or_from_here(where: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**where)


@pytest.mark.parametrize(
    "url", ["https://id.example/jwks?p=policy", "http://127.0.0.1:8081/jwks", "http://[::1]/jwks"]
)
def test_an_address_that_nobody_else_can_answer_is_taken(url: str) -> None:
    assert settings(jwks_url=url).jwks_url == url
