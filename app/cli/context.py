"""Remembers the gateways that a person works with, so that no key stands in a shell's history.

Keys are asked for without an echo, or read from stdin, and shown never again. The trap is a
context that looks like another one: a production's name is written in red before each command.
"""

import sys
from typing import Annotated, Any, Final

import typer

from app.cli.asking import contexts
from app.cli.asking.client import parts_of
from app.cli.asking.command import Form, JsonShort, chosen, examples_text, reported
from app.cli.asking.complete import context_names
from app.cli.asking.contexts import NAME, ROLES, Context, Contexts
from app.cli.asking.output import Ends, Failure, Output, Screen, say

app = typer.Typer(no_args_is_help=True, help="Contexts: the gateways that you work with.")

COLUMNS: Final = ("current", "name", "url", "admin_url", "keys", "data_dir", "production")
LOCAL: Final = ("127.0.0.1", "::1", "localhost")
Name = Annotated[
    str,
    typer.Argument(help="What you call it.", metavar="NAME", autocompletion=context_names),
]


@app.command(
    "add",
    epilog=examples_text(
        (
            "context add prod --url https://gw.example --role operator --production --use",
            "context add here --url http://127.0.0.1:8080 --data-dir data",
            "context add ops --url https://gw.example --admin-url https://gw-ops.example",
        )
    ),
)
def add(  # noqa: PLR0913 - what there is to know of a gateway
    *,
    name: Annotated[str, typer.Argument(help="What you call it.", metavar="NAME")],
    url: Annotated[str, typer.Option(help="Where the gateway is.")],
    admin_url: Annotated[
        str, typer.Option(help="Where its operators' own port is, if it has one.")
    ] = "",
    role: Annotated[
        list[str] | None,
        typer.Option(help="client, operator or approver: its key is asked for; repeat for each."),
    ] = None,
    data_dir: Annotated[
        str, typer.Option(help="Of a gateway on this machine: its first keys are read there.")
    ] = "",
    production: Annotated[
        bool, typer.Option("--production", help="Say its name in red at each command.")
    ] = False,
    use: Annotated[bool, typer.Option("--use", help="And use it from now on.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Instead of the old one.")] = False,
) -> None:
    """Remember a gateway and its keys, in a file that only you can read.

    Each key is asked for without an echo, or read from stdin, one line each.
    """
    with reported():
        _must_be_good(name, role or [])
        parts = [parts_of(one) for one in (url, admin_url) if one]
        known = contexts.read()
        if name in known.known and not replace:
            raise Failure(
                Ends.CONFLICT, f"there is a context {name}", advice="--replace, or another name"
            )
        if any(one.scheme == "http" and one.hostname not in LOCAL for one in parts):
            say("http without the s: whoever is on the way can read the keys")
        keys = {one: _asked(one) for one in dict.fromkeys(role or [])}
        added = {**known.known, name: Context(url, keys, data_dir, production, admin_url)}
        current = name if use or not known.known else known.current
        contexts.write(Contexts(added, current))
    say(f"{name} is in {contexts.place()}" + (", and in use" if current == name else ""))


@app.command("use", epilog=examples_text(("context use prod", "context use --none")))
def use(
    *,
    name: Annotated[
        str | None,
        typer.Argument(help="Which one.", metavar="[NAME]", autocompletion=context_names),
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="None: as if there were no file.")] = False,
) -> None:
    """Use a context wherever none is named."""
    with reported():
        if (name is None) is not none:
            raise Failure(Ends.USAGE, "expected a NAME, or --none")
        known = contexts.read()
        if name is not None:
            known.named(name)
        contexts.write(Contexts(known.known, name))
    say(f"{name or 'no context'} is in use")


@app.command("list", epilog=examples_text(("context list", "context list --json")))
def list_(*, output: Form = Output.TABLE, json: JsonShort = False) -> None:
    """List the contexts; of a key its id alone is shown."""
    with reported():
        known = contexts.read()
    rows = [one.shown(name, is_current=name == known.current) for name, one in known.known.items()]
    screen = Screen(chosen(output, json=json))
    told = rows if screen.output is Output.JSON else [_flat(row) for row in rows]
    screen.show(told, COLUMNS)


@app.command("remove", epilog=examples_text(("context remove here", "context remove prod")))
def remove(*, name: Name) -> None:
    """Forget a context and its keys; the gateway still knows them: openbell key revoke."""
    with reported():
        known = contexts.read()
        known.named(name)
        left = {other: one for other, one in known.known.items() if other != name}
        contexts.write(Contexts(left, None if known.current == name else known.current))
    say(f"{name} is forgotten")


def _must_be_good(name: str, roles: list[str]) -> None:
    if NAME.fullmatch(name) is None:
        raise Failure(Ends.USAGE, f"expected a name of letters, digits, . _ and -, was {name}")
    strange = [role for role in roles if role not in ROLES]
    if strange:
        raise Failure(Ends.USAGE, f"expected a role of {', '.join(ROLES)}, was {strange[0]}")


def _asked(role: str) -> str:
    """Return the key of a role, from a person or from stdin."""
    if sys.stdin.isatty():
        key = str(typer.prompt(f"key of the {role}", hide_input=True, err=True))
    else:
        key = sys.stdin.readline()
    key = key.strip()
    if not key.isascii() or not key.isprintable() or not key or " " in key:
        raise Failure(Ends.USAGE, f"expected the {role}'s key on one line")
    return key


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    keys = " ".join(f"{role}:{key_id}" for role, key_id in row["keys"].items())
    return row | {"keys": keys}
