"""The doors of the console: the page, its sign-in, its stream, its orders, its few files.

None of them changes anything but the visitor's own cookie; what operators change goes through
the operator API. A page without a session is the sign-in, and not a problem document; the
stream has the lock of any other door.
"""

import gzip
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs

from pydantic import BaseModel, Field
from starlette.requests import Request

from app.domain.errors import Code, Refused
from app.web.console.finding import Finder, Search
from app.web.console.lookout import Lookout
from app.web.console.page import console_page
from app.web.console.session import COOKIE, LASTS_S, caller, cookie, must_be_ours
from app.web.console.sight import Viewer
from app.web.console.small import again_page, login_page
from app.web.console.stream import Panels
from app.web.house import House
from app.web.keys import Principal, authorize, not_there
from app.web.origin import ip_of
from app.web.porch import DRESS
from app.web.queries import DATE
from app.web.spec import Call, Reader, Reply, Spec

SEE: Final = "admin:read"
HTML: Final = b"text/html; charset=utf-8"
# Nothing but our own files, nowhere else to send a form, in nobody's frame.
POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    b" connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# With `no-referrer`, a browser calls its own origin null in a form, and nobody could sign in.
PAGE_DRESS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", POLICY),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
FILE_DRESS: Final = (*PAGE_DRESS[:-1], (b"cache-control", b"no-cache"))
TYPES: Final = {
    "css": b"text/css; charset=utf-8",
    "js": b"text/javascript; charset=utf-8",
    "svg": b"image/svg+xml",
}
PACKED_MIN: Final = 1_000
UNSAID: Final = "That key is unknown, expired or revoked, or it lacks admin:read."


class Asked(BaseModel):
    """What to find."""

    q: str = Field("", max_length=200)
    day: str = Field("", pattern=rf"^({DATE})?$")
    cursor: str = Field("", pattern=r"^([A-Za-z0-9_-]{24})?$")


class Typed(BaseModel):
    """What the sign-in sends."""

    key: str = Field(max_length=200)


class File(NamedTuple):
    """One file of ours, packed once."""

    kind: bytes
    tag: bytes
    plain: bytes
    packed: bytes


class Console:
    """What a browser may ask for."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._lookout = Lookout(house)
        self._panels = Panels(self._lookout, house.clock)
        self._finder = Finder(house)
        self._files = _files()

    async def page(self, call: Call[None, None]) -> Reply:
        """Show the console, or the sign-in."""
        viewer = self._viewer(call)
        if viewer is None:
            return self._unknown(call)
        frame = await self._panels.frame(viewer)
        return _page(call, console_page(frame.sight, viewer, frame.panels))

    async def stream(self, call: Call[None, None]) -> Reply:
        """Send what changes, until the reader goes."""

        def who() -> Viewer:
            found = caller(call.request, self._house)
            authorize(found, SEE)
            return _viewed(found)

        call.request.scope[DRESS] = PAGE_DRESS
        return self._panels.stream(call.request, who)

    async def login_form(self, call: Call[None, None]) -> Reply:
        """Show the sign-in."""
        return _page(call, login_page(environment=self._house.environment))

    async def login(self, call: Call[Typed, None]) -> Reply:
        """Take an operator's key once, and give a cookie for it."""
        must_be_ours(call.request)
        keyring = self._house.keyring
        try:
            principal = keyring.principal(f"Bearer {call.body.key.strip()}", ip_of(call.request))
            authorize(principal, SEE)
        except Refused:
            return _page(call, login_page(UNSAID, self._house.environment), status=401)
        until = self._house.clock.now() + LASTS_S * 1000
        sealed = cookie(keyring.sealed(principal.key_id, until), call.request)
        return _page(call, "", (b"location", b"/console"), sealed, status=303)

    async def logout(self, call: Call[None, None]) -> Reply:
        """End the session of this browser."""
        must_be_ours(call.request)
        ended = cookie("", call.request, lasts_s=0)
        return _page(call, "", (b"location", b"/console/login"), ended, status=303)

    async def find(self, call: Call[None, Asked]) -> Reply:
        """Show the orders that a search finds."""
        viewer = self._viewer(call)
        if viewer is None:
            return self._unknown(call)
        return _page(call, await self._finder.found(_search(call.query), viewer))

    async def order(self, call: Call[None, None]) -> Reply:
        """Show one order's life."""
        viewer = self._viewer(call)
        if viewer is None:
            return self._unknown(call)
        found = await self._finder.order(call.part("order_id"), viewer)
        if found is None:
            return _page(call, self._finder.nothing(), status=404)
        return _page(call, found)

    async def file(self, call: Call[None, None]) -> Reply:
        """Serve one of our own files."""
        found = self._files.get(call.part("name"))
        if found is None:
            raise not_there()
        headers = call.request.headers
        call.request.scope[DRESS] = FILE_DRESS
        tagged = (b"etag", found.tag)
        if headers.get("if-none-match", "").encode() == found.tag:
            return Reply(304, b"", tagged, content_type=found.kind)
        if "gzip" in headers.get("accept-encoding", ""):
            packed = (b"content-encoding", b"gzip")
            vary = (b"vary", b"accept-encoding")
            return Reply(200, found.packed, tagged, packed, vary, content_type=found.kind)
        return Reply(200, found.plain, tagged, content_type=found.kind)

    def _viewer(self, call: Call[Any, Any]) -> Viewer | None:
        try:
            principal = caller(call.request, self._house)
            authorize(principal, SEE)
        except Refused:
            return None
        return _viewed(principal)

    def _unknown(self, call: Call[Any, Any]) -> Reply:
        request = call.request
        strange = request.headers.get("sec-fetch-site") == "cross-site"
        if strange and COOKIE not in request.cookies:
            return _page(call, again_page())
        return _page(call, login_page(environment=self._house.environment), status=401)


def _viewed(principal: Principal) -> Viewer:
    return Viewer(principal.name, principal.scopes, principal.accounts)


def _page(
    call: Call[Any, Any], html: str, *headers: tuple[bytes, bytes], status: int = 200
) -> Reply:
    call.request.scope[DRESS] = PAGE_DRESS
    body = html.encode()
    if len(body) >= PACKED_MIN and _takes_gzip(call.request):
        headers = (*headers, (b"content-encoding", b"gzip"), (b"vary", b"accept-encoding"))
        body = gzip.compress(body, 5, mtime=0)
    return Reply(status, body, *headers, content_type=HTML)


def _search(asked: Asked) -> Search:
    return Search(asked.q, asked.day, asked.cursor)


def _takes_gzip(request: Request) -> bool:
    return "gzip" in request.headers.get("accept-encoding", "")


def _files() -> Mapping[str, File]:
    found = {}
    for path in files("app.web.console").joinpath("static").iterdir():
        kind = TYPES.get(path.name.rpartition(".")[2])
        if kind is not None:
            plain = path.read_bytes()
            digest = sha256(plain).hexdigest()[:16]
            packed = gzip.compress(plain, 9, mtime=0)
            found[path.name] = File(kind, f'"{digest}"'.encode(), plain, packed)
    return found


def _form(raw: bytes, _content_type: str) -> Typed:
    try:
        fields = parse_qs(raw.decode(), max_num_fields=8, strict_parsing=False)
    except ValueError:
        return Typed.model_construct(key="")
    return Typed.model_construct(key=fields.get("key", [""])[0])


def console_specs(house: House) -> Sequence[Spec[Any, Any]]:
    console = Console(house)
    opened = [
        Spec(method="GET", path=path, name=name, scope=None, handler=handler, answers={200: None})
        for path, name, handler in (
            ("/console", "console", console.page),
            ("/console/login", "console_login_form", console.login_form),
            ("/console/orders/{order_id}", "console_order", console.order),
            ("/console/static/{name}", "console_file", console.file),
        )
    ]
    return (
        *opened,
        Spec(
            method="GET",
            path="/console/orders",
            name="console_orders",
            scope=None,
            handler=console.find,
            asks=Asked,
            answers={200: None},
            refuses=(Code.VALIDATION_FAILED,),
        ),
        Spec(
            method="GET",
            path="/console/stream",
            name="console_stream",
            scope=SEE,
            handler=console.stream,
            answers={200: None},
            refuses=(Code.OVERLOADED,),
        ),
        Spec(
            method="POST",
            path="/console/login",
            name="console_login",
            scope=None,
            handler=console.login,
            reads=Reader(Typed, _form),
            answers={303: None},
            refuses=(Code.FORGED_REQUEST,),
        ),
        Spec(
            method="POST",
            path="/console/logout",
            name="console_logout",
            scope=None,
            handler=console.logout,
            answers={303: None},
            refuses=(Code.FORGED_REQUEST,),
        ),
    )
