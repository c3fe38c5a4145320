"""A command that fails says what, why and what to do, and ends with a code for scripts."""

import json

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.cli.asking.output import ENDS_SAID, Ends
from app.cli.asking.problems import Problem
from tests.cli.conftest import Terminal
from tests.cli.gateway import hang_up, problem

REASON = ("--reason", "the desk asked")
CREATE = (
    *("order", "create", "--account", "A-1", "--client-order-id", "a-1", "--symbol", "AAPL"),
    *("--market", "XNYS", "--side", "buy", "--quantity", "10", "--limit-price", "1.50"),
)


def test_the_help_says_every_way_to_end() -> None:
    shown = CliRunner().invoke(app, ["--help"]).stdout

    for ends, said in ENDS_SAID.items():
        assert f"{ends:>2}  {said}" in shown
    assert len({int(ends) for ends in Ends}) == len(Ends)


@pytest.mark.parametrize(
    ("status", "code", "ends"),
    [
        (401, "unauthenticated", Ends.AUTHENTICATION),
        (403, "scope-missing", Ends.AUTHENTICATION),
        (404, "not-found", Ends.NOT_FOUND),
        (409, "order-terminal", Ends.CONFLICT),
        (412, "stale-version", Ends.CONFLICT),
        (422, "validation-failed", Ends.REFUSED),
        (423, "trading-halted", Ends.REFUSED),
        (500, "internal-error", Ends.IN_DOUBT),
    ],
)
def test_each_kind_of_refusal_has_its_code(
    terminal: Terminal, status: int, code: str, ends: Ends
) -> None:
    terminal.gateway.before = [lambda _: problem(status, code, "because")]

    result = terminal.run(*CREATE)

    assert result.exit_code == ends
    assert f"({status} {code})" in result.stderr
    assert "because" in result.stderr
    assert "do:" in result.stderr
    assert "req_7" in result.stderr
    assert result.stdout == ""


def test_every_field_that_is_wrong_is_named_as_the_first_one_is() -> None:
    errors = [{"pointer": f"#/{name}", "detail": "is wrong"} for name in ("side", "quantity")]
    told = Problem("http://gw", 422, {"detail": "side: is wrong", "errors": errors}, {}).lines()

    assert "why:     side: is wrong; quantity: is wrong" in told
    assert "do:      correct what is named above, and send it again" in told


def test_a_refusal_that_says_nothing_twice_says_where() -> None:
    said = {"title": "No such thing.", "detail": "no such thing", "instance": "/v1/x/nort#req_1"}

    assert "why:     /v1/x/nort" in Problem("http://gw", 404, said, {}).lines()


def test_a_change_that_got_no_answer_is_in_doubt(terminal: Terminal) -> None:
    terminal.gateway.hang_up_on = "/admin/v1/halt"

    result = terminal.run("halt", "on", "--scope", "all", *REASON)

    assert result.exit_code == Ends.IN_DOUBT
    assert "look before you repeat it" in result.stderr
    assert len(terminal.gateway.requests) == 1


def test_a_question_that_got_no_answer_is_not(terminal: Terminal) -> None:
    terminal.gateway.hang_up_on = "/admin/v1/halts"

    result = terminal.run("halt", "status")

    assert result.exit_code == Ends.UNREACHABLE
    assert "ask again" in result.stderr


def test_an_order_without_an_answer_may_be_sent_again(terminal: Terminal) -> None:
    terminal.gateway.after = [hang_up] * 20

    result = terminal.run(*CREATE)

    assert result.exit_code == Ends.IN_DOUBT
    assert "run the same command again" in result.stderr
    assert {json.dumps(order) for order in terminal.gateway.posted} == {
        json.dumps(terminal.gateway.posted[0])
    }


@pytest.mark.parametrize("url", ["http://127.0.0.1:eighty", "http://", "http://me:pw@127.0.0.1"])
def test_a_url_that_is_none_is_a_usage_error(terminal: Terminal, url: str) -> None:
    result = terminal.run("halt", "status", url=url)

    assert result.exit_code == Ends.USAGE
    assert "expected a URL" in result.stderr


def test_a_gateway_that_is_not_there_is_named_with_what_to_do(terminal: Terminal) -> None:
    result = terminal.run("halt", "status", url="http://127.0.0.1:1")

    assert result.exit_code == Ends.UNREACHABLE
    assert "http://127.0.0.1:1" in result.stderr
    assert "refused" in result.stderr
    assert "openbell serve" in result.stderr
