"""A bench run at sizes that measure nothing, held to the shape that every report has."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from typer.testing import CliRunner

from app.cli import app

FACTS: Final = {"cores", "load_average", "system", "python", "sqlite", "disk", "fsync_ms"}
FIGURE: Final = {"name", "unit", "median", "min", "max", "target", "rounds"}
# Whoever runs the tests may have a stack of his own in his environment: it is not for them.
NOWHERE: Final[Mapping[str, str | None]] = dict.fromkeys(
    f"OPENBELL_{name}"
    for name in ("LEDGER_URL", "KAFKA", "KAFKA__BOOTSTRAP", "MONGO", "MONGO__URL")
)


def run(
    here: Path, *words: str, environment: Mapping[str, str | None] = NOWHERE
) -> tuple[str, dict[str, Any]]:
    """Run one bench; return what it printed and what it wrote, and hold both to the shape."""
    report = here / "report.json"
    work = here / "work"

    result = CliRunner(env={**NOWHERE, **environment}).invoke(
        app,
        ["bench", *words, "--dir", str(work), "--report", str(report)],
        catch_exceptions=False,
    )

    assert result.exit_code == 0, result.output
    written = json.loads(report.read_text("utf-8"))
    assert set(written) == {"bench", "at", "machine", "conditions", "figures"}
    assert set(written["machine"]) == FACTS
    assert all(set(figure) == FIGURE for figure in written["figures"])
    assert all(f["min"] <= f["median"] <= f["max"] for f in written["figures"])
    assert all(figure["name"] in result.stdout for figure in written["figures"])
    assert "round" in result.stderr or "orders" in result.stderr
    assert list(work.iterdir()) == []
    return result.stdout, written


def named(report: dict[str, Any]) -> dict[str, Any]:
    return {figure["name"]: figure for figure in report["figures"]}
