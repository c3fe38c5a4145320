"""What a gateway would be started with here: each setting, its value, and where that comes from.

It reads the environment as `serve` does, so what it refuses would stop the start as well. Secrets
are shown as such and never in letters: the trap is a configuration that is pasted into a ticket.
"""

from typing import TYPE_CHECKING, Any

import typer

from app.cli.command import DataDir, Form, JsonShort, chosen, examples_text, reported
from app.cli.output import Ends, Failure, Output, Screen, print_out, say
from app.cli.target import DATA_DIR

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
    from app.settings import PREFIX, Settings

    for name, field in Settings.model_fields.items():
        print_out(f"# {field.description}")
        default = "" if field.default is None or callable(field.default) else field.default
        print_out(f"#{PREFIX}{name.upper()}={default if default != {} else '{}'}")


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
