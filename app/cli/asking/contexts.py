"""Which gateways a person works with: their URLs and keys, in one file that only he can read.

    current = "desk"

    [contexts."desk"]
    url = "https://gw.example"
    admin_url = "https://gw-ops.example"
    production = true
    keys = {operator = "ob_live_…"}

A key belongs to the URL that it was stored with, and is sent nowhere else: the trap is an
`OPENBELL_URL` of yesterday that gets the key of production. The file is written beside itself
and moved, so that it is whole or not there, and is refused when others can read it.
"""

import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from app.cli.asking.output import Ends, Failure

FILE: Final = "contexts.toml"
ROLES: Final = ("client", "operator", "approver")
# Whoever else can read it can halt the firm.
OTHERS: Final = 0o077
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# The middle of a key names it in every list of keys; what follows opens the door.
KEY: Final = re.compile(r"ob_(?:live|test)_([A-Za-z0-9]+)_\S+")


class Context(NamedTuple):
    """One gateway, and what opens it."""

    url: str
    keys: Mapping[str, str]
    data_dir: str = ""  # where its first keys are, if it runs on this machine
    production: bool = False
    admin_url: str = ""  # of the operators' own port, if it has one

    def shown(self, name: str, *, is_current: bool) -> dict[str, Any]:
        """Return what may be seen of it: never a key."""
        return {
            "current": is_current,
            "name": name,
            "url": self.url,
            "admin_url": self.admin_url or None,
            "keys": {role: id_of(key) for role, key in self.keys.items()},
            "data_dir": self.data_dir or None,
            "production": self.production,
        }


class Contexts(NamedTuple):
    """All of them, and which one is meant when none is named."""

    known: Mapping[str, Context]
    current: str | None = None

    def named(self, name: str) -> Context:
        if name not in self.known:
            raise Failure(
                Ends.NOT_FOUND,
                f"no context {name}",
                why=f"{place()} knows {', '.join(self.known) or 'none'}",
                advice="openbell context list",
            )
        return self.known[name]


def place() -> Path:
    """Return where the file stands: under XDG_CONFIG_HOME, or .config at home."""
    import typer

    directory = Path(typer.get_app_dir("openbell"))
    # A relative one is an empty variable, which means nothing was said.
    return (directory if directory.is_absolute() else Path.home() / ".config" / "openbell") / FILE


def read() -> Contexts:
    """Return what the file says; without one there are no contexts."""
    file = place()
    try:
        with file.open("rb") as opened:
            if os.fstat(opened.fileno()).st_mode & OTHERS:
                raise Failure(
                    Ends.USAGE,
                    f"others can read the keys in {file}",
                    advice=f"chmod 600 {file}; who had access may have the keys: rotate them",
                )
            raw = opened.read()
    except FileNotFoundError:
        return Contexts({})
    except OSError as e:
        raise Failure(Ends.USAGE, f"cannot read {file}", why=str(e.strerror)) from e
    import tomllib

    try:
        document = tomllib.loads(raw.decode())
        known = {name: _context(one) for name, one in document.get("contexts", {}).items()}
    except (ValueError, TypeError, AttributeError, KeyError) as e:
        raise Failure(
            Ends.USAGE,
            f"{file} is not as openbell writes it",
            why=f"{type(e).__name__}: {e}",
            advice="mend it, or move it away and add the contexts again",
        ) from e
    current = document.get("current")
    return Contexts(known, current if current in known else None)


def write(contexts: Contexts) -> None:
    """Put the file in its place, for this person alone."""
    file = place()
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A temporary file is made for its owner alone, whatever the umask.
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=FILE)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as opened:
                opened.write(_toml(contexts))
                opened.flush()
                os.fsync(opened.fileno())
            Path(name).replace(file)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as e:
        raise Failure(Ends.USAGE, f"cannot write {file}", why=str(e.strerror)) from e


def id_of(key: str) -> str:
    """Return the part of a key that names it and opens nothing."""
    found = KEY.fullmatch(key)
    return found[1] if found else "set"


def _context(document: Mapping[str, Any]) -> Context:
    keys = document.get("keys", {})
    context = Context(
        document["url"],
        {role: keys[role] for role in ROLES if role in keys},
        document.get("data_dir", ""),
        document.get("production", False) is True,
        document.get("admin_url", ""),
    )
    texts = (context.url, context.admin_url, context.data_dir, *keys.values())
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("expected texts")
    return context


def _toml(contexts: Contexts) -> str:
    lines = ["# Written by `openbell context`; the keys in it open doors."]
    if contexts.current is not None:
        lines.append(f"current = {_quoted(contexts.current)}")
    for name, one in contexts.known.items():
        keys = ", ".join(f"{role} = {_quoted(key)}" for role, key in one.keys.items())
        lines += ["", f"[contexts.{_quoted(name)}]", f"url = {_quoted(one.url)}"]
        lines += [f"admin_url = {_quoted(one.admin_url)}"] if one.admin_url else []
        lines += [f"data_dir = {_quoted(one.data_dir)}"] if one.data_dir else []
        lines += ["production = true"] if one.production else []
        lines += [f"keys = {{{keys}}}"]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Return a basic string of TOML: JSON's escapes are a part of TOML's."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
