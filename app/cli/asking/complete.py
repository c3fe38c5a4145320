"""What a shell offers at the Tab key where the gateway knows the words: brokers, routes, contexts.

It asks once and hardly waits, and whatever goes wrong it offers nothing: the trap is a shell
that hangs, or prints an error into the line that somebody is typing.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import typer

from app.cli.asking import contexts
from app.cli.asking.client import Client
from app.cli.asking.output import Failure, printable
from app.cli.asking.target import DATA_DIR, Wish, nearness_in, target_of
from app.cli.asking.two_ports import ADMIN

# A person at the Tab key feels more than this.
WITHIN_S: Final = 0.8
OFFERED_MAX: Final = 200
Offer = Callable[[typer.Context, str], list[str]]


def context_names(incomplete: str) -> list[str]:
    """Offer the contexts of this person."""
    try:
        return [name for name in contexts.read().known if name.startswith(incomplete)]
    except Failure:
        return []


def offer(path: str, *names: str, role: str = "operator", **only: str) -> Offer:
    """Return a completion that offers what the rows at `path` have under these names.

    `only` says which of the rows: those with just these facts.
    """

    def offered(ctx: typer.Context, incomplete: str) -> list[str]:
        try:
            rows = _asked(ctx, path, role)["data"]
            found = [row for row in rows if all(row.get(k) == v for k, v in only.items())]
            words = dict.fromkeys(_words(found[:OFFERED_MAX], names))
        except (Failure, KeyError, TypeError, ValueError, OSError):
            return []
        return [word for word in words if word.startswith(incomplete)]

    return offered


def _words(rows: Any, names: tuple[str, ...]) -> Iterator[str]:
    for row in rows:
        # What would break the line that is being typed is not offered.
        found = [row.get(name) for name in names]
        yield from (word for word in found if isinstance(word, str) and printable(word) == word)


def _asked(ctx: typer.Context, path: str, role: str) -> Any:
    given = ctx.params
    directory = given.get("data_dir") or DATA_DIR
    named = (given.get("url"), given.get("key"), given.get("context"))
    target = target_of(Wish(*named, Path(directory), nearness_in(ctx), given.get("admin_url")))
    place = (path.startswith(ADMIN) and target.admin_url) or target.url
    client = Client(place, target.key(role), timeout_s=WITHIN_S)
    try:
        return client.get(path)
    finally:
        client.close()


PROPOSALS: Final = "/admin/v1/proposals"
KEYS: Final = "/admin/v1/keys"
ALL_WEBHOOKS: Final = "/admin/v1/webhooks"

broker_ids: Final = offer("/admin/v1/brokers", "broker_id")
route_ids: Final = offer("/admin/v1/routes", "route_id")
doubts: Final = offer("/admin/v1/in-doubt", "order_id")
open_anomalies: Final = offer("/admin/v1/anomalies?state=open", "anomaly_id")
failover_ids: Final = offer("/admin/v1/failovers", "failover_id")
open_proposals: Final = offer(PROPOSALS, "proposal_id", state="open")
held_orders: Final = offer("/admin/v1/orders/held", "order_id")
key_ids: Final = offer(KEYS, "key_id")
all_webhooks: Final = offer(ALL_WEBHOOKS, "endpoint_id")
session_ids: Final = offer("/v1/sessions", "trading_session_id", role="client")
markets: Final = offer("/v1/sessions", "market", role="client")
