"""The rules of the house: a walk over the syntax trees for each; the tables are beside it.

They are checked by machine so that review can talk about ideas. When a rule is wrong, change
its table in the same commit as the code, and say why in the commit's body. Each rule yields
one sentence for each breach; `test_house_rules.py` runs them here and on planted breaches.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterator

from tests.house import House, Module
from tests.house_tables import (
    CHANGELOG_SECTIONS,
    CLOCK_MODULES,
    CLOCK_READERS,
    CLOCKS,
    CONTRACTS,
    ENVIRONMENT,
    ENVIRONMENT_READERS,
    FLOOR_OF,
    HOMES,
    IMPURE_IMPORTS,
    LINES_PER_FUNCTION_MAX,
    LINES_PER_MODULE_MAX,
    LINES_PER_SUITE_MAX,
    LONGER,
    PURE,
    REFUSED_NAMES,
    REGISTRIES,
    STRANGER,
    WORKPLACES,
)

# What waits, or lets another wait in it.
WAITING = ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith


def imports_point_down(house: House) -> Iterator[str]:
    for module in house.app:
        if module.room not in FLOOR_OF:
            yield f"{module.path}: {module.room} stands on no floor: give it one in FLOORS"
            continue
        for line, name in module.imports:
            breach = _breach_of_floors(module, name)
            if breach:
                yield f"{module.path}:{line}: {breach}"


def _breach_of_floors(module: Module, name: str) -> str | None:
    if name.startswith("."):
        return f"{name} is relative: write it from app on"
    top, _, rest = name.partition(".")
    if top != "app" or rest == "__version__":
        return None
    if module.path.startswith(STRANGER):
        own = STRANGER.rstrip("/").replace("/", ".")
        return None if f"{name}.".startswith(f"{own}.") else f"a stranger may not import {name}"
    room = rest.split(".")[0]
    if room == module.room:
        return None
    if room not in FLOOR_OF:
        return f"{name} stands on no floor"
    if FLOOR_OF[room] < FLOOR_OF[module.room]:
        return None
    return f"{module.room} may not import {name}: imports point down, neighbours meet in wiring"


def packages_stay_home(house: House) -> Iterator[str]:
    for module in house.app:
        for line, name in module.imports:
            package = name.split(".")[0]
            if not package or package == "app" or package in sys.stdlib_module_names:
                continue
            if package not in HOMES:
                yield f"{module.path}:{line}: {package} has no home: give it one in HOMES"
            elif not module.is_among(HOMES[package]):
                homes = ", ".join(sorted(HOMES[package]))
                yield f"{module.path}:{line}: {package} lives in {homes}"


def deciding_code_is_pure(house: House) -> Iterator[str]:
    for module in house.app:
        if not module.is_among(PURE):
            continue
        for line, name in module.imports:
            if name.split(".")[0] in IMPURE_IMPORTS:
                yield f"{module.path}:{line}: imports {name}: hand it what it needs as values"
        for node in ast.walk(module.tree):
            if isinstance(node, WAITING):
                yield f"{module.path}:{node.lineno}: waits: let the loop around it wait"


def only_the_clock_reads_clocks_and_chance(house: House) -> Iterator[str]:
    for module in house.app:
        if module.is_among(CLOCK_READERS):
            continue
        for line, name in module.uses:
            if name in CLOCKS or name.startswith(CLOCK_MODULES):
                yield f"{module.path}:{line}: {name}: take `now`, or ask the Clock"


def only_settings_read_the_environment(house: House) -> Iterator[str]:
    for module in house.app:
        if module.is_among(ENVIRONMENT_READERS):
            continue
        for line, name in module.uses:
            if name in ENVIRONMENT:
                yield f"{module.path}:{line}: {name}: make it a knob in settings.py"


def code_fits_on_a_screen(house: House) -> Iterator[str]:
    for module in [*house.app, *house.tests]:
        usual = LINES_PER_SUITE_MAX if "/test_" in module.path else LINES_PER_MODULE_MAX
        lines, _ = LONGER.get(module.path, (usual, ""))
        found = len(module.text.splitlines())
        if found > lines:
            yield f"{module.path}: has {found} lines, more than {lines}"
        for function in module.functions:
            found = (function.end_lineno or function.lineno) - function.lineno + 1
            if found > LINES_PER_FUNCTION_MAX:
                yield (
                    f"{module.path}:{function.lineno}: {function.name} has {found} lines,"
                    f" more than {LINES_PER_FUNCTION_MAX}"
                )


def every_module_says_what_it_is_for(house: House) -> Iterator[str]:
    for module in [*house.app, *house.tests]:
        if not ast.get_docstring(module.tree):
            yield f"{module.path}: has no docstring"


def a_door_plate_says_the_promise_and_the_trap(house: House) -> Iterator[str]:
    folders = {m.path.rpartition("/")[0] for m in house.app} - {"app"}
    for folder in sorted(folders):
        path = f"{folder}/__init__.py"
        door = house.module(path)
        plate = (ast.get_docstring(door.tree) if door else None) or ""
        if len(re.split(r"\n\s*\n", plate.strip())) < 2:
            yield f"{path}: needs two paragraphs: what the room promises, and the trap it avoids"


def the_map_names_what_stands(house: House) -> Iterator[str]:
    """Find paths to nowhere in the picture and the README, where a newcomer begins."""
    for page in ("app/__init__.py", "README.md"):
        path = house.root / page
        text = path.read_text("utf-8") if path.exists() else ""
        for place in sorted(set(re.findall(r"`((?:[a-z_]+/)+(?:[a-z_]+\.py)?)`", text))):
            is_of_ours = (house.root / "app" / place.split("/")[0]).is_dir()
            if is_of_ours and not (house.root / "app" / place).exists():
                yield f"{page}: leads to app/{place}, which is not there"


def names_promise_something(house: House) -> Iterator[str]:
    for module in [*house.app, *house.tests]:
        words = re.split(r"[/_.]", module.path.lower())
        if REFUSED_NAMES.intersection(words):
            yield f"{module.path}: a name that promises nothing"
        for node in module.classes:
            words = [word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+", node.name)]
            if REFUSED_NAMES.intersection(words):
                yield f"{module.path}:{node.lineno}: {node.name} promises nothing"


def a_port_has_a_contract_suite(house: House) -> Iterator[str]:
    pages = [module for module in house.app if module.room == "ports"]
    suites = {module.path for module in house.tests}
    for port in (port for page in pages for port in page.classes):
        if not any(ast.unparse(parent).startswith("Protocol") for parent in port.bases):
            continue
        suite = CONTRACTS.get(port.name, f"tests/contracts/test_{_snake(port.name)}.py")
        found = _implementation_of(port, house)
        if found and suite.startswith("tests/") and suite not in suites:
            yield f"{found} implements {port.name}: write {suite}, or give it a row in CONTRACTS"


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _implementation_of(port: ast.ClassDef, house: House) -> str | None:
    """Find a class with all the methods of a port: nobody has to say that it implements one."""
    wanted = _methods(port)
    for module in house.app:
        for node in module.classes:
            if module.room != "ports" and wanted <= _methods(node):
                return f"{module.path}:{node.lineno}: {node.name}"
    return None


def _methods(node: ast.ClassDef) -> set[str]:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return {child.name for child in node.body if isinstance(child, kinds)}


def the_changelog_has_its_sections(house: House) -> Iterator[str]:
    path = house.root / "CHANGELOG.md"
    text = path.read_text("utf-8") if path.exists() else ""
    _, *releases = re.split(r"^## ", text, flags=re.MULTILINE)
    if not releases or not releases[0].startswith("[Unreleased]"):
        yield "CHANGELOG.md: the newest stands first, under ## [Unreleased]"
    for release in releases:
        title = release.splitlines()[0]
        sections = re.findall(r"^### (.*)$", release, flags=re.MULTILINE)
        if not sections or sections != [s for s in CHANGELOG_SECTIONS if s in sections]:
            yield f"CHANGELOG.md: {title} has {sections}, not of {CHANGELOG_SECTIONS} in order"


def nothing_names_a_registry_or_a_workplace(house: House) -> Iterator[str]:
    for path, text in house.texts():
        for number, line in enumerate(text.splitlines(), 1):
            for host in REGISTRIES:
                if host in line:
                    yield f"{path}:{number}: names {host}: the machine knows its package index"
            if WORKPLACES.search(line):
                yield f"{path}:{number}: names a path of one machine"


RULES: tuple[Callable[[House], Iterator[str]], ...] = (
    imports_point_down,
    packages_stay_home,
    deciding_code_is_pure,
    only_the_clock_reads_clocks_and_chance,
    only_settings_read_the_environment,
    code_fits_on_a_screen,
    every_module_says_what_it_is_for,
    a_door_plate_says_the_promise_and_the_trap,
    the_map_names_what_stands,
    names_promise_something,
    a_port_has_a_contract_suite,
    the_changelog_has_its_sections,
    nothing_names_a_registry_or_a_workplace,
)
