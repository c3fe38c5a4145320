"""Servers in containers, where a Docker engine answers; asked once, for two seconds at most."""

import contextlib
import functools
import gc
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter, sleep
from types import MappingProxyType
from typing import Final

from app.cli.stage.ports import free_port
from tests.servers import remains
from tests.servers.remains import Unavailable

START_S_MAX: Final = 90.0
ASK_EVERY_S: Final = 0.1


@functools.cache
def why_no_engine() -> str | None:
    """Return None where an engine answers, else the reason."""
    with warnings.catch_warnings():
        # A client that finds no engine drops its socket open, and says so when it is collected.
        warnings.simplefilter("ignore", ResourceWarning)
        reason = _ask_the_engine()
        gc.collect()
    return reason


def _ask_the_engine() -> str | None:
    try:
        import docker  # type: ignore[import-untyped]  # noqa: PLC0415 - it comes with testcontainers, and only tests have that

        with contextlib.closing(docker.from_env(timeout=2)) as client:
            client.ping()
    except Exception as e:  # noqa: BLE001 - whatever it is, there is no engine for us
        return f"no Docker engine ({type(e).__name__})"
    return None


@dataclass(frozen=True)
class _Running:
    """A container that ends with us."""

    stop: Callable[[], None]

    def ask_to_end(self) -> None:
        """Do nothing: its stop is quick."""


def run_container(
    image: str,
    *,
    port: int,
    ready: Callable[[str, int], None],
    settings: Mapping[str, str] | Callable[[str, int], Mapping[str, str]] = MappingProxyType({}),
    command: str = "",
) -> tuple[str, int]:
    """Run an image; return the address of its port once `ready` does not raise.

    The outer port is chosen before the start, since Kafka must be told its own address. The
    reaper of testcontainers removes it when this process has ended without a word.
    """
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - see above

    outer = free_port()
    container = DockerContainer(image).with_bind_ports(port, outer)
    # By number: a name may lead to an address at which the container does not listen.
    host = container.get_docker_client().host().replace("localhost", "127.0.0.1")
    chosen = settings(host, outer) if callable(settings) else settings
    for name, value in chosen.items():
        container.with_env(name, value)
    if command:
        container.with_command(command)
    try:
        container.start()
    except Exception as e:
        raise Unavailable(f"docker could not run {image}: {type(e).__name__}: {e}") from e
    remains.started(_Running(container.stop))
    give_up_at = perf_counter() + START_S_MAX
    while True:
        try:
            ready(host, outer)
        except Exception as e:
            if perf_counter() > give_up_at:
                raise Unavailable(f"{image} not ready in {START_S_MAX} s: {e}") from e
            sleep(ASK_EVERY_S)
        else:
            return host, outer
