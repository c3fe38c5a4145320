"""The one way to declare a command that asks the gateway.

    @verb(app, "get", role="client", examples=("…", "…"))
    def get(call: Call, *, order_id: …) -> None: ...

It adds the options that all of them share (where the gateway is, which key, how to print),
builds the client, and turns a `Failure` into words on stderr and the exit code. The trap it
avoids: twenty commands that each read the key a little differently.
"""

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from inspect import Parameter, Signature, signature
from pathlib import Path
from time import sleep
from typing import Annotated, Any, Final, NamedTuple

import typer

from app.cli.asking.client import DEFAULT_URL, TIMEOUT_S, Client
from app.cli.asking.complete import context_names
from app.cli.asking.output import TYPED, Failure, Output, Screen, tell
from app.cli.asking.target import DATA_DIR, Target, Wish, nearness_in, target_of
from app.cli.asking.two_ports import TwoPorts

Body = Callable[..., None]
EXAMPLES: Final = 2
KEYS: Final = ("--key", "--approver-key")
REASON_LENGTH_MIN: Final = 5
_DURATION: Final = re.compile(r"([0-9]{1,9})([smhd]?)")
_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Call(NamedTuple):
    """What a verb works with: a gateway to ask and a screen to show the answer on."""

    client: Client
    screen: Screen
    target: Target
    words: tuple[str, ...] = ()  # of the command line, as they were typed

    @property
    def data_dir(self) -> Path:
        return self.target.wish.data_dir

    def get(self, path: str, **query: object) -> Any:
        return self.client.get(path, **query)

    def show(self, document: Any, *columns: str) -> None:
        self.screen.show(document, columns)

    def again(self, *more: str) -> str:
        """Return the command to type next: the same one with more words, and without its keys."""
        return shlex.join(["openbell", *_without_keys(self.words), *more])


def _without_keys(words: tuple[str, ...]) -> Iterator[str]:
    """Leave out what opens doors: the line may end in a log, and the environment has it too."""
    hidden = False
    for word in words:
        name, equals, _ = word.partition("=")
        if not hidden and name not in KEYS:
            yield word
        hidden = not hidden and name in KEYS and not equals


def _long_enough(text: str) -> str:
    if len(text.strip()) < REASON_LENGTH_MIN:
        raise typer.BadParameter(f"expected at least {REASON_LENGTH_MIN} characters")
    return text


DataDir = Annotated[
    Path,
    typer.Option(envvar="OPENBELL_DATA_DIR", help="Where the gateway keeps its data."),
]
JsonShort = Annotated[bool, typer.Option("--json", help="Short for -o json.")]
Form = Annotated[Output, typer.Option("--output", "-o", help="How to print the data.")]
Reason = Annotated[
    str,
    typer.Option(help="Why; it stands in the audit log.", callback=_long_enough),
]
Expires = Annotated[
    str | None,
    typer.Option(metavar="15m", help="Take it back by itself after this time: 90s, 15m, 2h."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")]


def chosen(output: Output, *, json: bool) -> Output:
    """Return the form that the two options ask for together."""
    return Output.JSON if json else output


def seconds_of(duration: str | None) -> int | None:
    """Return `15m` in seconds, or end with a usage error."""
    if duration is None:
        return None
    found = _DURATION.fullmatch(duration)
    if found is None or int(found[1]) == 0:
        raise typer.BadParameter(f"expected a time such as 90s, 15m or 2h, was {duration}")
    return int(found[1]) * _UNITS[found[2]]


@contextmanager
def reported() -> Iterator[None]:
    """End the command with the words and the exit code of a `Failure`."""
    try:
        yield
    except Failure as e:
        tell(e)
        raise typer.Exit(e.ends) from e


def examples_text(examples: tuple[str, ...]) -> str:
    """Return the lines under the options; the mark keeps click from filling them."""
    assert len(examples) >= EXAMPLES, "a command shows two examples"
    return "\b\nExamples:\n" + "\n".join(f"  openbell {example}" for example in examples)


def _target(  # noqa: PLR0913 - the options that all commands share
    ctx: typer.Context,
    how: "_How",
    *,
    url: Annotated[
        str | None,
        typer.Option(envvar="OPENBELL_URL", help="Where the gateway is.", show_default=DEFAULT_URL),
    ] = None,
    admin_url: Annotated[
        str | None,
        typer.Option(
            envvar="OPENBELL_ADMIN_URL", help="Where its operators' own port is, if it has one."
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            envvar="OPENBELL_KEY",
            help="API key, or an operator's token; better in the environment, where other users"
            " do not see it. Without one, that of the context, or of the gateway's first start.",
        ),
    ] = None,
    context: Annotated[
        str | None,
        typer.Option(
            "--context",
            "-c",
            envvar="OPENBELL_CONTEXT",
            help="The gateway that openbell context add knows by this name.",
            autocompletion=context_names,
        ),
    ] = None,
    data_dir: DataDir = DATA_DIR,
    output: Form = Output.TABLE,
    json: JsonShort = False,
) -> Call:
    target = target_of(Wish(url, key, context, data_dir, nearness_in(ctx), admin_url))
    # A test hands in its own way to wait; everybody else sleeps.
    pause = ctx.find_root().obj or sleep
    opens = target.key(how.role)

    terms = (opens, pause, how.timeout_s, target.via)
    client = Client(target.url, *terms)
    if target.admin_url is not None:
        client = TwoPorts(target.url, *terms)
        client.operators = Client(target.admin_url, *terms)
    if target.is_production:
        _warn(target)
    words = tuple(ctx.find_root().meta.get(TYPED, ()))
    return Call(client, Screen(chosen(output, json=json)), target, words)


def _warn(target: Target) -> None:
    """Say at a terminal that this is the real thing; a script knows what it asks."""
    if sys.stderr.isatty():
        from rich.console import Console

        warned = Console(stderr=True, highlight=False, markup=False)
        warned.print(f"■ {target.name}: production, {target.url}", style="bold red")


class _How(NamedTuple):
    """With whose key a verb asks, and how long it waits for an answer."""

    role: str
    timeout_s: float


_CONTEXT, _HOW, *_SHARED = signature(_target).parameters.values()


def verb(
    app: typer.Typer,
    name: str,
    *,
    role: str,
    examples: tuple[str, ...],
    timeout_s: float = TIMEOUT_S,
) -> Callable[[Body], Body]:
    """Declare a command of `app` that uses the key of `role` unless one is given."""
    asks = asking(role=role, timeout_s=timeout_s)

    def declare(body: Body) -> Body:
        app.command(name, epilog=examples_text(examples))(asks(body))
        return body

    return declare


def asking(
    *, role: str | Callable[[dict[str, Any]], str], timeout_s: float = TIMEOUT_S
) -> Callable[[Body], Callable[..., None]]:
    """Make a body that takes a `Call` a command that takes the options of all commands.

    Whose key it takes may hang on what it is asked.
    """

    def made(body: Body) -> Callable[..., None]:
        def run(ctx: typer.Context, **options: Any) -> None:
            shared = {parameter.name: options.pop(parameter.name) for parameter in _SHARED}
            how = _How(role(options) if callable(role) else role, timeout_s)
            with reported():
                call = _target(ctx, how, **shared)
                with closing(call.client):
                    body(call, **options)

        own = list(signature(body).parameters.values())[1:]
        made_of(run, [_CONTEXT, *own, *_SHARED], body.__doc__)
        return run

    return made


def made_of(run: Callable[..., None], parameters: list[Parameter], doc: str | None) -> None:
    """Give a function the signature that its options are read from, all by name."""
    as_named = [p.replace(kind=Parameter.KEYWORD_ONLY) for p in parameters]
    run.__signature__ = Signature(as_named)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__doc__ = doc
