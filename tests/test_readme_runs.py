"""What the README says can be pasted is pasted: its blocks run, in order, on a fresh gateway.

A newcomer's machine is played by an empty directory with `.venv` in it. The gateway listens on a
port that is free here, so 8080 is another number; nothing else of a block is changed. A block
that cannot run here has a row below with what proves it instead.
"""

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from app.cli.asking.client import Client, key_of
from app.cli.docs import README
from app.cli.stage.ports import free_port
from app.settings import inherited
from tests.children import first_words
from tests.eventually import eventually

TEXT: Final = README.read_text()
FENCE: Final = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
BLOCK_S_MAX: Final = 60.0
# How the first line of a block begins that cannot run here, and what proves it.
ELSEWHERE: Final = {
    "make demo": "200,000 orders; the same night is played by tests/faults/test_kill.py",
    "make test": "this is it",
    ".venv/bin/openbell serve": "the gateway of all the others: started by the fixture",
    "make stack": "servers, containers: tests/servers, tests/test_deploy.py, tests/test_stores.py",
    "make bench": "minutes of load: tests/cli/test_bench.py",
    ".venv/bin/openbell check-broker": "an adapter: tests/brokers/test_example_package.py",
}
# What a block says by its exit status, if it is not that all is well.
ENDS: Final = {
    ".venv/bin/openbell preflight": 1,  # no Slack is told, and no route has a second broker
}


class Block(NamedTuple):
    """One fenced block."""

    script: str

    @property
    def first(self) -> str:
        return self.script.splitlines()[0]


BLOCKS: Final = [Block(found) for found in FENCE.findall(TEXT)]
HERE: Final = [block for block in BLOCKS if not block.first.startswith(tuple(ELSEWHERE))]


class House:
    """A newcomer's directory, and the gateway in it."""

    def __init__(self, here: Path) -> None:
        self.here = here
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        (here / ".venv").symlink_to(sys.prefix)
        self._environment = {
            name: value for name, value in inherited().items() if not name.startswith("OPENBELL_")
        } | {"HOME": str(here), "OPENBELL_PORT": str(self.port), "OPENBELL_URL": self.url}
        with (here / "serve.log").open("w") as log:
            self.gateway = subprocess.Popen(  # noqa: S603 - ours
                [here / ".venv/bin/openbell", "serve"],
                cwd=here,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def ready(self) -> None:
        assert first_words(self.gateway), (self.here / "serve.log").read_text()

    def paste(self, block: Block) -> subprocess.CompletedProcess[str]:
        script = block.script.replace("localhost:8080", f"127.0.0.1:{self.port}")
        return subprocess.run(  # noqa: S603 - the README
            ["bash", "-euo", "pipefail", "-c", script],  # noqa: S607 - whichever bash is there
            cwd=self.here,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=BLOCK_S_MAX,
            check=False,
        )

    def seen(self, role: str, path: str) -> Any:
        with closing(Client(self.url, key_of(role, self.here / "data"))) as client:
            return client.get(path)

    def close(self) -> None:
        """End it, and the brokers that it started."""
        self.gateway.send_signal(signal.SIGTERM)
        self.gateway.wait(BLOCK_S_MAX)
        assert self.gateway.stdout is not None
        self.gateway.stdout.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("newcomer"))
    try:
        made.ready()
        yield made
    finally:
        made.close()


def may_be_switched(house: House) -> bool:
    """Whether nothing stands in the way any more: a target is one after ten quiet seconds."""
    plan = house.paste(Block(".venv/bin/openbell failover plan XNYS --to south --json"))
    checks = json.loads(plan.stdout)
    return all(check["passed"] for check in checks if check["required"])


@pytest.mark.parametrize("block", HERE, ids=lambda block: block.first[:60])
def test_a_block_can_be_pasted(house: House, block: Block) -> None:
    if "failover run" in block.script:
        asyncio.run(eventually(lambda: may_be_switched(house), BLOCK_S_MAX))

    ran = house.paste(block)

    status = next((ENDS[row] for row in ENDS if block.first.startswith(row)), 0)
    assert ran.returncode == status, ran.stdout + ran.stderr


def test_the_first_order_is_filled(house: House) -> None:
    path = "/v1/accounts/A-1001/orders/by-client-order-id/app-0001"

    asyncio.run(eventually(lambda: house.seen("client", path)["status"] == "filled", BLOCK_S_MAX))

    assert house.seen("client", path)["filled_quantity"] == "10"


def test_every_order_that_was_pasted_was_taken(house: House) -> None:
    told = house.seen("client", "/v1/orders?account_id=A-1001&limit=10")["data"]

    assert {order["client_order_id"] for order in told} == {f"app-000{n}" for n in (1, 2, 3, 4)}


def test_what_was_canceled_before_its_bell_left_for_nobody(house: House) -> None:
    order = house.seen("client", "/v1/accounts/A-1001/orders/by-client-order-id/app-0003")

    assert (order["status"], order["broker_id"]) == ("canceled", None)


def test_the_change_of_the_rate_is_in_the_audit_log(house: House) -> None:
    rows = house.seen("operator", "/admin/v1/audit?after=0&limit=100")["data"]
    changes = [row for row in rows if row["reason"] == "a try"]

    assert [(row["action"], row["resource"]) for row in changes] == [
        ("broker.control", "broker/south")
    ]


@pytest.mark.parametrize("row", [*ELSEWHERE, *ENDS])
def test_a_row_is_of_a_block_that_stands_there(row: str) -> None:
    assert [block for block in BLOCKS if block.first.startswith(row)]
