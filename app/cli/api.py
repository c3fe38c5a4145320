"""Any door of the gateway by its path: for what has no word of its own here, and for scripts.

    openbell api GET /admin/v1/overview
    openbell api PATCH /admin/v1/routes/XNYS/policy -d @policy.json

It sends exactly one request, with the key that such a path wants. A change reads the ETag first,
as every command does; the trap is `--if-match '*'` by habit, which overwrites a colleague.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from app.cli.asking.command import Call, asking
from app.cli.asking.output import Ends, Failure, print_out
from app.cli.asking.problems import Problem

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
ADMIN: Final = "/admin/"
# A POST makes something new or does a deed; what these change has a version.
VERSIONED: Final = ("PUT", "PATCH", "DELETE")


def _role(options: dict[str, Any]) -> str:
    wanted: str | None = options["as_"]
    return wanted or ("operator" if options["path"].startswith(ADMIN) else "client")


@asking(role=_role)
def api(  # noqa: PLR0913 - the parts of a request
    call: Call,
    *,
    method: Annotated[str, typer.Argument(help="GET, POST, PUT, PATCH or DELETE.")],
    path: Annotated[str, typer.Argument(help="Such as /admin/v1/overview.")],
    data: Annotated[
        str | None,
        typer.Option("--data", "-d", help="The body: JSON, @FILE, or - for stdin."),
    ] = None,
    if_match: Annotated[
        str | None, typer.Option(help="The ETag that you saw; else what stands there now.")
    ] = None,
    confirm: Annotated[
        str | None, typer.Option(metavar="NAME", help="What a dangerous change asks you to name.")
    ] = None,
    as_: Annotated[  # noqa: ARG001 - whose key was taken hangs on it
        str | None,
        typer.Option("--as", help="Whose key: client, operator or approver; else by the path."),
    ] = None,
) -> None:
    """Send one request to any door, and print what it answers.

    \b
    Examples:
      openbell api GET "/v1/orders?account_id=A-1&limit=5"
      openbell api POST /admin/v1/halt -d '{"scope": "all", "reason": "a drill"}' --confirm all
    """  # noqa: D301 - the mark must be the character, it keeps the lines below as they are
    if method.upper() not in METHODS or not path.startswith("/"):
        raise Failure(Ends.USAGE, "expected a method and a path, such as GET /v1/sessions")
    body = None if data is None else _body(data)
    headers = {"X-Confirm": confirm} if confirm else {}
    tag = if_match or (_seen(call, path) if method.upper() in VERSIONED else None)
    headers |= {"If-Match": tag} if tag else {}
    reply = call.client.call(method.upper(), path, body, headers)
    print_out(json.dumps(reply.document, indent=2, ensure_ascii=False))


def _body(data: str) -> bytes:
    """Return the body as it was given, provided that it is JSON."""
    try:
        if data == "-":
            data = sys.stdin.read()
        elif data.startswith("@"):
            data = Path(data[1:]).read_text("utf-8")
        json.loads(data)
    except (OSError, ValueError) as e:
        raise Failure(Ends.USAGE, "expected JSON as the body", why=str(e)) from e
    return data.encode()


def _seen(call: Call, path: str) -> str | None:
    """Return the ETag of the resource that a path changes: its own, or that of what it is part of.

    `…/routes/XNYS/policy` is a part of `…/routes/XNYS`.
    """
    plain = path.partition("?")[0]
    for place in (plain, plain.rpartition("/")[0]):
        try:
            tag = call.client.call("GET", place).headers.get("etag")
        except Problem as e:
            if e.ends not in {Ends.NOT_FOUND, Ends.REFUSED}:
                raise
            continue
        if tag is not None:
            return tag
    return None
