"""A stock generator makes a working client of our document, with nothing left out.

The generator wants other versions than we do, so it has an environment of its own, made from its
lock by uv. Where that cannot be had (no uv, no package index), the test is skipped and says so.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.openapi.stage import JSON, Stage
from tests.servers.wishes import is_required, without_settings

ROOT: Final = Path(__file__).resolve().parents[2]
LOCK: Final = ROOT / ".ci" / "generator-pin.lock"
USE: Final = Path(__file__).with_name("generated_use.py")
# How it formats is its own; lines of JSON are text to it.
CONFIG: Final = "post_hooks: []\ncontent_type_overrides:\n  application/x-ndjson: text/plain\n"
FETCH_S_MAX: Final = 120
RUN_S_MAX: Final = 120


def run(*words: str | Path, cwd: Path | None = None, seconds: float = RUN_S_MAX) -> str:
    ended = subprocess.run(  # noqa: S603 - our own environment's programs, on our own files
        [str(word) for word in words],
        cwd=cwd,
        env=without_settings(),
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the generator's environment, or skip."""
    uv = shutil.which("uv") or shutil.which(str(ROOT / ".tools" / "bin" / "uv"))
    venv = tmp_path_factory.mktemp("generator") / "venv"
    try:
        if uv is None:
            raise AssertionError("uv is not installed")
        run(uv, "venv", "--quiet", "--python", sys.executable, venv)
        packages = ("--require-hashes", "-r", LOCK, "--python", venv / "bin" / "python")
        run(uv, "pip", "install", "--quiet", *packages, seconds=FETCH_S_MAX)
    except (AssertionError, subprocess.TimeoutExpired) as e:
        if is_required("generator"):
            raise
        pytest.skip(f"no generator of clients here: {str(e)[-300:]}")
    return venv


def test_a_generated_client_places_reads_and_is_refused_an_order(
    stage: Stage, environment: Path, tmp_path: Path
) -> None:
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps(stage.document), "utf-8")
    (tmp_path / "config.yaml").write_text(CONFIG, "utf-8")
    generate = ("generate", "--meta", "none", "--config", "config.yaml", "--path", document)
    generator = environment / "bin" / "openapi-python-client"

    said = run(generator, *generate, "--output-path", "openbell_client", cwd=tmp_path)

    # A piece that it could not make is a warning, and a client that lacks it.
    assert "Warning" not in said, said
    operation = next(one for one in stage.operations if one.name == "create_order")
    content = operation.told["requestBody"]["content"][JSON]
    shutil.copy(USE, tmp_path / "use.py")
    python = environment / "bin" / "python"
    example = json.dumps(content["example"])
    told = json.loads(run(python, "use.py", stage.url, stage.client, example, cwd=tmp_path))

    order_id = content["example"]["client_order_id"]
    assert told == [order_id, "reserved", 1, "client-order-id-conflict", "not-found"]
