"""A person at a terminal of ours, in front of the doors themselves."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from typer.testing import CliRunner, Result

from app.cli import app
from app.cli.asking.change import Grade, Hand, Sure
from app.cli.asking.client import Client
from app.cli.asking.command import Call
from app.cli.asking.output import Output, Screen
from app.cli.asking.target import Given, Target, Wish
from app.web.access.keyfile import SCOPES
from tests.cli.served import served
from tests.web.house import Gateway, a_gateway

WHY: Final = ("--reason", "the desk asked")


class Desk:
    """Mina, whose key opens every door, and Jun beside her."""

    def __init__(self, gateway: Gateway, url: str) -> None:
        self.gateway = gateway
        self.url = url
        self.mina, self.jun = (self.key(name) for name in ("mina", "jun"))

    def key(self, name: str, scopes: frozenset[str] = SCOPES) -> str:
        """Make a key, and return what opens the doors by it."""
        return self.gateway.key(name, scopes)["Authorization"].removeprefix("Bearer ")

    def environment(self, key: str | None = None) -> dict[str, str]:
        return {"OPENBELL_URL": self.url, "OPENBELL_KEY": key or self.mina}

    def says(self, *words: str, status: int = 0, key: str | None = None) -> Result:
        """Run a command where nobody can be asked."""
        result = CliRunner(env=self.environment(key)).invoke(
            app, list(words), catch_exceptions=False
        )
        assert result.exit_code == status, result.output
        return result

    def asks(self, *words: str, key: str | None = None) -> Any:
        """Run a command and return the JSON that it prints."""
        return json.loads(self.says(*words, "--json", key=key).stdout)

    @contextmanager
    def hand(self, *answers: str, grade: Grade = Grade.YES, **sure: Any) -> Iterator["Asked"]:
        """Lend the hand of somebody who gives these answers."""
        asked = Asked(list(answers))
        with closing(Client(self.url, self.mina)) as client:
            wish = Wish(self.url, self.mina, None, Path("data"), lambda _: Given.COMMAND_LINE)
            call = Call(client, Screen(Output.JSON), Target(wish, self.url, None))
            asked.hand = Hand(call, "change", grade, True, Sure(ask=asked, **sure))
            yield asked


class Asked:
    """What somebody was asked, and answers."""

    def __init__(self, answers: list[str]) -> None:
        self.answers = answers
        self.questions: list[str] = []
        self.hand: Hand

    def __call__(self, question: str) -> str:
        self.questions.append(question)
        return self.answers.pop(0) + "\n"


@contextmanager
def a_desk(folder: Path) -> Iterator[Desk]:
    gateway = a_gateway(folder)
    with served(gateway) as url:
        yield Desk(gateway, url)
