"""Reads the deployment files as those who run them would: defaults, merged settings, secrets.

What a process is started with stands in several places: the image's own environment, the file's,
and secrets that `.ci/with-secrets` turns into settings. Here it is put together once, so that a
test can hand it to the program itself.
"""

import re
import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]
from typer.main import get_command

from app.brokers.sim import options as sim_options
from app.cli import app as command_line
from app.settings import Settings, environment, read_settings

ROOT: Final = Path(__file__).parents[1]
DOCKERFILE: Final = (ROOT / ".ci/Dockerfile").read_text()
K8S: Final = ROOT / "k8s"
DEV_SECRETS: Final = K8S / "overlays/dev/secrets"
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OURS: Final = f"openbell:{PROJECT['version']}"
Tree = dict[str, Any]


def defaults(text: str) -> str:
    """Return it as it is where nobody has set a variable."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


COMPOSE: Final[Tree] = yaml.safe_load(defaults((ROOT / "docker-compose.yml").read_text()))
SERVICES: Final[Tree] = COMPOSE["services"]
GATEWAYS: Final = [name for name, it in SERVICES.items() if it.get("command", [""])[0] == "serve"]
BROKERS: Final = [name for name, it in SERVICES.items() if "app.brokers.sim" in str(it)]
OF_OUR_IMAGE: Final = ["migrate", *GATEWAYS, *BROKERS]
RUN_ONCE: Final = ["migrate", "mongo-init", "mongos-init"]


def documents(folder: str) -> list[Tree]:
    files = sorted((K8S / folder).glob("*.yaml"))
    return [it for file in files for it in yaml.safe_load_all(file.read_text()) if it]


BASE: Final = documents("base")
KUSTOMIZE: Final[dict[str, Tree]] = {
    name: yaml.safe_load((K8S / name / "kustomization.yaml").read_text())
    for name in ("base", "overlays/dev", "overlays/prod")
}
WORKLOADS: Final = {
    it["spec"]["template"]["spec"]["containers"][0]["name"]: it
    for it in BASE
    if it["kind"] in {"Deployment", "Job"}
}
PODS: Final[dict[str, Tree]] = {
    name: it["spec"]["template"]["spec"] for name, it in WORKLOADS.items()
}


def image_environment() -> dict[str, str]:
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2].replace("\\\n", " ")
    words = [shlex.split(line)[1:] for line in last_stage.splitlines() if line.startswith("ENV ")]
    return dict(word.split("=", 1) for line in words for word in line)


def dev_secret(name: str) -> str:
    return (DEV_SECRETS / name).read_text().strip()


def compose_environment(service: str) -> dict[str, str]:
    """Return what the process in the container sees, as `.ci/with-secrets` makes it."""
    given = SERVICES[service]
    secrets = [name for name in given.get("secrets", []) if name.startswith("OPENBELL_")]
    own: dict[str, str] = given["environment"]
    return image_environment() | own | {it: dev_secret(it) for it in secrets}


def generated(overlay: str, kind: str) -> dict[str, dict[str, str]]:
    """Return what an overlay's generators make, by name: literals, and files by their name."""
    return {
        it["name"]: dict(word.split("=", 1) for word in it.get("literals", []))
        | {Path(file).name: dev_secret(Path(file).name) for file in it.get("files", [])}
        for it in KUSTOMIZE[overlay].get(kind, [])
    }


def pod_environment(pod: Tree, overlay: str) -> dict[str, str]:
    """Return what the process sees; a site's own secrets are played by those of development."""
    maps = [generated(place, "configMapGenerator") for place in ("base", overlay)]
    seen = image_environment()
    for source in pod["containers"][0]["envFrom"]:
        name = source["configMapRef"]["name"]
        seen |= maps[0][name] | maps[1].get(name, {})
    for name in secrets_of(pod):
        seen |= generated("overlays/dev", "secretGenerator")[name]
    return seen


def secrets_of(pod: Tree) -> list[str]:
    mounted = next(it["projected"] for it in pod["volumes"] if it["name"] == "secrets")
    secrets = [source["secret"] for source in mounted["sources"]]
    return [it["name"] for it in secrets if not it.get("optional")]


def settings_from(
    seen: Mapping[str, str], arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Read settings as `openbell` with these arguments does in this environment."""
    for name in environment():
        monkeypatch.delenv(name)
    for name, value in seen.items():
        if name.startswith("OPENBELL_"):
            monkeypatch.setenv(name, value)
    options = parsed(arguments)
    return read_settings(**{name: it for name, it in options.items() if it is not None})


def parsed(arguments: list[str]) -> dict[str, Any]:
    """Return the options of a command of ours, or fail as a terminal would."""
    root = get_command(command_line)
    context = root.make_context("openbell", [], resilient_parsing=True)
    command = root.get_command(context, arguments[0])  # type: ignore[attr-defined]
    assert command is not None, f"no command {arguments[0]}"
    return dict(command.make_context(arguments[0], arguments[1:]).params)


def broker_options(name: str) -> sim_options.Options:
    command = [defaults(word) for word in SERVICES[name]["command"]]
    (secret,) = SERVICES[name]["secrets"]
    inside = f"--secret-file=/run/secrets/{secret}"
    assert inside in command
    command[command.index(inside)] = f"--secret-file={DEV_SECRETS / secret}"
    return sim_options.parse(command)
