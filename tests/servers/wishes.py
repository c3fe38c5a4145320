"""What the environment asks of the test servers: the one file of the tests that reads it.

OPENBELL_TEST_POSTGRES_URL, _REDIS_URL, _MONGO_URL, _KAFKA_BOOTSTRAP   use that server
OPENBELL_TEST_QUICKFIX_URL, _QUICKFIXJ_URL   use that acceptor (see fix.py for its shape)
OPENBELL_TEST_BACKENDS=env,docker,local    look only in these places
OPENBELL_TEST_POSTGRES_BIN                 a directory with initdb and postgres
OPENBELL_TEST_KAFKA_CLASSPATH              Apache Kafka's class path
OPENBELL_TEST_QUICKFIXJ_CLASSPATH          QuickFIX/J's class path
OPENBELL_REQUIRE=postgres,kafka:session_expiry    what is missing is a failure, not a skip
"""

import os
from typing import Final

PLACES: Final = ("env", "docker", "local")
ADDRESSES: Final = {
    "postgres": "OPENBELL_TEST_POSTGRES_URL",
    "redis": "OPENBELL_TEST_REDIS_URL",
    "mongo": "OPENBELL_TEST_MONGO_URL",
    "kafka": "OPENBELL_TEST_KAFKA_BOOTSTRAP",
    "quickfix": "OPENBELL_TEST_QUICKFIX_URL",
    "quickfixj": "OPENBELL_TEST_QUICKFIXJ_URL",
}


def wish(name: str) -> str:
    return os.environ.get(name, "").strip()  # noqa: TID251 - tests have no settings


def _words(name: str) -> list[str]:
    return [word.strip() for word in wish(name).split(",") if word.strip()]


def places() -> list[str]:
    """Where to look for a server, in the order of the chain."""
    wanted = _words("OPENBELL_TEST_BACKENDS") or PLACES
    unknown = sorted(set(wanted) - set(PLACES))
    if unknown:
        raise ValueError(f"OPENBELL_TEST_BACKENDS: expected some of {PLACES}, was {unknown}")
    return [place for place in PLACES if place in wanted]


def is_required(service: str, capability: str | None = None) -> bool:
    """Tell whether a missing server, or a missing capability of one, is a failure."""
    required = _words("OPENBELL_REQUIRE")
    if capability is not None:
        return f"{service}:{capability}" in required
    return any(word.split(":")[0] == service for word in required)


def without_settings() -> dict[str, str]:
    """Return the environment for a gateway, without settings that were meant for another."""
    kept = os.environ.items()  # noqa: TID251 - see above
    return {name: it for name, it in kept if not name.startswith("OPENBELL_")}
