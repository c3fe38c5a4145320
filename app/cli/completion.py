"""Prints what makes a shell offer our words at the Tab key, for the shell to read.

`openbell --install-completion` writes it into the files of whoever runs it, after a guess at the
shell; here the shell is named and nothing is written. The trap of a guess is a login by a script,
in which no shell is above us.
"""

from enum import StrEnum
from typing import Annotated, Final

import typer

from app.cli.asking.output import print_out


class Shell(StrEnum):
    """Those whose words we know."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


PROGRAM: Final = "openbell"


def completion(*, shell: Annotated[Shell, typer.Argument(help="Whose words to speak.")]) -> None:
    """Print the completion of a shell.

    \b
    Examples:
      openbell completion bash > ~/.local/share/bash-completion/completions/openbell
      openbell completion zsh > ~/.zfunc/_openbell
    """  # noqa: D301 - the mark must be the character, it keeps the lines below as they are
    from typer._completion_shared import get_completion_script

    variable = f"_{PROGRAM}_COMPLETE".upper()
    print_out(get_completion_script(prog_name=PROGRAM, complete_var=variable, shell=shell.value))
