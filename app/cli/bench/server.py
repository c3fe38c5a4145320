"""The gateway of a bench: what `openbell serve` runs, and one door more that does nothing.

`/bench/empty` is FastAPI's own way of answering: no key, no body read, `{}`. It hangs on the
same application, behind the same porch, in the same server, and second in line, so that what
differs between it and an order is what an order costs. It exists in this process only.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final

EMPTY: Final = "/bench/empty"


async def empty() -> dict[str, str]:
    """Answer nothing at all."""
    return {}


def with_empty_door(app: Any) -> Any:
    """Hang the door right behind the one that takes single orders."""
    app.post(EMPTY)(empty)
    routes = app.router.routes
    routes.insert(1, routes.pop())
    routes[1].app = _with_stack(routes[1].app)
    return app


def _with_stack(door: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Do what FastAPI's stack of middleware would do, for our porch stands in its place."""

    async def stacked(scope: Any, receive: Any, send: Any) -> None:
        async with AsyncExitStack() as stack:
            scope["fastapi_middleware_astack"] = stack
            await door(scope, receive, send)

    return stacked


async def serve(settings: Any) -> None:
    """Serve until killed: a bench keeps nothing."""
    import uvicorn

    from app.main import furnish, listen
    from app.web.app import create_app
    from app.wiring import open_gateway

    bound = listen(settings)
    gateway = await open_gateway(settings)
    house = furnish(gateway)
    # As in app/main.py, or this would be another server's figure.
    config = uvicorn.Config(
        with_empty_door(create_app(house)),
        http="httptools",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
    )
    async with asyncio.TaskGroup() as parts:
        parts.create_task(gateway.run())
        parts.create_task(uvicorn.Server(config).serve([bound]))
        await gateway.ready.wait()
        house.health.started = True
        ready = {"ready": True, "port": bound.getsockname()[1], "pid": os.getpid()}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()


def main() -> None:
    """Run until killed."""
    import uvloop

    from app.cli.serve import first_keys
    from app.settings import read_settings

    settings = read_settings()
    first_keys(settings)
    uvloop.run(serve(settings))


if __name__ == "__main__":
    main()
