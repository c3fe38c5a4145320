"""Who sits at the console: an operator's key, entered once, kept as a sealed cookie.

The cookie holds no secret: the key's id, an end, and a seal under the pepper of the key file. It
dies with its time or with the key, whichever comes first, and every gateway that reads the key
file knows it. The trap of cookies is that browsers send them along with what others wrote: so
it is SameSite=Strict, opens the operator API alone, and changes something only when the request
carries our header and the origin of our own page.
"""

from typing import Final

from starlette.requests import Request

from app.domain.errors import Code, Refused
from app.web.keys import Keyring, Principal

COOKIE: Final = "openbell_console"
# A night's shift with its handover; nobody sleeps at a console that stays open.
LASTS_S: Final = 12 * 3_600
HEADER: Final = "x-openbell-console"
PLACES: Final = ("/admin/v1/", "/console")
HARMLESS: Final = frozenset({"GET", "HEAD"})


def caller(request: Request, keyring: Keyring) -> Principal:
    """Return who calls, by the key that the request carries, or, for operators, by the cookie."""
    authorization = request.headers.get("authorization")
    if authorization is None and request.scope["path"].startswith(PLACES):
        sealed = request.cookies.get(COOKIE)
        if sealed is not None:
            if request.method not in HARMLESS:
                must_be_ours(request, header=True)
            return keyring.unsealed(sealed)
    return keyring.principal(authorization or "")


def must_be_ours(request: Request, *, header: bool = False) -> None:
    """Refuse what another site's page has sent; a form cannot carry the header, a script can."""
    if header and request.headers.get(HEADER) is None:
        raise Refused(Code.FORGED_REQUEST, f"expected the header {HEADER}")
    origin = request.headers.get("origin", "")
    scheme, _, host = origin.partition("://")
    # The host alone is compared: behind an ingress that ends TLS, our own scheme is another.
    if scheme not in {"http", "https"} or host != request.headers.get("host"):
        raise Refused(Code.FORGED_REQUEST, f"expected our own Origin, was {origin[:100]!r}")


def cookie(sealed: str, request: Request, lasts_s: int = LASTS_S) -> tuple[bytes, bytes]:
    """Return the header that gives the cookie; with nothing in it and no time, one that ends it."""
    forwarded = request.headers.get("x-forwarded-proto", "")
    secure = "; Secure" if "https" in {request.url.scheme, forwarded} else ""
    rules = f"Path=/; Max-Age={lasts_s}; HttpOnly; SameSite=Strict{secure}"
    return (b"set-cookie", f"{COOKIE}={sealed}; {rules}".encode())
