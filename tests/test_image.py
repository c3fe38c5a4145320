"""Holds the image to the lock, to the project and to the versions that the tests run on.

What is shipped is what was tested: the same packages by the same hashes, and nothing that builds
or tests. Nothing is built here but our own wheel, which takes a second and no network.
"""

import re
import stat
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Final

import pytest

from tests.deployment import (
    DOCKERFILE,
    KUSTOMIZE,
    OF_OUR_IMAGE,
    OURS,
    PODS,
    PROJECT,
    ROOT,
    SERVICES,
    WORKLOADS,
)
from tests.servers.images import IMAGES
from tests.servers.wishes import without_settings

# --- images ---------------------------------------------------------------------------------


def test_the_servers_are_those_that_the_tests_run_on() -> None:
    by_product = {image.partition(":")[0]: image for image in IMAGES.values()}
    used = {it["image"] for it in SERVICES.values()}

    assert set(IMAGES.values()) <= used
    for image in used:
        assert image == by_product.get(image.partition(":")[0], image)


def test_every_image_is_pinned_to_an_exact_version() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    composed = [it["image"] for it in SERVICES.values()]
    containers = [
        it["image"]
        for pod in PODS.values()
        for it in [*pod["containers"], *pod.get("initContainers", [])]
    ]

    assert len(bases) == 2
    for image in [*bases, *composed, *containers]:
        assert re.search(r":v?\d+\.\d+\.\d+(-[a-z]+)*$|^postgres:\d+\.\d+-alpine$", image), image
    assert len(set(bases)) == 1
    # The oldest that we promise, on which the tests run.
    assert PROJECT["requires-python"] == ">=3.11"
    assert bases[0].startswith("python:3.11.")


def test_our_own_image_has_the_version_of_the_project() -> None:
    for name in OF_OUR_IMAGE:
        assert SERVICES[name]["image"] == OURS
        assert SERVICES[name]["build"] == {"context": ".", "dockerfile": ".ci/Dockerfile"}
    for pod in PODS.values():
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert container["image"] == OURS
    version = PROJECT["version"]

    assert f'image.version="{version}"' in DOCKERFILE
    # A Job cannot be changed: another version is another Job.
    assert WORKLOADS["migrate"]["metadata"]["name"].endswith(version.replace(".", "-"))
    assert [it["newTag"] for it in KUSTOMIZE["overlays/prod"]["images"]] == [version]


def test_the_image_gets_what_it_copies_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for source in [word for word in line.split() if not word.startswith("--")][:-1]
    }

    assert next(line for line in lines if not line.startswith("#")) == "*"
    assert allowed == copied
    assert all((ROOT / path).exists() for path in copied)


def test_an_installed_package_brings_its_migrations(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)  # noqa: S603 - our own
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    versions = [file.name for file in (ROOT / "migrations/versions").glob("*.py")]

    assert versions
    assert {f"app/migrations/versions/{name}" for name in versions} <= set(names)
    assert {"app/migrations/env.py", "app/data/sessions.json"} <= set(names)
    assert not [name for name in names if name.startswith("tests/")]


# --- locks ----------------------------------------------------------------------------------


def pins(file: str) -> dict[str, str]:
    """Return each pin's hashes by the line that pins it."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / file).read_text(), flags=re.MULTILINE)
    found = re.findall(r"^(\S.*?) \\\n((?:    --hash=.*\n?)+)", text, re.MULTILINE)
    return {pin: re.sub(r"[\s\\]+", " ", hashes).strip() for pin, hashes in found}


def named(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    assert found is not None
    return found[0].lower().replace("_", "-")


@pytest.mark.parametrize("file", [".ci/runtime.lock", ".ci/build-pin.lock"])
def test_what_is_shipped_is_what_was_tested(file: str) -> None:
    assert pins(file)
    assert pins(file).items() <= pins("requirements.lock").items(), "make lock"


def test_the_image_has_the_programs_packages_and_no_tools() -> None:
    shipped = {named(pin) for pin in pins(".ci/runtime.lock")}
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    tools = {named(it) for group in groups.values() for it in group}

    assert {named(it) for it in PROJECT["dependencies"]} <= shipped, "make lock"
    assert not tools & shipped
    assert not any(name.startswith(("types-", "pytest", "secantus")) for name in shipped)


# --- the entrypoint -------------------------------------------------------------------------

WITH_SECRETS: Final = ROOT / ".ci/with-secrets"


def with_secrets(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own script
        [str(WITH_SECRETS), *command],
        env=without_settings() | {"WITH_SECRETS_FROM": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_secret_becomes_the_setting_of_its_name(tmp_path: Path) -> None:
    value = 'postgresql://a:b c"$`@h/d'
    (tmp_path / "OPENBELL_LEDGER_URL").write_text(f"{value}\n")
    (tmp_path / "postgres-password").write_text("not ours")

    ran = with_secrets(tmp_path, sys.executable, "-c", "import os; print(dict(os.environ))")

    assert f"'OPENBELL_LEDGER_URL': {value!r}" in ran.stdout
    assert "not ours" not in ran.stdout


def test_a_secret_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "OPENBELL_LEDGER_URL").mkdir()

    ran = with_secrets(tmp_path, "echo", "started")

    assert ran.returncode
    assert "started" not in ran.stdout
    assert "OPENBELL_LEDGER_URL" in ran.stderr


def test_without_secrets_it_only_runs_the_command(tmp_path: Path) -> None:
    ran = with_secrets(tmp_path / "none", "echo", "a b", "c")

    assert (ran.returncode, ran.stdout) == (0, "a b c\n")
    assert WITH_SECRETS.stat().st_mode & stat.S_IXUSR
    assert 'ENTRYPOINT ["with-secrets", "openbell"]' in DOCKERFILE
