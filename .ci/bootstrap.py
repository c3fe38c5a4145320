"""Makes the environment from the lock, on a machine that has only python3 and make.

`make` calls it; nobody else needs to. Every package comes from requirements.lock, by hash, and
so does uv itself (.ci/uv-pin.lock) where the machine has none. The trap it avoids: a first run that
ends in a traceback about a missing tool. What is missing is said in one sentence.

It must start under any Python 3.7, in order to say that 3.11 is needed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
UV_LOCK = ROOT / ".ci" / "uv-pin.lock"
# What the image has: the program's own packages, and what builds it from its sources.
RUNTIME_LOCK = ROOT / ".ci" / "runtime.lock"
BUILD_LOCK = ROOT / ".ci" / "build-pin.lock"
# A tool that a test runs in an environment of its own: it wants other versions than we do.
GENERATOR_LOCK = ROOT / ".ci" / "generator-pin.lock"
TOOLS = ROOT / ".tools"
VENV = ROOT / ".venv"
PYTHON_MIN = (3, 11)
NO_UV = (
    "uv is not installed and could not be fetched by pip: install uv, or python3-pip, or"
    " python3-venv, check that this machine reaches its package index, and run make again."
)
# Only a Python that is there already; and what the machine's own certificates vouch for, as
# curl and git do, so that a company's proxy is no obstacle.
os.environ.setdefault("UV_SYSTEM_CERTS", "1")  # noqa: TID251 - a script, not the gateway
os.environ.setdefault("PIP_ROOT_USER_ACTION", "ignore")  # noqa: TID251 - it writes to .tools only
SYSTEM_PYTHON = ("--python-preference", "only-system", "--no-python-downloads")


def uv() -> str:
    """Find uv on the PATH or among our tools; else fetch the locked one by pip."""
    ours = TOOLS / "bin" / "uv"
    found = shutil.which("uv") or shutil.which(str(ours))
    if found:
        return found
    say("fetching uv")
    wanted = ("--quiet", "--disable-pip-version-check", "--require-hashes", "-r", str(UV_LOCK))
    target = ("--target", str(TOOLS), "--upgrade")
    if succeeds(sys.executable, "-m", "pip", "install", *target, *wanted):
        return str(ours)
    # No pip here, or one that may not write: a venv brings its own.
    venv = TOOLS / "venv"
    pip = (str(venv / "bin" / "python"), "-m", "pip")
    if succeeds(sys.executable, "-m", "venv", str(venv)) and succeeds(*pip, "install", *wanted):
        return str(venv / "bin" / "uv")
    raise SystemExit(NO_UV)


def install(uv: str) -> None:
    """Make .venv equal the lock, plus ourselves, editable; keep a .venv that still works."""
    python = VENV / "bin" / "python"
    is_new_enough = f"import sys; sys.exit(sys.version_info < {PYTHON_MIN})"
    if not (python.exists() and succeeds(str(python), "-c", is_new_enough)):
        say("making .venv")
        run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, *SYSTEM_PYTHON, str(VENV))
    say("installing what requirements.lock names")
    into = ("--quiet", "--python", str(python))
    run(uv, "pip", "sync", *into, "--require-hashes", str(LOCK))
    run(uv, "pip", "install", *into, "--no-deps", "--no-build-isolation", "--editable", str(ROOT))


def lock(uv: str, *more: str) -> None:
    """Write every lock; pins stay as they are unless `--upgrade` is among `more`."""
    how = ("--quiet", "--generate-hashes", "--universal", "--no-emit-index-url", *SYSTEM_PYTHON)
    remake = ("--custom-compile-command", "make lock", "--python-version", "3.11", *more)
    dev = ("pyproject.toml", "--group", "dev", "--group", "test-servers")
    run(uv, "pip", "compile", *dev, *how, *remake, "--output-file", str(LOCK))
    run(uv, "pip", "compile", ".ci/uv-pin.in", *how, *remake, "--output-file", str(UV_LOCK))
    generator = (".ci/generator-pin.in", *how, *remake, "--no-annotate")
    run(uv, "pip", "compile", *generator, "--output-file", str(GENERATOR_LOCK))
    # Parts of the first one, never other versions: what was tested is what is shipped.
    part = (*how, *remake, "--no-annotate", "--constraint", str(LOCK))
    run(uv, "pip", "compile", "pyproject.toml", *part, "--output-file", str(RUNTIME_LOCK))
    run(uv, "pip", "compile", ".ci/build-pin.in", *part, "--output-file", str(BUILD_LOCK))


def run(*command: str) -> None:
    if not succeeds(*command):
        raise SystemExit("failed: " + " ".join(command))


def succeeds(*command: str) -> bool:
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def say(what: str) -> None:
    print(f"openbell: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    if sys.version_info < PYTHON_MIN:
        raise SystemExit(
            "openbell needs Python 3.11 or newer, and python3 is"
            f" {sys.version.split()[0]}: name another one, as in `make PYTHON=python3.12`."
        )
    if sys.argv[1:2] == ["lock"]:
        lock(uv(), *sys.argv[2:])
    else:
        install(uv())
