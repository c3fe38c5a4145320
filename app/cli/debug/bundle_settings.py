"""The settings as a ticket may show them, and what in them is secret wherever else it stands.

What is shown is on a list, name by name; everything else is withheld. The trap is the other way
round: a list of what is secret, and next year's setting that nobody put on it.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from app.cli.asking.client import FIRST_KEYS
from app.cli.asking.redaction import OPTIONS, is_secret_name

WITHHELD: Final = "(withheld)"
ANY: Final = "*"
# By where they stand; what opens an address is cut out of it before it comes here.
TOLD: Final = frozenset(
    {
        *("data_dir", "host", "port", "role", "environment", "docs", "view", "unlimited"),
        *("bus_keep_s", "drain_s", "keep_alive_s", "crash_at", "instruments_file", "keys_file"),
        *("ledger_url", "redis_url", "routes.*", "webhooks.hosts", "webhooks.loopback"),
        *("brokers.*.adapter", "brokers.*.orders_per_second", "brokers.*.drill_url"),
        *("kafka.bootstrap", "kafka.partitions", "kafka.replication", "kafka.min_insync"),
        *("kafka.tls", "kafka.tls_ca_file", "kafka.sasl_mechanism"),
        *("mongo.url", "mongo.database", "mongo.driver"),
        *("quotas.key_orders_per_second", "quotas.account_orders_per_second"),
        *("quotas.global_orders_per_second", "quotas.key_reads_per_second"),
        "quotas.key_cancels_per_second",
        *("slack.channel", "slack.console_url", "slack.api_url"),
        *("admin_host", "admin_port"),
        *("hooks.*.hmac_header", "hooks.*.hmac_timestamp_header"),
        *("operators.issuer", "operators.audience", "operators.jwks_url", "operators.jwks_file"),
        *("operators.role_claim", "operators.roles.*"),
    }
)
# Of these the names below are somebody's own.
_NAMED: Final = (("routes",), ("brokers",), ("hooks",), ("operators", "roles"))


def told_here(settings: Any) -> list[dict[str, Any]]:
    """Return the settings of this machine as a ticket may show them."""
    from app.effective import effective
    from app.settings import PREFIX, environment

    given = settings.model_fields_set
    return _rows(one._asdict() for one in effective(settings, given, environment(), PREFIX))


def told_of_a_gateway(document: Any) -> dict[str, Any]:
    """Return what a gateway's own door says, whatever that gateway thinks is secret."""
    return {"at": document["at"], "data": _rows(document["data"])}


def _rows(rows: Any) -> list[dict[str, Any]]:
    return [
        {
            "setting": row["setting"],
            "value": _told((str(row["setting"]),), row["value"]),
            "origin": row["origin"],
        }
        for row in rows
    ]


def _told(place: tuple[str, ...], value: Any) -> Any:
    if value is None or value == {}:
        return value
    if isinstance(value, dict):
        return {name: _told((*place, str(name)), one) for name, one in value.items()}
    return value if name_of(place) in TOLD else WITHHELD


def name_of(place: tuple[str, ...]) -> str:
    """Return a place among the settings, with a star for a name that somebody gave."""
    for named in _NAMED:
        if place[: len(named)] == named and len(place) > len(named):
            place = (*named, ANY, *place[len(named) + 1 :])
    return ".".join(place)


def secrets_here(settings: Any, data_dir: Path, keys: list[str]) -> Iterator[str]:
    """Yield every secret that this machine knows: of settings, of key files, of contexts."""
    from app.settings import environment

    yield from (key for key in keys if key)
    # As it was given as well: what cannot be read as settings is no less secret.
    yield from _of_settings("", {name: _parsed(text) for name, text in environment().items()})
    if settings is not None:
        yield from _of_settings("", settings)
    try:
        first = json.loads((data_dir / FIRST_KEYS).read_text("utf-8"))
        yield from (str(key) for key in first.values())
    except (OSError, ValueError, AttributeError):
        pass
    for pepper in data_dir.glob("*.pepper"):
        try:
            yield pepper.read_bytes().hex()
        except OSError:
            continue


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _of_settings(name: str, value: Any) -> Iterator[str]:
    if hasattr(value, "get_secret_value"):
        yield value.get_secret_value()
        return
    if hasattr(value, "model_fields_set"):
        value = {inner: one for inner, one in value}  # noqa: C416 - dict() asks for its `keys`
    match value:
        case dict():
            for inner, one in value.items():
                yield from _of_settings(name if name == OPTIONS else str(inner), one)
        case list() | tuple():
            for one in value:
                yield from _of_settings(name, one)
        case str():
            hidden = is_secret_name(name) or (name == OPTIONS and "://" not in value)
            yield from [value] if hidden else []
            yield from _of_address(value)
        case _:
            pass


def _of_address(text: str) -> Iterator[str]:
    """Yield what opens an address: its password, and what its query says of one."""
    _, is_address, rest = text.partition("://")
    if not is_address:
        return
    # Up to the last @, as drivers read it: a password may have an @ or a ? in it.
    password = rest.rpartition("@")[0].partition(":")[2]
    if password:
        yield password
    for name, value in parse_qsl(rest.rpartition("?")[2]):
        if is_secret_name(name):
            yield value
