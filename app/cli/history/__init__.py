"""Past years: carry them from Parquet into the accounts' view, watch, and prove that all is there.

These commands speak to the account store itself and not to a gateway: a migration runs where the
files are. The trap is a migration that hurts the market it runs beside; so there is one ceiling
for all loads, an operator moves it while they run, and zero is a pause.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from app.cli.asking.command import (
    REASON_LENGTH_MIN,
    DataDir,
    Form,
    JsonShort,
    chosen,
    examples_text,
)
from app.cli.asking.output import Ends, Failure, Output, Screen, print_out
from app.clock import SystemClock
from app.domain.values import rfc3339

if TYPE_CHECKING:  # the help answers before any of these is imported
    from app.accounts.history.migration import Outcome
    from app.accounts.history.verify import Verified
    from app.accounts.mongo import Client

app = typer.Typer(
    no_args_is_help=True, help="Past years: load them from Parquet, verify that all is there."
)

# The server is the limit; two processes feed it.
WORKERS: Final = 2

Source = Annotated[Path, typer.Argument(metavar="SRC", help="The folder of Parquet files.")]
Zone = Annotated[
    str,
    typer.Option(
        "--source-tz", metavar="ZONE", help="The zone of its timestamps, such as Asia/Seoul."
    ),
]
MappingFile = Annotated[
    Path | None,
    typer.Option("--mapping", help="Which column is which field: TOML or JSON; see mapping."),
]
Name = Annotated[
    str | None,
    typer.Option(help="The source's name, where it is mounted elsewhere too; else its path."),
]
Before = Annotated[
    str | None,
    typer.Option(metavar="YYYY-MM-DD", help="Only trade dates before it: the rest comes live."),
]
Workers = Annotated[int, typer.Option(min=1, max=64, help="How many processes.")]


@app.command(
    "load",
    epilog=examples_text(
        (
            "history load /export/orders --source-tz Asia/Seoul --before 2026-01-05",
            "history load orders --source-tz UTC --mapping m.toml --workers 4 --rate 20000",
        )
    ),
)
def load(  # noqa: PLR0913 - each option is a part of what a load is
    *,
    source: Source,
    source_tz: Zone,
    before: Before = None,
    mapping: MappingFile = None,
    workers: Workers = WORKERS,
    rate: Annotated[
        int | None, typer.Option(min=0, metavar="DOCS/S", help="Set the ceiling of all loads.")
    ] = None,
    rejects: Annotated[
        Path, typer.Option(help="Where rows that no order can be made of are kept.")
    ] = Path("rejects.parquet"),
    name: Name = None,
    again: Annotated[
        list[str] | None, typer.Option(help="Load this file anew although it has changed.")
    ] = None,
    output: Form = Output.TABLE,
    json: JsonShort = False,
) -> None:
    """Load a folder of Parquet files; run it again to go on where it stopped."""
    from app.accounts.history.migration import migrate
    from app.cli.history.bar import Shown, bar
    from app.cli.history.outcome import end, show_outcome
    from app.cli.history.store import SourceOptions, ask, plan_of, set_ceiling, told

    with told():
        plan = plan_of(SourceOptions(source, source_tz, mapping, name, before))
        plan = replace(plan, rejects=rejects)

        async def work(client: "Client") -> "Outcome":
            if rate is not None:
                await set_ceiling(client, plan.store, rate, "openbell history load --rate")
            with bar("rows") as show:
                return await migrate(
                    plan,
                    workers,
                    client,
                    lambda p: show(Shown(p.rows, p.counts.read, f"{p.workers} workers")),
                    again=frozenset(again or ()),
                )

        outcome = ask(plan.store, work)
        show_outcome(outcome, plan.rejects, chosen(output, json=json))
        end(outcome)


@app.command(
    "rate",
    epilog=examples_text(
        ("history rate", 'history rate 5000 --reason "the market opens in ten minutes"')
    ),
)
def rate(
    *,
    documents_per_second: Annotated[
        int | None,
        typer.Argument(min=0, metavar="DOCS/S", help="The new ceiling; 0 is a pause."),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; it is kept with the number.")] = "",
    output: Form = Output.TABLE,
    json: JsonShort = False,
) -> None:
    """Show or set how many documents a second all loads together may write."""
    from app.accounts.history.ceiling import Ceilings
    from app.cli.history.store import account_store, ask, set_ceiling, told

    with told():
        if documents_per_second is not None and len(reason.strip()) < REASON_LENGTH_MIN:
            raise Failure(
                Ends.USAGE,
                "a change needs its reason",
                why=f"expected at least {REASON_LENGTH_MIN} characters",
                advice='--reason "…"',
            )
        store = account_store()

        async def work(client: "Client") -> dict[str, Any]:
            if documents_per_second is not None:
                await set_ceiling(client, store, documents_per_second, reason)
            ceilings = Ceilings(client, store.database)
            changes = [
                change | {"at": rfc3339(int(change["at"].timestamp() * 1000))}
                for change in await ceilings.changes()
            ]
            ceiling = await ceilings.now()
            return {"documents_per_second": ceiling.documents_per_second, "changes": changes}

        found = ask(store, work)
        screen = Screen(chosen(output, json=json))
        if screen.output is Output.JSON:
            screen.show(found)
            return
        print_out(f"documents_per_second  {found['documents_per_second']}")
        if found["changes"]:
            screen.show(found["changes"])


@app.command(
    "status",
    epilog=examples_text(
        ("history status /export/orders", "history status orders --name orders --json")
    ),
)
def status(
    *, source: Source, name: Name = None, output: Form = Output.TABLE, json: JsonShort = False
) -> None:
    """Say how far a source is, and what could not be loaded of it."""
    from app.accounts.history.chunks import Chunks, Load
    from app.cli.history.outcome import counted
    from app.cli.history.store import account_store, ask, source_name, told

    with told():
        store = account_store()

        async def work(client: "Client") -> dict[str, Any]:
            chunks = Chunks(client, store.database, Load(source_name(source, name), "", None))
            return counted(await chunks.progress()) | {"failures": await chunks.failures()}

        found = ask(store, work)
        screen = Screen(chosen(output, json=json))
        if screen.output is Output.JSON:
            screen.show(found)
            return
        failures = found.pop("failures")
        screen.show(found)
        if failures:
            print_out("")
            screen.show(failures)


@app.command(
    "verify",
    epilog=examples_text(
        (
            "history verify /export/orders --source-tz Asia/Seoul --before 2026-01-05",
            "history verify orders --source-tz UTC --mapping m.toml --out report.json",
        )
    ),
)
def verify(  # noqa: PLR0913 - what was loaded, and where the report goes
    *,
    source: Source,
    source_tz: Zone,
    before: Before = None,
    mapping: MappingFile = None,
    workers: Workers = WORKERS,
    name: Name = None,
    out: Annotated[Path, typer.Option(help="Where the signed report goes.")] = Path(
        "history-verification.json"
    ),
    key_file: Annotated[
        Path | None,
        typer.Option(help="The key that signs it; verification.key in the data dir, made if new."),
    ] = None,
    data_dir: DataDir = Path("data"),
    output: Form = Output.TABLE,
    json: JsonShort = False,
) -> None:
    """Compare every day of the files with the view; write a signed report."""
    from app.accounts.history.report import Subject, report_of, signed
    from app.accounts.history.signing import signing_key
    from app.accounts.history.verify import processes, verify_source
    from app.cli.history.bar import Shown, bar
    from app.cli.history.outcome import show_report, write_report
    from app.cli.history.store import SourceOptions, ask, plan_of, told

    with told():
        plan = plan_of(SourceOptions(source, source_tz, mapping, name, before))
        clock = SystemClock()
        key = signing_key(key_file or data_dir / "verification.key", clock)

        async def work(client: "Client") -> "Verified":
            with bar("parts") as show, processes(workers) as pool:
                return await verify_source(
                    plan, pool, client, lambda step, done, of: show(Shown(of, done, step))
                )

        verified = ask(plan.store, work)
        subject = Subject(
            record="parquet", source=plan.source, store=plan.store.database, before=plan.before
        )
        report = report_of(subject, verified.days, verified.findings, clock.now())
        write_report(out, signed(report, key))
        show_report(report, out, chosen(output, json=json))


@app.command(
    "mapping",
    epilog=examples_text(("history mapping", "history mapping > mapping.toml")),
)
def mapping() -> None:
    """Print a mapping that changes nothing, to begin one's own with."""
    from app.accounts.history.mapping import EXAMPLE

    print_out(EXAMPLE.rstrip())
