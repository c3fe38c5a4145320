"""What the console's doors answer with: pages, tables and our own files, each in its dress.

Nothing here knows who asks. The trap is a page without its dress: a script of somebody else's
would run in it, or a cache would keep what an operator saw.
"""

import gzip
from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final, NamedTuple

from starlette.requests import Request

from app.web.porch import DRESS
from app.web.spec import Call, Reply

HTML: Final = b"text/html; charset=utf-8"
CSV: Final = b"text/csv; charset=utf-8"
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


class File(NamedTuple):
    """One file of ours, packed once."""

    kind: bytes
    tag: bytes
    plain: bytes
    packed: bytes


def page_reply(
    call: Call[Any, Any], html: str, *headers: tuple[bytes, bytes], status: int = 200
) -> Reply:
    """Return a page that no cache keeps."""
    call.request.scope[DRESS] = PAGE_DRESS
    body = html.encode()
    if len(body) >= PACKED_MIN and _takes_gzip(call.request):
        headers = (*headers, (b"content-encoding", b"gzip"), (b"vary", b"accept-encoding"))
        body = gzip.compress(body, 5, mtime=0)
    return Reply(status, body, *headers, content_type=HTML)


def sheet_reply(call: Call[Any, Any], sheet: bytes) -> Reply:
    """Return a table to be saved; like a page, no cache keeps it."""
    call.request.scope[DRESS] = PAGE_DRESS
    saved = (b"content-disposition", b'attachment; filename="orders.csv"')
    return Reply(200, sheet, saved, content_type=CSV)


def file_reply(call: Call[Any, Any], found: File) -> Reply:
    """Return one of our own files, or that the browser has it already."""
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


def _takes_gzip(request: Request) -> bool:
    return "gzip" in request.headers.get("accept-encoding", "")


def own_files() -> Mapping[str, File]:
    """Return our own files by their names, read and packed once."""
    found = {}
    for path in files("app.web.console").joinpath("static").iterdir():
        kind = TYPES.get(path.name.rpartition(".")[2])
        if kind is not None:
            plain = path.read_bytes()
            digest = sha256(plain).hexdigest()[:16]
            packed = gzip.compress(plain, 9, mtime=0)
            found[path.name] = File(kind, f'"{digest}"'.encode(), plain, packed)
    return found
