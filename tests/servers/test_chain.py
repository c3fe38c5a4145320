"""Which server a run gets, what it is told when it gets none, and that nothing stays behind.

The runs are pytest's own, on Redis's suite beside us, since Redis starts in a blink.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.children import first_words, outlived
from tests.eventually import eventually
from tests.servers import container, images
from tests.servers.prepared import classpath
from tests.servers.proc import lives
from tests.servers.process import Process, Program
from tests.servers.remains import Unavailable, scratch
from tests.servers.server import Server
from tests.servers.wishes import without_settings

ROOT: Final = Path(__file__).parents[2]
SUITE: Final = "tests/servers/test_redis.py"
# Starts a server, tells of it, and waits for the end that it does not see coming.
RUN: Final = """
import time
from tests.servers import {service}
process = {service}.of_our_own().process
print(process.pid, process.program.directory, flush=True)
time.sleep(60)
"""
DEAF: Final = """
import pathlib, signal, time
signal.signal(signal.SIGTERM, lambda *_: pathlib.Path("heard").touch())
pathlib.Path("ready").touch()
give_up_at = time.monotonic() + 60
while time.monotonic() < give_up_at:
    time.sleep(1)
"""


def a_run(*more: str, **wishes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own suite
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", SUITE, *more],
        cwd=ROOT,
        env=without_settings() | wishes,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_server_that_the_environment_names_is_used_and_not_hurt(redis: Server) -> None:
    ran = a_run(OPENBELL_TEST_REDIS_URL=redis.url, OPENBELL_TEST_BACKENDS="env")

    assert "1 passed, 2 skipped" in ran.stdout, ran.stdout
    assert f"redis: Redis {redis.on.split()[1]} at 127.0.0.1:" in ran.stdout
    assert "cannot show kill" in ran.stdout
    assert "cannot show freeze" in ran.stdout


def test_without_a_server_a_test_is_skipped_with_every_reason() -> None:
    ran = a_run(OPENBELL_TEST_BACKENDS="env,docker", DOCKER_HOST="unix:///nowhere.sock")

    assert ran.returncode == 0, ran.stdout
    assert "3 skipped" in ran.stdout
    reasons = "redis: OPENBELL_TEST_REDIS_URL not set; no Docker engine (DockerException)"
    assert reasons in ran.stdout
    assert f"{reasons} (none)" in ran.stdout  # the summary's line


def test_what_is_required_and_missing_fails() -> None:
    ran = a_run(OPENBELL_TEST_BACKENDS="env", OPENBELL_REQUIRE="kafka, redis")

    assert ran.returncode == 1, ran.stdout
    assert "3 errors" in ran.stdout
    assert "required: redis: OPENBELL_TEST_REDIS_URL not set" in ran.stdout


def test_a_required_capability_that_is_missing_fails(redis: Server) -> None:
    ran = a_run(
        OPENBELL_TEST_REDIS_URL=redis.url,
        OPENBELL_TEST_BACKENDS="env",
        OPENBELL_REQUIRE="redis:freeze",
    )

    assert "1 failed, 1 passed, 1 skipped" in ran.stdout, ran.stdout
    assert "required: redis: " in ran.stdout


def test_a_named_server_that_does_not_answer_is_no_skip() -> None:
    ran = a_run(OPENBELL_TEST_REDIS_URL="redis://127.0.0.1:9/0")

    assert "3 errors" in ran.stdout, ran.stdout


def test_an_unknown_place_is_refused() -> None:
    ran = a_run(OPENBELL_TEST_BACKENDS="podman")

    assert "expected some of" in ran.stdout, ran.stdout


def test_the_workers_of_a_parallel_run_tell_what_they_ran_on() -> None:
    ran = a_run("-n", "2", "-k", "answers", OPENBELL_TEST_BACKENDS="local")

    assert "1 passed" in ran.stdout or "2 passed" in ran.stdout, ran.stdout
    assert ran.stdout.count("started by the tests") == 1


@pytest.mark.parametrize("service", ["redis", "postgres"])
def test_a_killed_run_leaves_no_process_and_no_directory(
    service: str, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(service).needs("kill")  # else there may be none to start here
    child = subprocess.Popen(  # noqa: S603 - our own lines
        [sys.executable, "-c", RUN.format(service=service)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with outlived(child) as run:
        pid, directory = first_words(run).split()
        assert lives(int(pid))
        assert Path(directory).exists()
        run.kill()

    asyncio.run(eventually(lambda: not lives(int(pid))))
    asyncio.run(eventually(lambda: not Path(directory).exists()))


def test_a_server_that_ends_at_its_start_says_why() -> None:
    directory = scratch()
    command = [sys.executable, "-c", "import sys; sys.exit('no such option')"]
    process = Process(
        Program(name="it", command=command, directory=directory, ready=_never, start_s_max=10)
    )
    try:
        with pytest.raises(Unavailable, match="it ended at its start: no such option"):
            process.start()
    finally:
        process.discard()


def test_a_server_that_does_not_hear_the_signal_is_ended() -> None:
    directory = scratch()
    heard = directory / "heard"
    command = [sys.executable, "-c", DEAF]

    def ready() -> None:
        assert (directory / "ready").exists()

    program = Program(name="it", command=command, directory=directory, ready=ready, end_s_max=0.5)
    process = Process(program).start()
    process.stop()

    assert heard.exists()
    assert not process.lives()
    process.discard()
    assert not directory.exists()


def _never() -> None:
    raise ConnectionRefusedError


def test_images_have_exact_versions_and_kafka_is_the_same_everywhere() -> None:
    versions = {name: image.rpartition(":")[2] for name, image in images.IMAGES.items()}
    pom = (ROOT / "tests/servers/java/pom.xml").read_text()

    assert all(version.count(".") >= 1 for version in versions.values()), versions
    assert f"<version>{versions['kafka']}</version>" in pom


def test_a_class_path_with_a_missing_file_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    there = tmp_path / "a.jar"
    there.touch()
    monkeypatch.setenv("OPENBELL_TEST_KAFKA_CLASSPATH", str(there))
    assert classpath("kafka") == str(there)

    monkeypatch.setenv("OPENBELL_TEST_KAFKA_CLASSPATH", f"{there}{os.pathsep}{tmp_path}/b.jar")
    assert classpath("kafka") is None


def test_an_engine_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    container.why_no_engine.cache_clear()
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    try:
        assert container.why_no_engine() == "no Docker engine (DockerException)"
        assert container.why_no_engine() == "no Docker engine (DockerException)"
        assert container.why_no_engine.cache_info().misses == 1
    finally:
        container.why_no_engine.cache_clear()


def test_a_frozen_server_can_be_ended(redis: Server) -> None:
    redis.needs("freeze", "kill")
    with redis.freeze():
        redis.stop()
    redis.start()
