"""The house as the rules see it: every module parsed once, and what it imports and names.

Only what a reader would see counts, so nothing is imported here: a rule must hold even for a
module that cannot start. The trap: aliases. `from time import time as t` reads the clock as
much as `time.time()` does, so names are resolved through the imports before a rule sees them.
"""

import ast
import os
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

# Made by tools or by running, never by hand: anywhere, and at the root (`app/data/` is ours).
NOT_OURS = {".git", ".venv", ".tools", ".hypothesis", "__pycache__"}
NOT_OURS_AT_THE_ROOT = {"build", "data", "dist"}


class Use(NamedTuple):
    """A dotted name, and where it stands."""

    line: int
    name: str


class Module:
    """One file of ours. `path` starts at the root: `app/dispatch/plan.py`."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self.tree = ast.parse(text, path)

    @property
    def room(self) -> str:
        """Return `dispatch` for `app/dispatch/plan.py`, and `clock` for `app/clock.py`."""
        return self.path.split("/")[1].removesuffix(".py")

    def is_among(self, places: Iterable[str]) -> bool:
        """Say whether one of these files, or folders (`app/cli/`), holds this module."""
        return any(
            self.path == place or (place.endswith("/") and self.path.startswith(place))
            for place in places
        )

    @cached_property
    def imports(self) -> list[Use]:
        """List what it imports, wherever the import stands; `from app import x` is `app.x`."""
        return list(self._imports())

    def _imports(self) -> Iterator[Use]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (Use(node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level:
                yield Use(node.lineno, "." * node.level + (node.module or ""))
            elif isinstance(node, ast.ImportFrom) and node.module == "app":
                yield from (Use(node.lineno, f"app.{alias.name}") for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield Use(node.lineno, node.module or "")
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
                yield from (
                    Use(node.lineno, argument.value)
                    for argument in node.args[:1]
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
                )

    @cached_property
    def uses(self) -> list[Use]:
        """List the imported names that it uses, in full: `datetime.datetime.now`."""
        known = self._names_in_full()
        found = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name | ast.Attribute):
                root, *rest = ast.unparse(node).split(".")
                if root in known:
                    found.append(Use(node.lineno, ".".join([known[root], *rest])))
        return found

    def _names_in_full(self) -> dict[str, str]:
        known: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    top = alias.name.split(".")[0]
                    known[alias.asname or top] = alias.name if alias.asname else top
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        return known

    @cached_property
    def functions(self) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
        kinds = ast.FunctionDef | ast.AsyncFunctionDef
        return [node for node in ast.walk(self.tree) if isinstance(node, kinds)]

    @cached_property
    def classes(self) -> list[ast.ClassDef]:
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef)]


class House:
    """All of it, under one root; a room or a file that does not stand yet is simply absent."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def app(self) -> list[Module]:
        return self._modules("app")

    @cached_property
    def tests(self) -> list[Module]:
        return self._modules("tests")

    def _modules(self, folder: str) -> list[Module]:
        paths = sorted((self.root / folder).rglob("*.py"))
        return [Module(self._name(path), path.read_text("utf-8")) for path in paths]

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def module(self, path: str) -> Module | None:
        return next((module for module in self.app if module.path == path), None)

    def texts(self) -> Iterator[tuple[str, str]]:
        """Read every text file of ours, whatever its kind: its path and what stands in it."""
        for folder, folders, files in os.walk(self.root):
            skipped = NOT_OURS | (NOT_OURS_AT_THE_ROOT if Path(folder) == self.root else set())
            folders[:] = sorted(
                name
                for name in folders
                if name not in skipped and not name.endswith(("_cache", ".egg-info"))
            )
            for name in sorted(files):
                path = Path(folder, name)
                try:
                    yield self._name(path), path.read_text("utf-8")
                except (UnicodeDecodeError, FileNotFoundError):  # not text; or gone meanwhile
                    continue
