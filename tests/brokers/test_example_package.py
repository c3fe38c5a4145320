"""A third party's adapter: built as a wheel, found by its entry point, checked by both doors."""

import ast
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.brokers.conformance.catalogue import CASES
from app.settings import inherited
from tests.brokers.test_conformance import NO_REPLACE, NO_SESSION, a_port
from tests.children import first_words

EXAMPLE = Path(__file__).parent / "example_package"
ADAPTER = EXAMPLE / "acme_openbell.py"
LIVE = {"account_id": "A-1", "symbol": "AAPL", "quantity": "1", "limit_price": "0.01"}
# A wheel is built by the backend that the package names, without a network.
BUILD = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, str], str]]:
    """Install the package into a place of its own, start its broker, and name it in settings."""
    place = tmp_path_factory.mktemp("installed")
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", ADAPTER.name):
        (source / name).write_bytes((EXAMPLE / name).read_bytes())
    built = _ran([sys.executable, "-c", BUILD, str(place)], cwd=source)
    with zipfile.ZipFile(place / built.stdout.split()[-1]) as wheel:
        wheel.extractall(place)
    pushed = f"127.0.0.1:{a_port()}"
    command = [sys.executable, str(EXAMPLE / "acme_server.py"), "--secret", "s3cret"]
    server = subprocess.Popen(  # noqa: S603 - the example's own broker
        [*command, "--callback", f"http://{pushed}/"], stdout=subprocess.PIPE, text=True
    )
    try:
        port = json.loads(first_words(server))["port"]
        options = {"url": f"http://localhost:{port}", "secret": "s3cret", "timeout_s": 0.5}
        brokers = json.dumps({"acme": {"adapter": "acme", "options": options}})
        yield {**inherited(), "PYTHONPATH": str(place), "OPENBELL_BROKERS": brokers}, pushed
    finally:
        server.kill()
        server.communicate()


def _ran(
    command: list[str], env: dict[str, str] | None = None, cwd: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    ran = subprocess.run(  # noqa: S603 - our own programs
        command, env=env, cwd=cwd, capture_output=True, text=True, check=False, timeout=300
    )
    assert ran.returncode in {0, 1, 2}, ran.stdout + ran.stderr
    return ran


def test_the_command_line_passes_the_example(
    environment: tuple[dict[str, str], str], tmp_path: Path
) -> None:
    env, pushed = environment
    report = tmp_path / "report.json"
    terms = [f"--term={name}={value}" for name, value in LIVE.items()]
    command = [sys.executable, "-m", "app", "check-broker", "acme", "--live", "--money", *terms]

    ran = _ran([*command, f"--term=callbacks={pushed}", f"--report={report}"], env=env)
    told = json.loads(report.read_text())

    assert ran.returncode == 0, ran.stdout
    skipped = len(NO_REPLACE | NO_SESSION)
    passed = len(CASES) - skipped
    assert told["counts"] == {
        "pass": passed,
        "fail": 0,
        "not applicable": skipped,
        "not judged": 0,
    }
    assert told["left_at_the_broker"] == []
    assert f"{passed} passed, 0 failed" in ran.stderr
    assert all(one.case_id in ran.stdout for one in CASES)


def test_pytest_plays_the_same_cases_one_test_an_id(
    environment: tuple[dict[str, str], str], tmp_path: Path
) -> None:
    # What whoever runs us asks of pytest is not asked of this one: its output is read here.
    env = {**environment[0], "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-m", "pytest", "--broker", "acme", "-v", "-p", "no:cacheprovider"]

    ran = _ran([*command, "-k", "B-1"], env=env, cwd=tmp_path)

    assert ran.returncode == 0, ran.stdout
    assert "4 passed, 2 skipped" in ran.stdout
    assert "::B-101 PASSED" in ran.stdout
    assert "it places orders" in ran.stdout


def test_live_orders_want_an_order_of_the_users_own(
    environment: tuple[dict[str, str], str],
) -> None:
    env, _ = environment
    command = [sys.executable, "-m", "app", "check-broker", "acme", "--live"]

    ran = _ran([*command, "--term=symbol=AAPL"], env=env)

    assert ran.returncode == 2
    assert "live orders need account_id, quantity, limit_price" in ran.stderr


def test_the_example_is_about_sixty_lines() -> None:
    tree = ast.parse(ADAPTER.read_text())
    imports = (ast.Import, ast.ImportFrom)
    code = [n for n in ast.walk(tree) if isinstance(n, ast.stmt) and not isinstance(n, imports)]

    assert len(code) <= 60, "statements, as a person counts lines of code"
