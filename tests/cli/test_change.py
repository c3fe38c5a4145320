"""A change is shown before it is made, agreed to, and made on what was shown."""

import shlex
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from app.cli.asking.change import Grade, Sure, look
from app.cli.asking.client import Client, Reply
from app.cli.asking.difference import now_said
from app.cli.asking.output import Ends, Failure
from app.cli.asking.problems import Problem
from app.settings import inherited
from tests.cli.desk import WHY, Asked, Desk, a_desk
from tests.cli.pty_screen import a_terminal

ROUTE: Final = "/admin/v1/routes/XNYS"
ADVISE: Final = {"automation": "advise", "reason": "the desk asked"}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with a_desk(tmp_path) as desk:
        yield desk


def advised(asked: Asked) -> Any:
    path = f"{ROUTE}/policy"
    return asked.hand.turn("PATCH", path, ADVISE, seen=ROUTE, name="XNYS")


def automation(desk: Desk) -> str:
    return str(desk.asks("route", "get", "XNYS")["policy"]["automation"])


@pytest.mark.parametrize("answer", ["", "n", "yess", "XNYS"])
def test_without_a_yes_nothing_is_changed(
    desk: Desk, answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = automation(desk)
    with desk.hand(answer) as asked, pytest.raises(Failure) as no:
        advised(asked)

    assert (no.value.ends, automation(desk)) == (Ends.FAILED_CHECK, before)
    assert asked.questions == ["change XNYS? [y/N] "]
    assert f"automation: {before} → advise" in capsys.readouterr().err


def test_what_is_changed_is_shown_also_where_the_dry_run_tells_only_what_comes_of_it(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    nova = "/admin/v1/brokers/nova"
    before = desk.asks("broker", "get", "nova")["tps"]
    body = {"tps": before + 1, "ttl_s": 60, "reason": "the desk asked"}
    with desk.hand("n") as asked, pytest.raises(Failure):
        asked.hand.turn("PATCH", f"{nova}/rate", body, seen=nova, name="nova")

    shown = capsys.readouterr().err
    assert f"tps: {before} → {before + 1}\n" in shown
    assert "orders_affected" in shown


def test_what_is_not_there_is_not_found_and_wants_no_version(desk: Desk) -> None:
    told = desk.says("broker", "rate", "set", "nowa", "100", *WHY, status=Ends.NOT_FOUND).stderr

    assert "404 not-found" in told
    assert "If-Match" not in told


def test_a_yes_changes_what_was_shown(desk: Desk) -> None:
    with desk.hand("y") as asked:
        told = advised(asked)

    assert told["policy"]["automation"] == automation(desk) == "advise"


def test_who_was_faster_than_the_yes_is_not_overwritten(desk: Desk) -> None:
    with desk.hand("y") as asked:
        seen = look(asked.hand.call.client, ROUTE)
        desk.says("route", "policy", "XNYS", "--automation", "off", *WHY)
        path = f"{ROUTE}/policy"
        with pytest.raises(Problem) as late:
            asked.hand.turn("PATCH", path, ADVISE, seen=seen, name="XNYS")

    assert (late.value.ends, automation(desk)) == (Ends.CONFLICT, "off")
    assert late.value.now == "automation off (was auto)"
    assert "now:     automation off (was auto)" in late.value.lines()


def test_a_program_of_ours_is_told_as_well_what_came_between(desk: Desk) -> None:
    class Slow(Client):
        """Reads, and is overtaken."""

        def call(self, method: str, path: str, *rest: Any) -> Reply:
            reply = super().call(method, path, *rest)
            if method == "GET":
                desk.says("route", "policy", "XNYS", "--automation", "off", *WHY)
            return reply

    with closing(Slow(desk.url, desk.mina)) as client, pytest.raises(Problem) as late:
        client.change("PATCH", f"{ROUTE}/policy", ADVISE, seen=ROUTE)

    assert late.value.now == "automation off (was auto)"


def test_of_a_row_that_is_another_one_the_first_facts_are_told() -> None:
    now = {f"fact_{i}": i for i in range(8)} | {"version": 3, "changed_by": "jun"}

    assert now_said({"fact_0": 0, "version": 2}, now) == (
        "fact_1 1 (was -), fact_2 2 (was -), fact_3 3 (was -), fact_4 4 (was -),"
        " fact_5 5 (was -), fact_6 6 (was -), and 1 more"
    )
    assert now_said({}, None) == ""


def test_yes_is_said_beforehand_and_a_dry_run_changes_nothing(desk: Desk) -> None:
    before = automation(desk)
    with desk.hand(dry_run=True) as dry:
        assert advised(dry) is None
    assert automation(desk) == before
    with desk.hand(yes=True) as asked:
        advised(asked)

    assert (dry.questions, asked.questions, automation(desk)) == ([], [], "advise")


@pytest.mark.parametrize(("typed", "good"), [("XNYS", True), ("XNAS", False), ("y", False)])
def test_a_dangerous_change_wants_its_name_and_no_yes(
    desk: Desk, typed: str, *, good: bool
) -> None:
    before = automation(desk)
    with desk.hand(typed, grade=Grade.NAME, yes=True) as asked:
        if good:
            advised(asked)
        else:
            with pytest.raises(Failure, match="nothing is changed"):
                advised(asked)

    assert asked.questions == ["change XNYS: type XNYS to go on: "]
    assert automation(desk) == ("advise" if good else before)


def test_the_wrong_name_beforehand_is_a_slip() -> None:
    for ask in (None, lambda _: "y"):
        with pytest.raises(Failure, match="expected --confirm XNYS") as slip:
            Sure(confirm="XNAS", ask=ask).agreed("change XNYS", "XNYS", Grade.NAME)
        assert slip.value.ends is Ends.USAGE


def test_where_nobody_sits_nobody_is_asked(desk: Desk) -> None:
    assert Sure().agreed("change XNYS", "XNYS", Grade.YES) is None
    desk.says("route", "policy", "XNYS", "--automation", "advise", *WHY)

    assert automation(desk) == "advise"


def test_a_door_that_wants_a_name_gets_the_one_that_is_typed(desk: Desk) -> None:
    force = ("broker", "breaker", "sol", "forced_closed", *WHY)
    refused = desk.says(*force, "--key", desk.mina, status=Ends.REFUSED)
    (advice,) = (line for line in refused.stderr.splitlines() if line.startswith("do:"))
    assert "confirm-required" in refused.stderr
    line = "openbell broker breaker sol forced_closed --reason 'the desk asked' --confirm sol"
    assert advice.removeprefix("do:").strip() == line

    path, body = "/admin/v1/brokers/sol", {"mode": "forced_closed", "reason": "the desk asked"}
    with desk.hand("y", "sol") as asked:
        told = asked.hand.turn("PUT", f"{path}/breaker", body, seen=path, name="sol")
    assert (told["breaker"], len(asked.questions)) == ("forced_closed", 2)

    desk.says("broker", "breaker", "sol", "auto", *WHY)
    assert desk.asks(*shlex.split(line)[1:])["breaker"] == "forced_closed"
    desk.says(*force, "--confirm", "nova", status=Ends.USAGE)


def test_what_no_door_shows_is_sent_without_a_version(desk: Desk) -> None:
    with desk.hand() as asked:
        assert look(asked.hand.call.client, "/admin/v1/halt").etag is None
        assert look(asked.hand.call.client, "/admin/v1/nowhere").document == {}
        assert look(asked.hand.call.client, ROUTE).etag == '"v0"'


@pytest.mark.parametrize(("keys", "ends"), [(b"n\n", Ends.FAILED_CHECK), (b"y\n", Ends.OK)])
def test_somebody_at_a_terminal_is_asked(desk: Desk, keys: bytes, ends: Ends) -> None:
    environment = inherited() | desk.environment() | {"NO_COLOR": "1"}
    words = ("route", "lock", "XNYS", "--for", "30m", *WHY)
    with a_terminal(words, environment, columns=120) as screen:
        shown = screen.says("route lock XNYS? [y/N]")
        screen.press(keys)
        assert screen.ends() == ends

    assert "ttl_s: - → 1800" in shown
    assert (desk.asks("route", "get", "XNYS")["lock"] is None) is (ends is not Ends.OK)
