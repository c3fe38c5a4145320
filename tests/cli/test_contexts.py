"""A context remembers a gateway and its keys, and sends a key nowhere else."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli.asking.output import Ends
from tests.cli.conftest import Terminal
from tests.cli.gateway import APPROVER, KEY, OPERATOR, Gateway, running

SECRET = "ob_live_0123456789abcdef0123_hush"
UNSET = {"OPENBELL_URL": None, "OPENBELL_DATA_DIR": None}


@pytest.fixture
def other() -> Iterator[Gateway]:
    with running() as gateway:
        yield gateway


def added(terminal: Terminal, name: str, gateway: Gateway, *words: str, keys: str) -> None:
    result = terminal.run("context", "add", name, "--url", gateway.url, *words, stdin=keys)
    assert result.exit_code == 0, result.output


def file_of(terminal: Terminal) -> Path:
    return terminal.here / "config" / "openbell" / "contexts.toml"


def asked(gateway: Gateway) -> str:
    return gateway.headers[-1]["Authorization"].removeprefix("Bearer ")


def test_a_context_says_where_and_with_which_key(terminal: Terminal, other: Gateway) -> None:
    keys = f"{OPERATOR}\n{APPROVER}\n"
    added(terminal, "desk", other, "--role", "operator", "--role", "approver", keys=keys)

    halts = terminal.run("halt", "status", **UNSET)
    shown = len(other.headers)
    off = terminal.run("halt", "off", "--scope", "all", "--reason", "all is well", **UNSET)

    assert (halts.exit_code, off.exit_code) == (0, 0)
    keys_used = [h["Authorization"].removeprefix("Bearer ") for h in other.headers]
    assert (set(keys_used[:shown]), set(keys_used[shown:])) == ({OPERATOR}, {APPROVER})
    assert terminal.gateway.requests == []


def test_a_gateway_on_this_machine_needs_no_key_at_all(terminal: Terminal) -> None:
    here = str(terminal.here)
    added(terminal, "here", terminal.gateway, "--data-dir", here, keys="")

    assert terminal.run("halt", "status", **UNSET).exit_code == 0
    assert asked(terminal.gateway) == OPERATOR


def test_its_file_is_for_its_owner_alone(terminal: Terminal) -> None:
    added(terminal, "desk", terminal.gateway, "--role", "operator", keys=OPERATOR)
    file = file_of(terminal)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]

    file.chmod(0o640)
    result = terminal.run("halt", "status")
    assert result.exit_code == Ends.USAGE
    assert "chmod 600" in result.stderr
    assert terminal.gateway.requests == []


@pytest.mark.parametrize("form", ["table", "json"])
def test_no_key_is_ever_shown(terminal: Terminal, form: str) -> None:
    add = ("context", "add", "prod", "--url", "https://gw.example", "--role", "operator")
    result = terminal.run(*add, "--production", stdin=SECRET)
    shown = terminal.run("context", "list", "-o", form)
    again = terminal.run(*add, stdin=SECRET)

    assert (result.exit_code, shown.exit_code, again.exit_code) == (0, 0, Ends.CONFLICT)
    assert "0123456789abcdef0123" in shown.stdout
    assert "hush" not in result.output + shown.output + again.output
    assert "hush" in file_of(terminal).read_text()


def test_the_list_says_which_one_is_in_use(terminal: Terminal, other: Gateway) -> None:
    added(terminal, "one", terminal.gateway, keys="")
    added(terminal, "two", other, keys="")

    def in_use() -> list[str]:
        rows = json.loads(terminal.run("context", "list", "--json").stdout)
        return [row["name"] for row in rows if row["current"]]

    assert in_use() == ["one"]
    assert terminal.run("context", "use", "two").exit_code == 0
    assert in_use() == ["two"]
    assert terminal.run("context", "use", "--none").exit_code == 0
    assert in_use() == []
    assert terminal.run("context", "use", "three").exit_code == Ends.NOT_FOUND
    assert terminal.run("context", "use").exit_code == Ends.USAGE


def test_what_is_forgotten_is_gone(terminal: Terminal) -> None:
    added(terminal, "desk", terminal.gateway, "--role", "operator", keys=SECRET)

    assert terminal.run("context", "remove", "desk").exit_code == 0
    assert "hush" not in file_of(terminal).read_text()
    assert json.loads(terminal.run("context", "list", "--json").stdout) == []
    assert terminal.run("context", "remove", "desk").exit_code == Ends.NOT_FOUND


def test_a_path_asks_with_the_key_of_its_role(terminal: Terminal, other: Gateway) -> None:
    keys = f"{KEY}\n{OPERATOR}\n{APPROVER}\n"
    roles = [word for role in ("client", "operator", "approver") for word in ("--role", role)]
    added(terminal, "desk", other, *roles, keys=keys)

    terminal.run("api", "GET", "/v1/sessions", **UNSET)
    terminal.run("api", "GET", "/admin/v1/halts", **UNSET)
    terminal.run("api", "GET", "/admin/v1/halts", "--as", "approver", **UNSET)

    sent = [headers["Authorization"].removeprefix("Bearer ") for headers in other.headers]
    assert sent == [KEY, OPERATOR, APPROVER]


def test_the_environment_overrules_the_context_in_use(terminal: Terminal, other: Gateway) -> None:
    added(terminal, "desk", other, "--role", "operator", keys=SECRET)

    result = terminal.run("halt", "status")

    assert result.exit_code == 0
    assert other.requests == []
    assert asked(terminal.gateway) == OPERATOR, "the key of another gateway stays at home"


def test_the_command_line_overrules_the_environment(terminal: Terminal, other: Gateway) -> None:
    added(terminal, "desk", other, "--role", "operator", keys=OPERATOR)

    result = terminal.run("halt", "status", "-c", "desk", OPENBELL_KEY=APPROVER)

    assert result.exit_code == 0
    assert asked(other) == OPERATOR
    assert terminal.gateway.requests == []


def test_a_key_of_the_environment_overrules_that_of_the_context_in_use(
    terminal: Terminal, other: Gateway
) -> None:
    added(terminal, "desk", other, "--role", "operator", keys=OPERATOR)

    assert terminal.run("halt", "status", OPENBELL_KEY=APPROVER, **UNSET).exit_code == 0
    assert asked(other) == APPROVER


def test_two_gateways_on_one_command_line_are_refused(terminal: Terminal, other: Gateway) -> None:
    added(terminal, "desk", other, "--role", "operator", keys=OPERATOR)

    result = terminal.run("halt", "status", "-c", "desk", "--url", terminal.gateway.url)

    assert result.exit_code == Ends.USAGE
    assert "two gateways" in result.stderr
    assert other.requests == terminal.gateway.requests == []


def test_a_context_without_the_key_says_how_to_give_it_one(
    terminal: Terminal, other: Gateway
) -> None:
    added(terminal, "desk", other, "--role", "operator", keys=OPERATOR)

    result = terminal.run("order", "get", "O-1", **UNSET)

    assert result.exit_code == Ends.AUTHENTICATION
    assert "no key for the client" in result.stderr
    assert other.requests == [], "the first key of this machine is not for that gateway"


def test_a_gateway_that_is_gone_is_named_with_its_context(terminal: Terminal) -> None:
    add = ("context", "add", "desk", "--url", "http://127.0.0.1:1", "--role", "operator")
    terminal.run(*add, stdin=OPERATOR)

    result = terminal.run("halt", "status", **UNSET)

    assert result.exit_code == Ends.UNREACHABLE
    assert "http://127.0.0.1:1 (context desk)" in result.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("contexts = 3", "is not as openbell writes it"),
        ("[contexts.desk]\nurl = 3", "is not as openbell writes it"),
        ("[contexts.desk]\n", "is not as openbell writes it"),
        ("= broken", "is not as openbell writes it"),
    ],
)
def test_a_file_that_makes_no_sense_is_said_to(terminal: Terminal, text: str, said: str) -> None:
    file = file_of(terminal)
    file.parent.mkdir(parents=True)
    file.write_text(text)
    file.chmod(0o600)

    result = terminal.run("halt", "status")

    assert result.exit_code == Ends.USAGE
    assert said in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("a b", "--url", "http://gw"),
        ("desk", "--url", "ftp://gw"),
        ("desk", "--url", "https://gw", "--role", "king"),
        ("desk", "--url", "https://gw", "--role", "operator"),
    ],
)
def test_nonsense_is_not_remembered(terminal: Terminal, words: tuple[str, ...]) -> None:
    assert terminal.run("context", "add", *words).exit_code == Ends.USAGE
    assert not file_of(terminal).exists()
