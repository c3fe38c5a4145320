"""Class paths that `make` has prepared with Maven: a Java server is found, never downloaded."""

import os
from pathlib import Path
from typing import Final

from tests.servers.wishes import wish

TOOLS: Final = Path(__file__).parents[2] / ".tools"


def classpath(name: str) -> str | None:
    """Return a server's class path, if each of its files is still there."""
    given = wish(f"OPENBELL_TEST_{name.upper()}_CLASSPATH")
    prepared = TOOLS / f"{name}.classpath"
    if not given and prepared.exists():
        given = prepared.read_text().strip()
    files = [Path(file) for file in given.split(os.pathsep) if file and "*" not in file]
    return given if given and all(file.exists() for file in files) else None
