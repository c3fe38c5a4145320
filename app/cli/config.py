"""What a gateway would be started with here: each setting, its value, and where that comes from.

It reads the environment as `serve` does, so what it refuses would stop the start as well. Secrets
are shown as such and never in letters: the trap is a configuration that is pasted into a ticket.
"""

from typing import TYPE_CHECKING, Any, Final

import typer

from app.cli.command import DataDir, Form, JsonShort, chosen, examples_text, reported
from app.cli.output import Ends, Failure, Output, Screen, print_out, say
from app.cli.target import DATA_DIR

if TYPE_CHECKING:  # pydantic is heavier than the help
    from app.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Settings: what a gateway would be started with.")

SECRET: Final = "(secret)"  # noqa: S105 - what stands in the place of one
# Their options belong to an adapter, which alone knows which of them are secret.
OPTIONS: Final = "options"
LOCATIONS: Final = ("ledger_url", "redis_url", "url")


@app.command("show", epilog=examples_text(("config show", "config show --json")))
def show(
    *, data_dir: DataDir = DATA_DIR, output: Form = Output.TABLE, json: JsonShort = False
) -> None:
    """Show every setting with its value and its origin; secrets are not printed."""
    from app.settings import PREFIX, environment

    with reported():
        settings = _read(data_dir)
    given = {name.split("__")[0] for name in environment()}
    rows = [
        {
            "setting": name,
            "value": _plain(name, value),
            "origin": PREFIX + name.upper() if PREFIX + name.upper() in given else "default",
        }
        for name, value in settings
    ]
    Screen(chosen(output, json=json)).show(rows)


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


def _plain(name: str, value: Any) -> Any:
    """Return a value as it may be read by anybody."""
    if hasattr(value, "get_secret_value"):
        return SECRET
    if name == OPTIONS and isinstance(value, dict):
        return dict.fromkeys(value, SECRET)
    if name in LOCATIONS and isinstance(value, str):
        return _without_password(value)
    if hasattr(value, "model_fields_set"):
        return {inner: _plain(inner, one) for inner, one in value}
    if isinstance(value, dict):
        return {inner: _plain(inner, one) for inner, one in value.items()}
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _without_password(url: str) -> str:
    """Return an address without what opens it: who logs in, and what comes after the question."""
    scheme, _, rest = url.partition("://")
    place = rest.partition("?")[0].rpartition("@")
    return f"{scheme}://{f'{SECRET}@' if place[1] else ''}{place[2]}"
