"""For machines that watch us, and for people who read: probes, metrics, documents.

`/livez` looks at no dependency, because a ledger that is down at the open must not restart the
fleet; `/readyz` asks only whether an order can be made durable now.
"""

import asyncio
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.bus import asyncapi
from app.domain.errors import Code
from app.web.access.keys import not_there
from app.web.gauges import Gauges
from app.web.house import House
from app.web.openapi.reference_page import docs_page
from app.web.problems import error_page
from app.web.spec import Call, Reply, Spec, ok

HTML: Final = b"text/html; charset=utf-8"
Document = Callable[[], dict[str, Any]]


class Probes:
    """The doors without a lock: they show nothing of any customer."""

    def __init__(self, house: House, document: Document) -> None:
        self._house = house
        self._document = document
        self._gauges = Gauges(house.registry)

    async def livez(self, call: Call[None, None]) -> Reply:  # noqa: ARG002 - doors are alike
        """Say whether the loop turns."""
        alive = self._house.health.alive()
        return ok({"status": "ok" if alive else "stuck"}, status=200 if alive else 503)

    async def readyz(self, call: Call[None, None]) -> Reply:  # noqa: ARG002
        """Say whether a durable accept is possible, and else why not."""
        health = self._house.health
        reasons = health.not_ready()
        if health.draining:
            reasons = ["draining", *reasons]
        told = {"status": "not ready" if reasons else "ready", "reasons": reasons}
        return ok(told, status=503 if reasons else 200)

    async def startupz(self, call: Call[None, None]) -> Reply:  # noqa: ARG002
        """Say whether recovery is done."""
        started = self._house.health.started
        told = {"status": "started" if started else "starting"}
        return ok(told, status=200 if started else 503)

    async def metrics(self, call: Call[None, None]) -> Reply:  # noqa: ARG002
        """Show the counters as Prometheus reads them."""
        await self._gauges.read(self._house)
        text = generate_latest(self._house.registry)
        return Reply(200, text, content_type=CONTENT_TYPE_LATEST.encode())

    async def error(self, call: Call[None, None]) -> Reply:
        """Explain one code."""
        try:
            code = Code.of(call.part("code"))
        except KeyError:
            raise not_there() from None
        return Reply(200, error_page(code).encode(), content_type=HTML)

    async def openapi(self, call: Call[None, None]) -> Reply:  # noqa: ARG002
        """Show the API for programs."""
        return ok(await self._whole())

    async def asyncapi(self, call: Call[None, None]) -> Reply:  # noqa: ARG002
        """Show the events for programs."""
        return ok(asyncapi.document(version("openbell")))

    async def docs(self, call: Call[None, None]) -> Reply:  # noqa: ARG002
        """Show the API for people, without a script from anywhere."""
        return Reply(200, docs_page(await self._whole()).encode(), content_type=HTML)

    async def _whole(self) -> dict[str, Any]:
        # Who asks first waits half a second for it: nobody else shall, at the open least of all.
        return await asyncio.to_thread(self._document)


def probe_specs(house: House, document: Document) -> Sequence[Spec[Any, Any]]:
    probes = Probes(house, document)
    doors = [
        ("/livez", "livez", probes.livez),
        ("/readyz", "readyz", probes.readyz),
        ("/startupz", "startupz", probes.startupz),
        ("/metrics", "metrics", probes.metrics),
        ("/errors/{code}", "explain_error", probes.error),
    ]
    if house.docs:
        doors += [
            ("/openapi.json", "openapi", probes.openapi),
            ("/asyncapi.json", "asyncapi", probes.asyncapi),
            ("/docs", "docs", probes.docs),
        ]
    return [
        Spec(method="GET", path=path, name=name, scope=None, handler=handler, answers={200: None})
        for path, name, handler in doors
    ]
