"""Makes, lists, rotates and revokes API keys in the key file itself; a gateway reads it anew.

The token is printed once and kept nowhere, so it stands alone on stdout, ready for a vault. The
trap is a key that may do everything because that was the default: scopes and accounts must be
named.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from app.cli.asking.command import (
    DataDir,
    Form,
    JsonShort,
    chosen,
    examples_text,
    reported,
    seconds_of,
)
from app.cli.asking.output import Ends, Failure, Output, Screen, print_out, say
from app.cli.asking.target import DATA_DIR
from app.cli.key.remote import remote_app
from app.clock import SystemClock
from app.domain.values import rfc3339

app = typer.Typer(no_args_is_help=True, help="API keys: create, list, rotate, revoke.")
app.add_typer(remote_app, name="remote")

KeysFile = Annotated[
    Path | None,
    typer.Option(envvar="OPENBELL_KEYS_FILE", help="The key file; keys.json in the data dir."),
]


def _known(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the keys of the file that still open something."""
    from app.web.access.keyfile import BadKeyFile, read_keys

    given = ctx.params
    path = given.get("keys_file") or Path(given.get("data_dir") or DATA_DIR) / "keys.json"
    try:
        keys = read_keys(Path(path))
    except (BadKeyFile, OSError):
        return []
    return [key.id for key in keys if not key.revoked and key.id.startswith(incomplete)]


Person = Annotated[
    str | None,
    typer.Option(
        metavar="SUBJECT",
        help="Who holds it, as the issuer of tokens calls him: with both he is one person.",
    ),
]
KeyId = Annotated[str, typer.Argument(help="The id, as key list shows it.", autocompletion=_known)]
GRACE: Final = "1d"


@app.command(
    "create",
    epilog=examples_text(
        (
            "key create app-1 --scope orders:read --account A-1 --from 203.0.113.0/24",
            'key create mina --role operator --account "*" --expires 90d',
            'key create jun --scope admin:read --scope admin:tune --account "*"',
            'key create mina-night --role operator --account "*" --person 00u1f3',
        )
    ),
)
def create(  # noqa: PLR0913 - each option is a part of what the key is for
    *,
    name: Annotated[str, typer.Argument(help="The person or program; two keys may share it.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="What it may do; repeat for each.")
    ] = None,
    role: Annotated[
        str | None, typer.Option(help="viewer, operator or approver: what such a person may do.")
    ] = None,
    account: Annotated[list[str], typer.Option(help='Whose orders; repeat, or "*" for all.')],
    live: Annotated[bool, typer.Option("--live", help="ob_live_… instead of ob_test_….")] = False,
    expires: Annotated[str | None, typer.Option(metavar="90d", help="It ends by then.")] = None,
    person: Person = None,
    networks: Annotated[
        list[str] | None,
        typer.Option("--from", metavar="CIDR", help="It opens from here alone; repeat for each."),
    ] = None,
    data_dir: DataDir = Path("data"),
    keys_file: KeysFile = None,
) -> None:
    """Make a key and print its token, once."""
    from app.web.access.keyfile import ROLES, Grant, create_key

    if role is not None and role not in ROLES:
        raise typer.BadParameter(f"expected one of {', '.join(ROLES)}", param_hint="--role")
    scopes = ROLES.get(role or "", frozenset()) | frozenset(scope or ())
    clock = SystemClock()
    lives_s = seconds_of(expires)
    ends_at = None if lives_s is None else clock.now() + lives_s * 1000
    grant = Grant(name, scopes, tuple(account), live, ends_at, person, tuple(networks or ()))
    with _file(data_dir, keys_file) as path:
        token = create_key(path, grant, clock)
    print_out(token)
    say(f"the key is in {path}; its token is shown this once and kept nowhere")


@app.command("list", epilog=examples_text(("key list", "key list --json")))
def list_(
    *,
    data_dir: DataDir = Path("data"),
    keys_file: KeysFile = None,
    output: Form = Output.TABLE,
    json: JsonShort = False,
) -> None:
    """List the keys: whose they are and what they may do, never what opens them."""
    from app.web.access.key_usage import read_used
    from app.web.access.keyfile import read_keys, role_of

    with _file(data_dir, keys_file) as path:
        keys, used = read_keys(path), read_used(path)
    rows: list[dict[str, Any]] = [
        {
            "id": key.id,
            "name": key.name,
            "person": key.person,
            "kind": key.kind,
            "role": role_of(key.scopes) or None,
            "scopes": " ".join(key.scopes),
            "accounts": " ".join(key.accounts),
            "networks": " ".join(key.networks) or None,
            "created_at": rfc3339(key.created_at),
            "expires_at": None if key.expires_at is None else rfc3339(key.expires_at),
            "last_used_at": rfc3339(used[key.id]) if key.id in used else None,
            "revoked": key.revoked,
        }
        for key in keys
    ]
    Screen(chosen(output, json=json)).show(rows)


@app.command(
    "revoke",
    epilog=examples_text(
        (
            "key revoke 0123456789abcdef0123",
            "key revoke 0123456789abcdef0123 --keys-file keys.json",
        )
    ),
)
def revoke(
    *,
    key_id: KeyId,
    data_dir: DataDir = Path("data"),
    keys_file: KeysFile = None,
) -> None:
    """Revoke a key, for ever; a gateway that runs refuses it within a second."""
    from app.web.access.keyfile import revoke_key

    with _file(data_dir, keys_file) as path:
        revoked = revoke_key(path, key_id)
    say(f"{revoked.id} ({revoked.name}) is revoked")


@app.command(
    "rotate",
    epilog=examples_text(
        (
            "key rotate 0123456789abcdef0123",
            "key rotate 0123456789abcdef0123 --grace 1h --expires 90d",
        )
    ),
)
def rotate(
    *,
    key_id: KeyId,
    grace: Annotated[
        str, typer.Option(metavar="1d", help="How long the old one still opens.")
    ] = GRACE,
    expires: Annotated[
        str | None,
        typer.Option(
            metavar="90d", help="The new one ends by then; else after as long as the old."
        ),
    ] = None,
    data_dir: DataDir = Path("data"),
    keys_file: KeysFile = None,
) -> None:
    """Make the same key anew and print its token; the old one ends after the grace time.

    Both open until then, so programs can be changed one by one. A key that has leaked is no
    case for this: revoke it, at once.
    """
    from app.web.access.keyfile import rotate_key

    grace_s, lives_s = seconds_of(grace), seconds_of(expires)
    assert grace_s is not None, "it has a default"
    lives_ms = None if lives_s is None else lives_s * 1000
    with _file(data_dir, keys_file) as path:
        token, old = rotate_key(
            path, key_id, SystemClock(), grace_ms=grace_s * 1000, lives_ms=lives_ms
        )
    assert old.expires_at is not None, "a rotated key ends"
    print_out(token)
    say(f"the old key {old.id} ({old.name}) ends at {rfc3339(old.expires_at)}")
    say(f"the new one is in {path}; its token is shown this once and kept nowhere")


@contextmanager
def _file(data_dir: Path, keys_file: Path | None) -> Iterator[Path]:
    """Lend the path of the key file, and tell in words what is wrong with it."""
    from app.web.access.keyfile import BadKeyFile

    path = keys_file or data_dir / "keys.json"
    with reported():
        try:
            yield path
        except BadKeyFile as e:
            raise Failure(Ends.FAILED_CHECK, "the key file cannot be trusted", why=str(e)) from e
        except ValueError as e:
            raise Failure(Ends.USAGE, "no such key can be made", why=str(e)) from e
        except KeyError as e:
            raise Failure(
                Ends.NOT_FOUND, f"no key {e.args[0]} in {path}", advice="openbell key list"
            ) from e
        except OSError as e:
            raise Failure(Ends.FAILED_CHECK, f"cannot write {path}", why=str(e)) from e
