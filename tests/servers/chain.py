"""Which server a session gets: its address from the environment, a container, one of our own.

In that order, each at most once in a session, and only when a test asks. Who gets none is told
every reason in one line, with what would help.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from tests.servers import fix_quickfix, fix_quickfixj, kafka, mongo, postgres, redis
from tests.servers.container import why_no_engine
from tests.servers.remains import Unavailable
from tests.servers.server import Server
from tests.servers.wishes import ADDRESSES, places, wish


class Ways(NamedTuple):
    """How one service is had, by place."""

    named: Callable[[str], Server]
    in_docker: Callable[[], Server]
    of_our_own: Callable[[], Server]


WAYS: Final = {
    "postgres": Ways(postgres.named, postgres.in_docker, postgres.of_our_own),
    "redis": Ways(redis.named, redis.in_docker, redis.of_our_own),
    "mongo": Ways(mongo.named, mongo.in_docker, mongo.of_our_own),
    "kafka": Ways(kafka.named, kafka.in_docker, kafka.of_our_own),
    "quickfix": Ways(fix_quickfix.named, fix_quickfix.in_docker, fix_quickfix.of_our_own),
    "quickfixj": Ways(fix_quickfixj.named, fix_quickfixj.in_docker, fix_quickfixj.of_our_own),
}

_got: dict[str, Server] = {}
_why_not: dict[str, str] = {}


def get(service: str) -> Server:
    """Return the session's server; raise Unavailable, with every reason, where none can be had."""
    if service in _why_not:
        raise Unavailable(_why_not[service])
    if service not in _got:
        reasons: list[str] = []
        for place in places():
            try:
                _got[service] = _from(place, service)
                break
            except Unavailable as e:
                reasons.append(str(e))
        else:
            _why_not[service] = f"{service}: {'; '.join(reasons)}"
            raise Unavailable(_why_not[service])
    return _got[service]


def _from(place: str, service: str) -> Server:
    ways = WAYS[service]
    if place == "env":
        address = wish(ADDRESSES[service])
        if not address:
            raise Unavailable(f"{ADDRESSES[service]} not set")
        # Named and unreachable is not "not there": whoever named it wants to hear about it.
        return ways.named(address)
    if place == "docker":
        if reason := why_no_engine():
            raise Unavailable(reason)
        return ways.in_docker()
    return ways.of_our_own()


def started() -> list[Server]:
    """Return the session's servers so far."""
    return list(_got.values())


def told() -> list[str]:
    """Return a line for each service that was asked for: what it runs on, or why not."""
    ran = [f"{name}: {server.on}" for name, server in _got.items()]
    return sorted(ran + [f"{why} (none)" for why in _why_not.values()])
