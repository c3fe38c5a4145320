"""The benches run, at sizes that measure nothing, and say what they found in one shape."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.cli.bench.bell import SECOND_NS, Bell, Wire, within, worst_second
from app.cli.bench.console import Half
from app.cli.bench.console import figures as console_figures
from app.cli.bench.dispatch import Run
from app.cli.bench.dispatch import figures as dispatch_figures
from app.cli.bench.intake import shed
from app.cli.bench.load import Job, requests
from app.cli.bench.pacing import figures as pacing_figures
from app.cli.bench.report import Figure, lines, ratio
from app.cli.bench.server import EMPTY
from tests.cli.benches import named, run


def test_intake_stands_beside_doing_nothing_and_beside_the_store(tmp_path: Path) -> None:
    sizes = ("--rounds", "2", "--orders", "20", "--batches", "1", "--connections", "4")

    printed, report = run(tmp_path, "intake", *sizes)

    found = named(report)
    single = found["single order / empty handler"]
    batch = found["batch / the store's own insert"]
    assert (single["unit"], single["target"], len(single["rounds"])) == ("ratio", ">= 0.60", 2)
    assert (batch["unit"], batch["target"], len(batch["rounds"])) == ("ratio", ">= 0.50", 2)
    assert report["conditions"]["connections"] == 4
    assert report["conditions"]["ledger"] == "SQLite"
    assert ">= 0.60" in printed


def test_dispatch_sends_every_order_with_the_view_and_without(tmp_path: Path) -> None:
    _, report = run(tmp_path, "dispatch", "--orders", "100", "--rounds", "1")

    found = named(report)
    assert report["conditions"]["sizes"] == [100]
    for title in ("100, view on", "100, view off"):
        assert found[f"{title}: answered"]["target"] == ">= 5,000"
        assert found[f"{title}: answered"]["median"] > 0
    assert found["the adapter alone, no ledger"]["median"] > 0


def test_memory_is_told_for_one_more_waiting_order() -> None:
    sizes = [(1_000, 100.0), (1_000, 101.0), (101_000, 103.0)]
    runs = [Run(n, True, Bell(1.0, 1.0, 1.0, 90.0, peak), alone=2.0) for n, peak in sizes]

    found = {f.name: list(f.rounds) for f in dispatch_figures(runs, [1.0])}

    assert found["view on: memory of one more waiting order"] == [20]
    assert found["1,000, view on: peak memory"] == [100, 101]
    assert found["view on: answered / the adapter alone"] == [0.5, 0.5, 0.5]


def test_pacing_counts_what_left_and_what_arrived(tmp_path: Path) -> None:
    _, report = run(tmp_path, "pacing", "--tps", "100", "--seconds", "0.5")

    found = named(report)
    assert found["sent of what is allowed"]["target"] == ">= 98"
    # The figures are the machine's; that they come from the brokers' own record is ours.
    assert found["worst second at the socket"]["median"] > 0
    assert found["refused as too fast"]["median"] >= 0


@pytest.mark.parametrize("verb", ["intake", "dispatch", "console", "pacing", "relay", "projector"])
def test_each_bench_shows_two_examples_and_explains_its_options(verb: str) -> None:
    shown = CliRunner().invoke(app, ["bench", verb, "--help"], terminal_width=200).stdout

    assert shown.count(f"  openbell bench {verb}") == 2
    assert "--report FILE" in shown


def test_consoles_look_while_orders_leave(tmp_path: Path) -> None:
    _, report = run(tmp_path, "console", "--orders", "100", "--rounds", "1", "--consoles", "2")

    found = named(report)
    assert found["answered, 2 consoles / nobody looks"]["target"] == ">= 0.95"
    assert found["events read"]["median"] >= 2


def test_what_consoles_cost_is_a_ratio_of_two_halves_of_a_round() -> None:
    nobody = [Half(1_000.0, 4.0, 10.0, 0, 0.0), Half(800.0, 4.0, 10.0, 0, 0.0)]
    watched = [Half(980.0, 4.2, 10.0, 200, 9e4), Half(800.0, 4.1, 10.0, 200, 9e4)]

    found = {f.name: list(f.rounds) for f in console_figures(nobody, watched, 20)}

    assert found["answered, 20 consoles / nobody looks"] == [0.98, 1.0]
    assert found["20 consoles: of one core"] == pytest.approx([0.02, 0.01])


def test_a_second_is_half_open_and_may_begin_anywhere() -> None:
    instants = [0, SECOND_NS // 2, SECOND_NS - 1, SECOND_NS, SECOND_NS + 1]

    assert worst_second(instants) == 4
    assert worst_second([0, SECOND_NS]) == 1
    assert within(instants, SECOND_NS // 2, SECOND_NS) == 2


def test_what_was_refused_at_the_broker_is_counted_as_such() -> None:
    sent = [i * SECOND_NS // 10 for i in range(20)]

    found = {f.name: list(f.rounds) for f in pacing_figures(Wire(sent, sent, refused=3), 10, 2.0)}

    assert found["sent of what is allowed"] == [100]
    assert found["worst second at the socket"] == [10]
    assert found["refused as too fast"] == [3]


def test_a_ratio_is_made_of_halves_of_one_round() -> None:
    found = ratio("a / b", [1.0, 4.0, 9.0], [2.0, 4.0, 6.0], ">= 1")

    assert found.rounds == (0.5, 1.0, 1.5)
    assert found.document()["median"] == 1.0


@pytest.mark.parametrize(
    ("statuses", "path", "orders"),
    [
        ({"201": 3, "503": 1}, "/v1/orders", 1),
        ({"200": 4}, "/v1/orders", 1),
        ({"200": 4, "whole": 3}, "/v1/orders/batch", 1_000),
        ({"500": 4}, EMPTY, 1),
    ],
)
def test_a_gateway_that_sheds_is_not_measured(
    statuses: dict[str, int], path: str, orders: int
) -> None:
    assert shed(statuses, path, 4, orders)


def test_no_two_orders_of_a_run_have_one_id() -> None:
    sessions = {"XNYS": "XNYS-2026-11-23-REG", "XNAS": "XNAS-2026-11-23-REG"}
    jobs = [Job(name, 1, "/v1/orders", "k", sessions, 3, 2, 1) for name in ("job1", "job2")]

    bodies = [json.loads(r.partition(b"\r\n\r\n")[2]) for job in jobs for r in requests(job)]

    orders = [order for body in bodies for order in body["orders"]]
    assert len({order["client_order_id"] for order in orders}) == len(orders) == 12


def test_a_report_is_readable() -> None:
    one = Figure("rate", "a second", (12_345.6, 999.4), "").document()
    document = {"bench": "x", "at": "now", "machine": {"cores": 2}, "conditions": {}}

    shown = lines({**document, "figures": [one]})

    assert shown[-1].split() == ["rate", "6,672", "999..12,346", "2", "a", "second", "-"]
