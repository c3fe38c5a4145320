"""Holds the house to its rules, and proves on small planted houses that each rule can fail.

A rule that cannot fail is worse than none, because it is believed. So every rule has at least
one breach planted here, and a small house in order in which it finds nothing.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import house_rules as rules
from tests import house_tables as tables
from tests.house import House

HERE = Path(__file__).parents[1]
THE_HOUSE = House(HERE)
Rule = Callable[[House], Iterator[str]]

IN_ORDER = {
    "app/__init__.py": '"""A small house."""\n__version__ = "1"\n',
    "app/__main__.py": '"""The door."""\nfrom app import __version__\nfrom app.cli import serve\n',
    "app/cli/__init__.py": '"""Doors.\n\nThe trap: slow ones."""\n',
    "app/cli/serve.py": '"""Serves."""\nimport time\nfrom app.wiring import x\ntime.time()\n',
    "app/wiring.py": '"""Builds."""\nfrom app import ledger\nfrom app.intake import desk\n',
    "app/clock.py": '"""The time."""\nimport time\nNOW = time.time_ns\n',
    "app/intake/__init__.py": '"""Takes.\n\nThe trap: too soon."""\n',
    "app/intake/checks.py": '"""Decides."""\nfrom app.domain import order\n',
    "app/intake/desk.py": '"""Takes."""\nfrom app.intake import checks\nasync def take(): ...\n',
    "app/ports/__init__.py": '"""Seams.\n\nThe trap: doubles that drift."""\n',
    "app/ledger/__init__.py": '"""Keeps.\n\nThe trap: twice."""\nimport sqlalchemy\n',
    "app/domain/__init__.py": '"""Laws.\n\nThe trap: many files."""\n',
    "app/domain/order.py": '"""An order."""\nclass Database: ...\n',
    "app/brokers/__init__.py": '"""Five answers.\n\nThe trap: six."""\n',
    "app/brokers/sim/__init__.py": '"""Alien.\n\nTrap: us."""\nfrom app.brokers.sim import book\n',
    "app/brokers/sim/book.py": '"""Its book."""\nimport random\nrandom.random()\n',
    "CHANGELOG.md": "# Changelog\n\n## [Unreleased]\n\n### Safety\n\n### Fixed\n\n- x\n",
}

PORTS = '"""Seams."""\nclass Bus(Protocol):\n    async def poll(self): ...\n'
SEP = "/"  # apart, so that the rule does not find this file
LONG_FUNCTION = '"""Long."""\ndef f():\n' + "    f()\n" * 60

# The rule, the one file that breaks it, what that file says, and what the rule must say.
BREACHES: list[tuple[Rule, str, str, str]] = [
    (rules.imports_point_down, "app/intake/x.py", "from app import ledger", "neighbours"),
    (rules.imports_point_down, "app/intake/x.py", "import app.bus.log as bus", "neighbours"),
    (rules.imports_point_down, "app/domain/x.py", "from app.clock import Clock", "neighbours"),
    (rules.imports_point_down, "app/ledger/x.py", "def f():\n    import app.wiring", "down"),
    (rules.imports_point_down, "app/ledger/x.py", 'import_module("app.web")', "down"),
    (rules.imports_point_down, "app/intake/x.py", "from . import checks", "relative"),
    (rules.imports_point_down, "app/shed/x.py", "", "no floor"),
    (rules.imports_point_down, "app/web/x.py", "from app.shed import x", "no floor"),
    (rules.imports_point_down, "app/brokers/sim/x.py", "from app.domain import order", "stranger"),
    (rules.imports_point_down, "app/brokers/sim/x.py", "import app.brokers.simple", "stranger"),
    (rules.packages_stay_home, "app/intake/x.py", "from sqlalchemy.orm import Session", "lives in"),
    (rules.packages_stay_home, "app/domain/x.py", "import msgspec", "lives in"),
    (rules.packages_stay_home, "app/cli/x.py", "import requests", "no home"),
    (rules.packages_stay_home, "app/cli/x.py", "from tests import virtual", "no home"),
    (rules.deciding_code_is_pure, "app/domain/x.py", "async def f(): ...", "waits"),
    (rules.deciding_code_is_pure, "app/dispatch/plan.py", "from random import choice", "imports"),
    (
        rules.only_the_clock_reads_clocks_and_chance,
        "app/web/x.py",
        "import time\ntime.time()",
        ":2",
    ),
    (
        rules.only_the_clock_reads_clocks_and_chance,
        "app/web/x.py",
        "from time import monotonic as m\nm()",
        "time.monotonic",
    ),
    (
        rules.only_the_clock_reads_clocks_and_chance,
        "app/web/x.py",
        "import datetime as dt\ndt.datetime.now(dt.UTC)",
        "datetime.datetime.now",
    ),
    (
        rules.only_the_clock_reads_clocks_and_chance,
        "app/web/x.py",
        "from uuid import uuid4\nnew_id = uuid4",
        "uuid.uuid4",
    ),
    (rules.only_settings_read_the_environment, "app/web/x.py", "import os\nos.environ['A']", ":2"),
    (
        rules.only_settings_read_the_environment,
        "app/web/x.py",
        "from os import getenv as g\ng('A')",
        "os.getenv",
    ),
    (rules.code_fits_on_a_screen, "app/web/x.py", "x = 1\n" * 301, "301 lines"),
    (rules.code_fits_on_a_screen, "tests/test_x.py", LONG_FUNCTION, "61 lines"),
    (rules.every_module_says_what_it_is_for, "app/web/x.py", "x = 1", "no docstring"),
    (
        rules.a_door_plate_says_the_promise_and_the_trap,
        "app/intake/__init__.py",
        '"""Takes orders."""',
        "two paragraphs",
    ),
    (rules.a_door_plate_says_the_promise_and_the_trap, "app/bus/log.py", "", "app/bus/__init__"),
    (
        rules.a_door_plate_says_the_promise_and_the_trap,
        "app/ledger/days/plan.py",
        "",
        "app/ledger/days/__init__",
    ),
    (rules.the_map_names_what_stands, "README.md", "See `ledger/gone.py`.", "app/ledger/gone.py"),
    (rules.the_map_names_what_stands, "README.md", "See `ledger/days/`.", "app/ledger/days/"),
    (rules.names_promise_something, "app/web/order_utils.py", "", "promises nothing"),
    (rules.names_promise_something, "app/helpers/x.py", "", "promises nothing"),
    (rules.names_promise_something, "app/web/x.py", "class OrderManager: ...", "promises nothing"),
    (rules.names_promise_something, "app/web/x.py", "class BaseOrder: ...", "promises nothing"),
    (
        rules.a_port_has_a_contract_suite,
        "app/bus/log.py",
        "class Log:\n    async def poll(self): ...\n    def close(self): ...",
        "tests/contracts/test_bus.py",
    ),
    (rules.the_changelog_has_its_sections, "CHANGELOG.md", "# Changelog", "Unreleased"),
    (
        rules.the_changelog_has_its_sections,
        "CHANGELOG.md",
        "## [Unreleased]\n### Fixed\n### Safety",
        "in order",
    ),
    (
        rules.the_changelog_has_its_sections,
        "CHANGELOG.md",
        "## [Unreleased]\n### Security",
        "in order",
    ),
    *(
        (rules.nothing_names_a_registry_or_a_workplace, "docs/x.md", f"from https://{host}/", host)
        for host in tables.REGISTRIES
    ),
    (
        rules.nothing_names_a_registry_or_a_workplace,
        "app/data/x.json",
        f"path: {SEP}root{SEP}data",
        "one machine",
    ),
]


def a_house(root: Path, files: dict[str, str]) -> House:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, "utf-8")
    return House(root)


def name_of(value: object) -> str:
    return getattr(value, "__name__", "")


@pytest.mark.parametrize("rule", rules.RULES, ids=name_of)
def test_the_house_keeps(rule: Rule) -> None:
    assert list(rule(THE_HOUSE)) == []


@pytest.mark.parametrize("rule", rules.RULES, ids=name_of)
def test_a_small_house_in_order_keeps(rule: Rule, tmp_path: Path) -> None:
    assert list(rule(a_house(tmp_path, IN_ORDER))) == []


@pytest.mark.parametrize(("rule", "path", "text", "sentence"), BREACHES, ids=name_of)
def test_a_planted_breach_is_found(
    rule: Rule, path: str, text: str, sentence: str, tmp_path: Path
) -> None:
    found = list(rule(a_house(tmp_path, IN_ORDER | {"app/ports/bus.py": PORTS, path: text})))

    assert len(found) == 1
    assert sentence in found[0]


def test_every_rule_has_a_planted_breach() -> None:
    assert {rule for rule, *_ in BREACHES} == set(rules.RULES)


def test_a_contract_suite_that_stands_settles_its_port(tmp_path: Path) -> None:
    files = {
        "app/ports/bus.py": PORTS,
        "app/bus/log.py": "class Log:\n    async def poll(self): ...\n",
        "tests/contracts/test_bus.py": '"""Every bus."""\n',
    }

    assert list(rules.a_port_has_a_contract_suite(a_house(tmp_path, files))) == []


def test_every_row_of_a_table_names_a_room_of_the_house() -> None:
    places = {place for homes in tables.HOMES.values() for place in homes}
    places |= tables.PURE | set(tables.CLOCK_READERS) | set(tables.ENVIRONMENT_READERS)

    assert {place.split("/")[1].removesuffix(".py") for place in places} <= set(tables.FLOOR_OF)
