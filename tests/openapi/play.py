"""Plays the whole OpenAPI document against a gateway with schemathesis, and reads what it found.

It runs as a process of its own, as on a command line: its plug-in for pytest and its patience
with warnings stay out of our tests. A run is made from a seed, so it repeats.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.openapi.excuses import FITTING, HEADER_MISSING, SPARED, UNFIT
from tests.openapi.stage import Stage
from tests.servers.wishes import without_settings

ROOT: Final = Path(__file__).resolve().parents[2]
SEED: Final = 20_261_123
# A stream goes on for ever; after so long its beginning has come.
STREAM_S: Final = 0.3
CALL_S_MAX: Final = 20
SAID_CHARACTERS: Final = 6_000
# Beside what it was given to spend: a play of the whole document takes some two minutes.
PLAY_S_MAX: Final = 900


class Run(NamedTuple):
    """Which key plays which part of the document, and how long."""

    key: str
    phases: Sequence[str] = ("examples", "coverage", "fuzzing", "stateful")
    examples: int = 5
    only: str = "^/"  # paths
    seconds: int | None = None  # then fuzzing and stateful testing are repeated for so long
    scopeless: bool = False  # then what fits is enough: it must be refused


class Found(NamedTuple):
    """How much was played, and what was wrong; `said` is for people."""

    operations: int
    cases: int
    failures: Sequence[str]
    said: str


def play(stage: Stage, run: Run, directory: Path) -> Found:
    """Play one run to its end."""
    directory.mkdir(parents=True, exist_ok=True)
    settings, report = directory / "schemathesis.toml", directory / "report.json"
    lines = [f"{name} = {_toml(value)}\n" for name, value in _settings(stage).items()]
    settings.write_text("".join(lines), "utf-8")
    words = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(settings), "run"]
    words += [f"{stage.url}/openapi.json", "--seed", str(SEED)]
    words += ["--phases", ",".join(run.phases), "--max-examples", str(run.examples)]
    words += ["--header", f"Authorization: Bearer {run.key}", "--include-path-regex", run.only]
    words += ["--report", "json", "--report-json-path", str(report)]
    words += ["--mode", "positive"] if run.scopeless else []
    if run.seconds is not None:
        words += ["--max-time", str(run.seconds)]
    told = {"OPENBELL_TEST_SCOPELESS": "1"} if run.scopeless else {}
    ended = subprocess.run(  # noqa: S603 - our own environment's program, on our own files
        words,
        cwd=directory,
        env=without_settings() | told | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PLAY_S_MAX + (run.seconds or 0),
    )
    assert report.exists(), ended.stdout[-SAID_CHARACTERS:] + ended.stderr[-SAID_CHARACTERS:]
    return _found(json.loads(report.read_text("utf-8")), ended.stdout)


def _found(report: Mapping[str, Any], said: str) -> Found:
    failures = [
        f"{failure['title']}: {', '.join(failure['operations'])}" for failure in report["failures"]
    ]
    failures += [str(error) for error in report["errors"]]
    shown = said[said.find("= FAILURES") :] if failures else ""
    return Found(
        report["operations"]["tested"],
        report["test_cases"]["generated"],
        failures,
        shown[:SAID_CHARACTERS],
    )


def _settings(stage: Stage) -> dict[str, Any]:
    values = _values(stage)
    return {
        "color": False,
        "continue-on-failure": True,
        "request-timeout": CALL_S_MAX,
        "max-stream-events": 1,
        "warnings": False,
        "hooks": str(Path(__file__).with_name("checks.py")),
        "checks": {
            "positive_data_acceptance": {"expected-statuses": list(FITTING)},
            "negative_data_rejection": {"expected-statuses": list(UNFIT)},
            "missing_required_header": {"expected-statuses": list(HEADER_MISSING)},
        },
        "dictionaries": {name: {"values": list(sound)} for name, (_, sound) in values.items()},
        "parameters": {
            place: {"dictionary": name, "probability": 0.9}
            for name, (places, _) in values.items()
            for place in places
        },
        "operations": [*_spared(), _stream(stage)],
    }


def _values(stage: Stage) -> dict[str, tuple[Sequence[str], Sequence[str]]]:
    """Return values that mean something here, and where: else no order would ever be taken."""
    order = stage.document["paths"]["/v1/orders"]["post"]["requestBody"]["content"]
    sound = order["application/json"]["example"]
    names = ("account_id", "symbol", "market", "currency", "order_type", "limit_price")
    found: dict[str, tuple[Sequence[str], Sequence[str]]] = {
        name: ([f"body.{name}", f"body.orders[*].{name}"], [sound[name]]) for name in names
    }
    found["account_id"][0].extend(["path.account_id", "query.account_id"])  # type: ignore[attr-defined]
    found["trading_session_id"] = (
        ["body.trading_session_id", "body.orders[*].trading_session_id", "path.trading_session_id"],
        [sound["trading_session_id"]],
    )
    found["quantity"] = (["body.quantity", "body.orders[*].quantity"], ["1", "2", "10"])
    found["list_id"] = (["body.list_id", "path.list_id"], ["l-1", "l-2"])
    found["broker_id"] = (["path.broker_id", "body.to"], ["north", "south"])
    found["route_id"] = (["path.route_id", "body.route"], ["XNAS", "XNYS", "XKRX"])
    found["approver"] = (["header.X-Approver-Key"], [stage.approver])
    return found


def _spared() -> list[dict[str, Any]]:
    return [
        {"include-operation-id": name, "checks": {check: {"enabled": False}}}
        for name, check in SPARED
    ]


def _stream(stage: Stage) -> dict[str, Any]:
    names = [
        operation["operationId"]
        for path in stage.document["paths"].values()
        for operation in path.values()
        if "text/event-stream" in str(operation["responses"].get("200", {}).get("content", ""))
    ]
    return {"include-operation-id": names, "request-timeout": STREAM_S}


def _toml(value: object) -> str:
    """Write a value as TOML within one line: its scalars and lists are JSON's."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(k)} = {_toml(v)}' for k, v in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value)
