"""What a gateway would be started with here: each setting, its value, and where that comes from.

It reads the environment as `serve` does, so what it refuses would stop the start as well. Secrets
are shown as such and never in letters: the trap is a configuration that is pasted into a ticket.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.asking.command import DataDir, Form, JsonShort, chosen, examples_text, reported
from app.cli.asking.output import Ends, Failure, Output, Screen, print_out, say
from app.cli.asking.target import DATA_DIR

if TYPE_CHECKING:  # pydantic is heavier than the help
    from app.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Settings: what a gateway would be started with.")


@app.command("show", epilog=examples_text(("config show", "config show --json")))
def show(
    *, data_dir: DataDir = DATA_DIR, output: Form = Output.TABLE, json: JsonShort = False
) -> None:
    """Show every setting with its value and its origin; secrets are not printed."""
    from app.effective import effective
    from app.settings import PREFIX, environment

    with reported():
        settings = _read(data_dir)
    found = effective(settings, settings.model_fields_set, environment(), PREFIX)
    Screen(chosen(output, json=json)).show([one._asdict() for one in found])


@app.command("check", epilog=examples_text(("config check", "config check --data-dir /data")))
def check(*, data_dir: DataDir = DATA_DIR) -> None:
    """Say whether a gateway would start with this; exit 2 with what is wrong."""
    with reported():
        _read(data_dir)
    say("the settings are in order")


@app.command("env", epilog=examples_text(("config env", "config env > openbell.env")))
def env() -> None:
    """Print every variable with its meaning, to begin one's own file with."""
    print_out("\n".join(_variables()))


@app.command("init", epilog=examples_text(("config init", "config init /etc/openbell.env")))
def init(
    *, file: Annotated[Path, typer.Argument(help="Where it shall stand.")] = Path("openbell.env")
) -> None:
    """Write a file of every variable, for us alone: secrets will stand in it."""
    with reported():
        try:
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
                out.write("\n".join(_variables()) + "\n")
        except FileExistsError as e:
            raise Failure(Ends.CONFLICT, f"{file} is there already", advice="name another") from e
        except OSError as e:
            raise Failure(Ends.FAILED_CHECK, f"cannot write {file}", why=str(e)) from e
    say(f"{file}: take the # from what you set; openbell config check says whether it is right")


def _variables() -> Iterator[str]:
    """Yield two lines for each: what it means, and its default."""
    from app.settings import PREFIX, Settings

    for name, field in Settings.model_fields.items():
        yield f"# {field.description}"
        default = "" if field.default is None or callable(field.default) else field.default
        if hasattr(default, "model_dump_json"):
            default = default.model_dump_json()
        yield f"#{PREFIX}{name.upper()}={default}"


@app.command("schema", epilog=examples_text(("config schema", "config schema > settings.json")))
def schema() -> None:
    """Print the settings as JSON Schema."""
    import json

    from app.settings import Settings

    print_out(json.dumps(Settings.model_json_schema(), indent=2))


def _read(data_dir: Any) -> "Settings":
    from app.settings import read_settings

    try:
        return read_settings(data_dir=data_dir)
    except ValueError as e:
        raise Failure(
            Ends.USAGE, "a gateway would not start with this", why=str(e), advice="see config env"
        ) from e
