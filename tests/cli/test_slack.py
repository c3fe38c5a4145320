"""`openbell slack test` sends one message, says what Slack answered, and tells no secret."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli import app
from tests.alarms.fake_slack import SECRETS, TOKEN, FakeSlack, fake_slack


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    """Lend a Slack on a loop of its own: the command has one too."""
    ready, over = threading.Event(), asyncio.Event()
    found: list[tuple[FakeSlack, asyncio.AbstractEventLoop]] = []

    async def serve() -> None:
        async with fake_slack() as fake:
            found.append((fake, asyncio.get_running_loop()))
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(10)
    yield found[0][0]
    found[0][1].call_soon_threadsafe(over.set)
    thread.join()


def run(here: Path, **settings: str) -> Result:
    given = {f"OPENBELL_SLACK__{name.upper()}": value for name, value in settings.items()}
    environment = given | {"OPENBELL_DATA_DIR": str(here)}
    result = CliRunner().invoke(app, ["slack", "test"], env=environment, catch_exceptions=False)
    assert not [secret for secret in SECRETS if secret in result.output + result.stderr]
    return result


def test_a_test_message_arrives_and_says_that_it_is_one(slack: FakeSlack, tmp_path: Path) -> None:
    result = run(tmp_path, webhook_url=slack.webhook)

    assert result.exit_code == 0
    assert "slack    ok" in result.stdout
    assert slack.posts[0]["text"].startswith("DRILL NOTICE: openbell can tell you here")


def test_a_bot_posts_to_its_channel(slack: FakeSlack, tmp_path: Path) -> None:
    api = f"{slack.url}/api"
    result = run(tmp_path, bot_token=TOKEN, channel="#desk", api_url=api)
    refused = run(tmp_path, bot_token=TOKEN, channel="#other", api_url=api)

    assert (result.exit_code, slack.posts[0]["channel"]) == (0, "#desk")
    assert refused.exit_code == 1
    assert "channel_not_found" in refused.stderr


def test_what_slack_says_no_with_is_told(slack: FakeSlack, tmp_path: Path) -> None:
    unknown = run(tmp_path, webhook_url=f"{slack.url}/services/hook-secret-XYZ")
    slack.scripted.append((429, {"Retry-After": "30"}, ""))
    busy = run(tmp_path, webhook_url=slack.webhook)

    assert unknown.exit_code == 1
    assert "HTTP 404: no_service" in unknown.stderr
    assert busy.exit_code == 75
    assert "try again in 30 s" in busy.stderr


def test_without_slack_or_with_half_of_it_the_words_say_what_to_set(tmp_path: Path) -> None:
    nothing, half = run(tmp_path), run(tmp_path, bot_token=TOKEN)

    assert (nothing.exit_code, half.exit_code) == (2, 2)
    assert "OPENBELL_SLACK__WEBHOOK_URL" in nothing.stderr
    assert "bot_token and channel go together" in half.stderr
