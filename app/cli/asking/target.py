"""Decides which gateway a command asks, and with which key.

What is nearer to the person wins: the command line over the environment, and that over the
context in use. A key goes nowhere but to the URL that it belongs to: a context whose URL is
overruled is left alone with its keys. The trap is a command for the test system that runs with
the key of production, or at the address of it.
"""

from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Final, NamedTuple

import typer

from app.cli.asking import contexts
from app.cli.asking.client import DEFAULT_URL, key_of
from app.cli.asking.contexts import Context
from app.cli.asking.output import Ends, Failure

DATA_DIR: Final = Path("data")


class Given(IntEnum):
    """Where a value comes from; the greater wins."""

    NOWHERE = 0
    ENVIRONMENT = 1
    COMMAND_LINE = 2


def nearness_in(ctx: typer.Context) -> Callable[[str], Given]:
    """Return how near to the person each option of a command was said."""
    near = {"COMMANDLINE": Given.COMMAND_LINE, "ENVIRONMENT": Given.ENVIRONMENT}

    def nearness(name: str) -> Given:
        source = ctx.get_parameter_source(name)
        return near.get(source.name, Given.NOWHERE) if source else Given.NOWHERE

    return nearness


class Wish(NamedTuple):
    """What was said of the target, and how near to the person."""

    url: str | None
    key: str | None
    context: str | None
    data_dir: Path
    nearness: Callable[[str], Given]
    admin_url: str | None = None


class Target(NamedTuple):
    """Where to ask, and who vouches for that."""

    wish: Wish
    url: str
    context: Context | None
    name: str = ""

    @property
    def via(self) -> str:
        return f"context {self.name}" if self.name else ""

    @property
    def is_production(self) -> bool:
        return self.context is not None and self.context.production

    @property
    def admin_url(self) -> str | None:
        """Where the operators' own port is: of a context, as the context says, as its keys are."""
        if self.context is None:
            return self.wish.admin_url
        said = self.wish.nearness("admin_url") is Given.COMMAND_LINE and self.wish.admin_url
        if said and not _same(said, self.context.admin_url):
            raise Failure(
                Ends.USAGE,
                f"--admin-url and context {self.name} name two ports",
                why=f"{self.name} has {self.context.admin_url or 'none for operators'}",
                advice=f"openbell context add {self.name} --replace … --admin-url {said}",
            )
        return self.context.admin_url or None

    def key(self, role: str) -> str:
        """Return the key to ask with."""
        wish, context = self.wish, self.context
        stored = None if context is None else context.keys.get(role)
        # A context that was named on the command line knows better than the environment.
        if wish.key and (stored is None or wish.nearness("key") >= wish.nearness("context")):
            return wish.key
        return stored or self.first_key(role)

    def first_key(self, role: str) -> str:
        """Return the key of this role that no option names."""
        context = self.context
        if context is None:
            return key_of(role, self.wish.data_dir)
        if role in context.keys:
            return context.keys[role]
        if context.data_dir:
            return key_of(role, Path(context.data_dir).expanduser())
        raise Failure(
            Ends.AUTHENTICATION,
            f"context {self.name} has no key for the {role}",
            why=f"it has {', '.join(context.keys) or 'none'}",
            advice=f"openbell context add {self.name} --replace … --role {role}, or OPENBELL_KEY",
        )


def target_of(wish: Wish) -> Target:
    """Return the target, or say what contradicts itself."""
    known = contexts.read()
    name = wish.context or known.current
    if name is None:
        return Target(wish, wish.url or DEFAULT_URL, None)
    context = known.named(name)
    if wish.url is None or _same(wish.url, context.url):
        return Target(wish, context.url, context, name)
    named = wish.nearness("context") if wish.context else Given.NOWHERE
    if named > wish.nearness("url"):
        return Target(wish, context.url, context, name)
    if named is Given.COMMAND_LINE:
        raise Failure(
            Ends.USAGE,
            f"--url and --context {name} name two gateways",
            why=f"{name} is {context.url}",
            advice="name one of them",
        )
    return Target(wish, wish.url, None)


def _same(one: str, other: str) -> bool:
    return one.rstrip("/") == other.rstrip("/")
