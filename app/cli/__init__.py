"""One word at a terminal for each thing that a person does here.

Every command is thin: it asks the operator API or builds one room. The trap it avoids is a
slow and surprising command line: what is slow to import is imported inside the command that
needs it, so that `openbell --help` stays under 0.3 s. So a noun's module is loaded when the
noun is called, and the help reads the table below; a test compares the two.

A module `app/cli/<noun>.py` (a package, where the noun needs many) has either `app`, a Typer with
its verbs, or one function that is named like the noun; its `-` is `_` there. It is listed as soon
as it stands there. What all of them ask with is `asking`; who plays in demonstrations, `stage`.
"""

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any, Final

import typer
from typer._click.shell_completion import CompletionItem
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from app.cli.asking.output import ENDS_SAID, TYPED
from app.cli.asking.typed import quicken

NOUNS: Final = {
    "demo": "Play an opening bell on this machine.",
    "serve": "Run the gateway, or one part of it on stores that parts share.",
    "migrate": "Bring the stores that the settings name to what this program needs.",
    "top": "Watch the open: the bell, the drain, the brokers, doubts and news, until q.",
    "context": "Contexts: the gateways that you work with.",
    "doctor": "Check this machine and say how to repair it.",
    "preflight": "Say before the bell whether the night is well, and what to do where it is not.",
    "order": "Orders: send, look up, cancel.",
    "account": "Accounts: what their view says of them.",
    "session": "Trading sessions: when they open, what waits for them.",
    "broker": "Brokers: their rate, breaker and dispatch.",
    "check-broker": "Check an adapter against the laws of a broker.",
    "route": "Routes: where they lead, who may move them.",
    "failover": "Failovers: plan, run, end and read them.",
    "drill": "Drills: rehearse a broker's death, and measure it.",
    "halt": "Halts: stop new sends, and start them again.",
    "doubt": "Orders in doubt: ask the broker, or settle by evidence.",
    "stray": "Stray copies at a broker: two people settle what became of one.",
    "proposal": "Proposals: what another person wants done; approve or decline it.",
    "anomaly": "Anomalies: what goes on, who has seen it; raise one.",
    "view": "The accounts' view: how far behind it is, whether it is right; rebuild it.",
    "partitions": "The days of the ledger: plan, make, archive and drop them.",
    "history": "Past years: load them from Parquet, verify that all is there.",
    "deadletter": "Dead letters: what nobody could apply; replay it, or give it up.",
    "outbox": "The outbox: what waits for the bus; publish what the ledger knows once more.",
    "events": "Print the events that leave and enter by the bus, as AsyncAPI 3.",
    "api": "Send one request to any door, and print what it answers.",
    "openapi": "Print the API of a gateway, as OpenAPI.",
    "completion": "Print the completion of a shell.",
    "config": "Settings: what a gateway would be started with.",
    "webhook": "Webhooks: endpoints, secrets and deliveries.",
    "slack": "Slack: send a test message.",
    "audit": "The audit log: read it, verify its chain, export it.",
    "key": "API keys: create, list, rotate, revoke.",
    "export": "Export: days of orders, trades or acts in one file.",
    "calendar": "Trading sessions: build the file, check it, ask it.",
    "debug": "Debug: a ticket's archive, an order's story.",
    "stress": "Say whether this machine holds your highest second, times a factor.",
    "bench": "Measure the gateway as ratios of what this machine can do.",
}


class Lazy(MutableMapping[str, TyperCommand | TyperGroup]):
    """The nouns by name; a noun's module is imported when the noun is asked for."""

    def __init__(self) -> None:
        self._loaded: dict[str, TyperCommand | TyperGroup] = {}

    def __getitem__(self, name: str) -> TyperCommand | TyperGroup:
        if name not in self._loaded:
            if name not in NOUNS or find_spec(_module(name)) is None:
                raise KeyError(name)
            self._loaded[name] = _load(name)
        return self._loaded[name]

    def __setitem__(self, name: str, noun: TyperCommand | TyperGroup) -> None:
        self._loaded[name] = noun

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name in NOUNS if find_spec(_module(name)) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Nouns(TyperGroup):
    """The root: it knows every noun's line of help without importing its module."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = Lazy()  # type: ignore[assignment]  # it holds what click asks of it

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        typed = tuple(args)  # it is used up below
        ctx = super().make_context(info_name, args, parent, **extra)
        ctx.meta[TYPED] = typed
        return ctx

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.commands)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        nouns = self.list_commands(ctx)
        return [CompletionItem(n, help=NOUNS[n]) for n in nouns if n.startswith(incomplete)]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, NOUNS[name]) for name in self.list_commands(ctx)])


def _module(name: str) -> str:
    return f"app.cli.{name.replace('-', '_')}"


def _load(name: str) -> TyperCommand | TyperGroup:
    module = import_module(_module(name))
    verbs = getattr(module, "app", None)
    if isinstance(verbs, typer.Typer):
        # Plain text: it can be piped and grepped, and does not cost the import of rich.
        verbs.rich_markup_mode = None
        return get_group(verbs)
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    alone.command(name)(getattr(module, name.replace("-", "_")))
    command = get_command(alone)
    assert isinstance(command, TyperCommand)
    # A raw docstring spells click's mark, "leave these lines as they are", in two characters.
    command.help = (command.help or "").replace("\\b\n", "\b\n")
    return command


EPILOG: Final = "\n".join(
    (
        "\b\nExamples:",
        "  openbell demo",
        "  openbell order batch orders.csv --session next",
        "\n\b\nExit codes:",
        *(f"  {ends:>2}  {said}" for ends, said in ENDS_SAID.items()),
    )
)


quicken()
app = typer.Typer(
    cls=Nouns,
    no_args_is_help=True,
    rich_markup_mode=None,
    # A traceback with the values of locals would print keys.
    pretty_exceptions_enable=False,
    epilog=EPILOG,
)


@app.callback()
def _root(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            callback=lambda wanted: _say_version() if wanted else None,
            help="Print the version.",
        ),
    ] = False,
) -> None:
    """Take orders, hold them until the bell, and never send one twice."""


def _say_version() -> None:
    from importlib.metadata import version

    typer.echo(version("openbell"))
    raise typer.Exit
