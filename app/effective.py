"""The settings that act, each with where it comes from, and no secret in it.

The command line and the operators' door show the same. The trap is a configuration that is pasted
into a ticket: a password stands in a URL and in an adapter's options as well as in its own field,
so what may be secret is not shown, and what opens a URL is cut out of it.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Any, Final, NamedTuple

SECRET: Final = "(secret)"  # noqa: S105 - what stands in the place of one
# Their options belong to an adapter, which alone knows which of them are secret.
OPTIONS: Final = "options"
LOCATION: Final = "url"  # as the end of its name
DEFAULT: Final = "default"
COMMAND_LINE: Final = "command line"


class Effective(NamedTuple):
    """One setting."""

    setting: str
    value: Any  # plain JSON
    origin: str  # its variable, the command line, or default


def effective(
    settings: Iterable[tuple[str, Any]],
    given: AbstractSet[str],
    variables: Iterable[str],
    prefix: str,
) -> list[Effective]:
    """Return every setting; `given` were not left at their default, `variables` are the names."""
    told = {name.split("__")[0] for name in variables}
    return [
        Effective(name, plain(name, value), _origin(prefix + name.upper(), name, told, given))
        for name, value in settings
    ]


def plain(name: str, value: Any) -> Any:
    """Return a value as it may be read by anybody."""
    if hasattr(value, "get_secret_value"):
        return SECRET
    if name == OPTIONS and isinstance(value, dict):
        return dict.fromkeys(value, SECRET)
    if name.endswith(LOCATION) and isinstance(value, str):
        return _without_password(value)
    if hasattr(value, "model_fields_set"):
        return {inner: plain(inner, one) for inner, one in value}
    if isinstance(value, dict):
        return {inner: plain(inner, one) for inner, one in value.items()}
    if isinstance(value, list):
        return [plain(name, one) for one in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _origin(variable: str, name: str, told: AbstractSet[str], given: AbstractSet[str]) -> str:
    if variable in told:
        return variable
    return COMMAND_LINE if name in given else DEFAULT


def _without_password(url: str) -> str:
    """Return an address without what opens it: who logs in, and what comes after the question.

    Where it cannot be said which part that is, nothing is shown: `k=v` words, a `?` in a password.
    """
    scheme, is_url, rest = url.partition("://")
    place = rest.partition("?")[0].rpartition("@")
    if not is_url or ("@" in rest and not place[1]):
        return SECRET
    return f"{scheme}://{f'{SECRET}@' if place[1] else ''}{place[2]}"
