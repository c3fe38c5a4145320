"""The whole OpenAPI document, played against a running gateway: nothing is found.

Every operation of the document is played, so a new door comes under it by being there. The small
play belongs to every change; `OPENBELL_TEST_PLAY_S=600` plays each key for so many seconds, with
many more examples.
"""

from pathlib import Path
from typing import Final

from tests.openapi.excuses import FIELDS, SPARED
from tests.openapi.play import Found, Run, play
from tests.openapi.stage import Stage
from tests.servers.wishes import wish

SECONDS: Final = int(wish("OPENBELL_TEST_PLAY_S") or 0) or None
EXAMPLES: Final = 100 if SECONDS else 3


def played(stage: Stage, run: Run, directory: Path) -> Found:
    found = play(stage, run, directory)
    print(f"{found.operations} operations, {found.cases} cases: {len(found.failures)} failures")  # noqa: T201 - pytest -s

    assert not found.failures, "\n".join([*found.failures, found.said])
    return found


def operations(stage: Stage, *roots: str) -> int:
    return sum(operation.path.startswith(roots) for operation in stage.operations)


def test_a_clients_key_finds_nothing(stage: Stage, tmp_path: Path) -> None:
    run = Run(stage.client, only="^/v1/", examples=EXAMPLES, seconds=SECONDS)

    assert played(stage, run, tmp_path).operations == operations(stage, "/v1/")


def test_an_operators_key_finds_nothing(stage: Stage, tmp_path: Path) -> None:
    run = Run(stage.operator, examples=EXAMPLES, seconds=SECONDS)

    assert played(stage, run, tmp_path).operations == operations(stage, "/")


def test_a_key_without_the_scope_opens_nothing(stage: Stage, tmp_path: Path) -> None:
    run = Run(stage.nobody, phases=("examples", "coverage"), only="^/(v1|admin)/", scopeless=True)

    assert played(stage, run, tmp_path).operations == operations(stage, "/v1/", "/admin/")


def test_an_excuse_is_of_something_that_is_there(stage: Stage) -> None:
    names = {operation.name for operation in stage.operations}

    assert {name for name, _ in (*FIELDS, *SPARED)} - {"*"} <= names
