"""What a dangerous step is confirmed by: its caller types the name of what it moves.

`X-Confirm` is checked here, for whoever calls: a console that forgets to ask, a script, a
proposal. The trap is a confirmation that any word satisfies: it must be the very name, and a dry
run, which moves nothing, needs none.
"""

from typing import Any, Final

from app.domain.errors import Code, Refused
from app.web.spec import Call, Spec

CONFIRM: Final = "x-confirm"
# A halt of these stops a market or more of it. An account or a symbol is small, and quickly let go.
LARGE: Final = frozenset({"all", "route", "broker"})


def must_be_confirmed(spec: Spec[Any, Any], call: Call[Any, Any]) -> None:
    """Raise `Refused` unless the call names what it moves, if it is one that must."""
    if spec.names is None or getattr(call.query, "dry_run", False):
        return
    name = spec.names(call)
    if name is not None:
        must_name(call, name, spec.name.replace("_", " "))


def must_name(call: Call[Any, Any], name: str, step: str) -> None:
    """Raise `Refused` unless this is the name in the call's X-Confirm."""
    if call.request.headers.get(CONFIRM) != name:
        raise Refused(
            Code.CONFIRM_REQUIRED,
            f"{step} is confirmed by the name of what it moves: send X-Confirm: {name}",
            confirm=name,
        )
