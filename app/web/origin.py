"""By which door a change came, and from which address: what its audit row says of its request.

Both are what a request shows, and worth as much: a program may call itself our CLI, and a proxy
that the server is not told to believe (FORWARDED_ALLOW_IPS) is itself the address. Who acted and
why is proved by the key. The trap is a word that its sender chooses freely in a log that lasts for
ever: so the door is one of a few, and the address is cut.
"""

from typing import Final

from starlette.requests import Request

from app.domain.values import Via

CLI: Final = "openbell-cli"
HOOKS: Final = "/hooks/"
# The longest that an address is written with, a scope's name included.
IP_CHARACTERS_MAX: Final = 64


def via_of(request: Request) -> Via:
    """Return the door, as far as the request shows it."""
    if request.scope["path"].startswith(HOOKS):
        return Via.HOOK
    if "authorization" not in request.headers:
        return Via.CONSOLE  # no change is let in by anything else than a key or its cookie
    return Via.CLI if request.headers.get("user-agent") == CLI else Via.API


def ip_of(request: Request) -> str:
    """Return the address of the caller, or of the last proxy that nobody vouches for."""
    return request.client.host[:IP_CHARACTERS_MAX] if request.client else ""
