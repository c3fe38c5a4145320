"""The doors of the console: the page, its sign-in, its stream, its orders and rows, its few files.

None of them changes anything but the visitor's own cookie; what operators change goes through
the operator API. A page without a session is the sign-in, and not a problem document; the
stream has the lock of any other door.
"""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import parse_qs

from pydantic import BaseModel, Field

from app.domain.errors import Code, Refused
from app.web.access.keys import Principal, authorize, not_there
from app.web.clients.queries import DATE
from app.web.console.auditing import AuditPages
from app.web.console.finding import Finder, Search
from app.web.console.lookout import Lookout
from app.web.console.page import console_page
from app.web.console.served import PAGE_DRESS, file_reply, own_files, page_reply, sheet_reply
from app.web.console.session import COOKIE, LASTS_S, caller, cookie, must_be_ours
from app.web.console.sheet import sheet
from app.web.console.sight import Viewer
from app.web.console.small import again_page, login_page
from app.web.console.stream import Panels
from app.web.house import House
from app.web.origin import ip_of
from app.web.porch import DRESS
from app.web.spec import Call, Reader, Reply, Spec

SEE: Final = "admin:read"
UNSAID: Final = "That key is unknown, expired or revoked, or it lacks admin:read."


class Asked(BaseModel):
    """What to find."""

    q: str = Field("", max_length=200)
    day: str = Field("", pattern=rf"^({DATE})?$")
    cursor: str = Field("", pattern=r"^([A-Za-z0-9_-]{24})?$")


class PageAsked(BaseModel):
    """Rows of the audit log before this one; without it the newest."""

    before: int | None = Field(None, ge=1, le=2**62)


class Typed(BaseModel):
    """What the sign-in sends."""

    key: str = Field(max_length=200)


class Console:
    """What a browser may ask for."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._lookout = Lookout(house)
        self._panels = Panels(self._lookout, house.clock)
        self._finder = Finder(house)
        self._audits = AuditPages(house)
        self._files = own_files()

    async def page(self, call: Call[None, None]) -> Reply:
        """Show the console, or the sign-in."""
        viewer = self._viewer(call)
        if viewer is None:
            return self._unknown(call)
        frame = await self._panels.frame(viewer)
        return page_reply(call, console_page(frame.sight, viewer, frame.panels))

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
        return page_reply(call, login_page(environment=self._house.environment))

    async def login(self, call: Call[Typed, None]) -> Reply:
        """Take an operator's key once, and give a cookie for it."""
        must_be_ours(call.request)
        keyring = self._house.keyring
        try:
            principal = keyring.principal(f"Bearer {call.body.key.strip()}", ip_of(call.request))
            authorize(principal, SEE)
        except Refused:
            return page_reply(call, login_page(UNSAID, self._house.environment), status=401)
        until = self._house.clock.now() + LASTS_S * 1000
        sealed = cookie(keyring.sealed(principal.key_id, until), call.request)
        return page_reply(call, "", (b"location", b"/console"), sealed, status=303)

    async def logout(self, call: Call[None, None]) -> Reply:
        """End the session of this browser."""
        must_be_ours(call.request)
        ended = cookie("", call.request, lasts_s=0)
        return page_reply(call, "", (b"location", b"/console/login"), ended, status=303)

    async def find(self, call: Call[None, Asked]) -> Reply:
        """Show the orders that a search finds."""
        viewer = self._viewer(call)
        if viewer is None:
            return self._unknown(call)
        return page_reply(call, await self._finder.found(_search(call.query), viewer))

    async def sheet(self, call: Call[None, Asked]) -> Reply:
        """Hand out one page of the orders that a search finds, as CSV."""
        viewer = self._viewer(call)
        if viewer is None:
            return self._unknown(call)
        found = await self._finder.orders(_search(call.query), viewer)
        return sheet_reply(call, sheet(found.orders))

    async def order(self, call: Call[None, None]) -> Reply:
        """Show one order's life."""
        viewer = self._viewer(call)
        if viewer is None:
            return self._unknown(call)
        found = await self._finder.order(call.part("order_id"), viewer)
        if found is None:
            return page_reply(call, self._finder.nothing(), status=404)
        return page_reply(call, found)

    async def audit(self, call: Call[None, PageAsked]) -> Reply:
        """Show a page of the audit log."""
        viewer = self._viewer(call)
        if viewer is None:
            return self._unknown(call)
        found = await self._audits.page(viewer, call.query.before)
        if found is None:
            return page_reply(call, self._audits.refused(), status=403)
        return page_reply(call, found)

    async def file(self, call: Call[None, None]) -> Reply:
        """Serve one of our own files."""
        found = self._files.get(call.part("name"))
        if found is None:
            raise not_there()
        return file_reply(call, found)

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
            return page_reply(call, again_page())
        return page_reply(call, login_page(environment=self._house.environment), status=401)


def _viewed(principal: Principal) -> Viewer:
    return Viewer(principal.name, principal.scopes, principal.accounts)


def _search(asked: Asked) -> Search:
    return Search(asked.q, asked.day, asked.cursor)


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
    asked: list[Spec[Any, Any]] = [
        Spec(
            method="GET",
            path=path,
            name=name,
            scope=None,
            handler=handler,
            asks=asks,
            answers={200: None},
            refuses=(Code.VALIDATION_FAILED,),
        )
        for path, name, handler, asks in (
            ("/console/orders", "console_orders", console.find, Asked),
            ("/console/orders.csv", "console_orders_sheet", console.sheet, Asked),
            ("/console/audit", "console_audit", console.audit, PageAsked),
        )
    ]
    return (
        *opened,
        *asked,
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
