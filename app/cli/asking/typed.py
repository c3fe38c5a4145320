"""Lets a command start, and the Tab key answer, without what the typed words do not need.

Typer hands every value to pydantic, whose import takes longer than all the rest of what a person
waits for at the Tab key, also where the value is not there, or is a word that stays one. What is
so already is left as it is; everything else is typer's business as before. For zsh and fish it
takes tags out of the help by rich, of which ours has none. The trap is that this takes the place
of private names of typer's: a later typer may not ask them any more. Then everything is slower,
nothing is wrong, and a test says so.
"""

from typing import Any

import typer._completion_classes
import typer.core

CORE: Any = typer.core
SHELLS: Any = typer._completion_classes  # noqa: SLF001 - see the trap
_made = CORE.build_runtime_param


class Quick:
    """Stands before typer's own coercion of one parameter."""

    def __init__(self, descriptor: Any) -> None:
        self._descriptor = descriptor

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the value as the command takes it."""
        # At the Tab key nothing runs: words are looked at, not used.
        if ctx.resilient_parsing or self._is_so_already(value, param):
            return value
        return _made(self._descriptor).coerce(value, param=param, ctx=ctx)

    def _is_so_already(self, value: Any, param: Any) -> bool:
        if param.multiple or param.nargs != 1 or self._descriptor.parameter_info.parser is not None:
            return False
        wanted = self._descriptor.annotation
        fits = isinstance(wanted, type) and isinstance(value, wanted)
        return value is None or (fits and (value is param.default or type(value) is str))


def quicken() -> None:
    """Put these in their places."""
    CORE.build_runtime_param = Quick
    SHELLS._sanitize_help_text = str  # noqa: SLF001 - see the trap
