"""`pytest --broker NAME`: the conformance cases as pytest items, one test an id.

pytest finds this file by the entry-point group `pytest11` wherever the gateway is installed, so
an adapter's own repository needs no line of configuration. Nothing but pytest imports it.

The trap is a plug-in that costs every other run something: without the option nothing is added,
and nothing of the gateway is imported.
"""

from typing import Final

import pytest

# By name, as pytest loads every plug-in: the items open a ledger, so they live with the doors.
ITEMS: Final = "app.cli.check_broker.pytest_items"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("openbell", "openbell: conformance of a broker adapter")
    group.addoption("--broker", metavar="NAME", help="check this broker of OPENBELL_BROKERS")
    group.addoption(
        "--broker-live", action="store_true", help="let cases place orders, and cancel them"
    )
    group.addoption("--broker-money", action="store_true", help="let one market order trade")
    group.addoption(
        "--broker-term",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of the orders and the run, as `openbell check-broker --term` takes them",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Play the cases instead of what a plain `pytest` would run; beside what was named."""
    if config.getoption("--broker"):
        config.pluginmanager.import_plugin(ITEMS)
        place = getattr(config.pluginmanager.get_plugin(ITEMS), "__file__", "")
        named = config.args_source is pytest.Config.ArgsSource.ARGS
        config.args = [*(config.args if named else []), place]
