"""Keys as a running gateway knows them: list them, and end one from wherever one stands.

It needs no file of the gateway's machine, but a key with `admin:keys`. The trap is the key that
one holds: whoever revokes that is outside from the next second on.
"""

from typing import Annotated, Final

import typer

from app.cli.asking.change import Grade
from app.cli.asking.client import segment
from app.cli.asking.command import Call, verb
from app.cli.asking.complete import KEYS, key_ids
from app.cli.asking.deed import Deed, Thing, declare

remote_app = typer.Typer(no_args_is_help=True, help="Keys as a running gateway knows them.")

A_KEY: Final = "00c0ffee00c0ffee00c0"
COLUMNS: Final = (
    *("key_id", "name", "kind", "role", "scopes", "accounts"),
    *("created_at", "expires_at", "revoked"),
)
KeyId = Annotated[
    str,
    typer.Argument(help="As key remote list shows it.", metavar="KEY_ID", autocompletion=key_ids),
]


@verb(
    remote_app,
    "list",
    role="operator",
    examples=("key remote list", "key remote list --context prod --json"),
)
def list_(call: Call) -> None:
    """List the keys that a gateway knows: whose they are, never what opens them."""
    call.show(call.get(KEYS)["data"], *COLUMNS)


@verb(
    remote_app,
    "get",
    role="operator",
    examples=(f"key remote get {A_KEY}", f"key remote get {A_KEY} --json"),
)
def get(call: Call, *, key_id: KeyId) -> None:
    """Show one key: what it may do, and until when."""
    call.show(call.get(f"{KEYS}/{segment(key_id)}"))


declare(
    remote_app,
    Thing("key remote", "key_id", KeyId, lambda _, name: f"{KEYS}/{segment(name)}", A_KEY),
    Deed(
        "revoke",
        "End a key, for ever; every gateway refuses it within a second.",
        ("it has leaked, OPS-12", "he has left us"),
        grade=Grade.NAME,
        tries=True,
        after="it opens nothing from now on; its endpoints go on: openbell webhook operator list",
    ),
)
