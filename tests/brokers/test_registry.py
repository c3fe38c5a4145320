"""The registry loads what settings name, and nothing else."""

import sys
from pathlib import Path

import pytest

from app.brokers.http import HttpBroker
from app.brokers.registry import BadAdapter, UnknownAdapter, installed, load
from app.clock import SystemClock

OPTIONS = {"name": "north", "url": "http://127.0.0.1:1", "secret": "s", "clock": SystemClock()}


def test_our_own_adapter_comes_through_the_same_group_as_a_strangers() -> None:
    broker = load("http", {**OPTIONS, "batch_max": 20})

    assert isinstance(broker, HttpBroker)
    assert broker.capabilities.batch_max == 20


def test_an_unknown_adapter_stops_the_start_with_the_list_of_what_is_installed() -> None:
    with pytest.raises(UnknownAdapter, match=r"no broker adapter 'acme'; installed: \[.*'http'"):
        load("acme", {})


@pytest.mark.parametrize("more", [{"no_such_option": 1}, {"timeout_s": 1, "nmae": "x"}])
def test_an_option_that_the_adapter_does_not_know_stops_the_start(more: dict[str, object]) -> None:
    with pytest.raises(BadAdapter, match="cannot start"):
        load("http", {**OPTIONS, **more})


def test_a_broken_neighbour_hurts_only_whoever_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = tmp_path / "broken-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[openbell.brokers]\nbroken = broken_adapter:Broker\n")
    (tmp_path / "broken_adapter.py").write_text("raise ImportError('half a plug-in')\n")
    monkeypatch.syspath_prepend(tmp_path)

    assert "broken" in installed()
    assert isinstance(load("http", OPTIONS), HttpBroker)
    assert "broken_adapter" not in sys.modules
    with pytest.raises(BadAdapter, match="half a plug-in"):
        load("broken", {})
