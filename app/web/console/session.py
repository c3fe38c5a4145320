"""Who calls: a key, an operator's token, or the sealed cookie of the console.

At the console a key is entered once and kept as a cookie; tokens are for programs, and open the
operator API alone, where the settings name their issuer. Everywhere else only keys open.

The cookie holds no secret: the key's id, an end, and a seal under the pepper of the key file. It
dies with its time or with the key, whichever comes first, and every gateway that reads the key
file knows it. The trap of cookies is that browsers send them along with what others wrote: so
it is SameSite=Strict, opens the operator API alone, and changes something only when the request
carries our header and the origin of our own page.
"""

from typing import Final

from starlette.requests import Request

from app.domain.errors import Code, Refused
from app.web.access.keys import Principal
from app.web.house import House
from app.web.origin import ip_of

COOKIE: Final = "openbell_console"
# A night's shift with its handover; nobody sleeps at a console that stays open.
LASTS_S: Final = 12 * 3_600
HEADER: Final = "x-openbell-console"
OPERATORS: Final = "/admin/v1/"
PLACES: Final = (OPERATORS, "/console")
HARMLESS: Final = frozenset({"GET", "HEAD"})


async def arrived(request: Request, house: House) -> Principal:
    """Return who calls, after finding what is needed to know it."""
    if house.operators is not None and request.scope["path"].startswith(OPERATORS):
        await house.operators.prepare(request.headers.get("authorization", ""))
    return caller(request, house)


async def operator(authorization: str, request: Request, house: House) -> Principal:
    """Return whose key or token a request carries besides its own, or raise `Refused`."""
    if house.operators is not None:
        await house.operators.prepare(authorization)
    return _operator(authorization, request, house)


def caller(request: Request, house: House) -> Principal:
    """Return who calls, by the key that the request carries, or, for operators, by more than that.

    An operator may carry a token as well, or come back with the cookie.
    """
    authorization = request.headers.get("authorization")
    path = request.scope["path"]
    if authorization is None and path.startswith(PLACES):
        sealed = request.cookies.get(COOKIE)
        if sealed is not None:
            if request.method not in HARMLESS:
                must_be_ours(request, header=True)
            return house.keyring.unsealed(sealed, ip_of(request))
    if path.startswith(OPERATORS):
        return _operator(authorization or "", request, house)
    return house.keyring.principal(authorization or "", ip_of(request))


def _operator(authorization: str, request: Request, house: House) -> Principal:
    if house.operators is not None and "." in authorization:  # no key has one
        return house.operators.principal(authorization)
    return house.keyring.principal(authorization, ip_of(request))


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
