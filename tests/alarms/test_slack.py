"""Slack over real HTTP: what each of its answers means, and that no secret is ever told."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from app.alarms.alarm import Later, Never, Told
from app.alarms.message import Message
from app.alarms.news import Level
from app.alarms.slack import SlackAlarm
from app.cli.stage.ports import free_port
from app.settings import Settings, SlackSettings, read_settings
from tests.alarms.fake_slack import HOOK, SECRETS, TOKEN, FakeSlack, fake_slack

MESSAGE = Message("in-1", Level.CRITICAL, False, "CRITICAL: b1", ("worse",), "it moved", "look")


class Hasty(SlackAlarm):
    """The same, without the second between two calls."""

    pause_s = 0.01


def hook(url: str) -> SlackSettings:
    return SlackSettings(webhook_url=SecretStr(url))


def bot(slack: FakeSlack, *, token: str = TOKEN, channel: str = "#desk") -> SlackSettings:
    return SlackSettings(bot_token=SecretStr(token), channel=channel, api_url=f"{slack.url}/api")


@asynccontextmanager
async def channel(settings: SlackSettings) -> AsyncIterator[SlackAlarm]:
    alarm = Hasty(settings)
    try:
        yield alarm
    finally:
        await alarm.close()


@pytest.fixture(autouse=True)
def nothing_secret_is_told(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> Iterator[None]:
    """Search all that any library of ours has logged or printed."""
    caplog.set_level(logging.DEBUG)
    yield
    out, err = capfd.readouterr()
    told = caplog.text + out + err
    assert not [secret for secret in SECRETS if secret in told]


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario, debug=False)


def test_a_webhook_takes_a_message_and_gives_no_thread() -> None:
    async def scenario() -> None:
        async with fake_slack() as slack, channel(hook(slack.webhook)) as alarm:
            assert await alarm.tell(MESSAGE, None) == Told("ok")
            assert slack.posts[0]["text"].startswith("CRITICAL: b1")
            assert slack.posts[0]["blocks"][0]["type"] == "header"

    run(scenario())


def test_a_bot_keeps_one_message_an_incident_and_replies_under_it() -> None:
    async def scenario() -> None:
        async with fake_slack() as slack, channel(bot(slack)) as alarm:
            assert await alarm.tell(MESSAGE, None) == Told("ok", "C1:1")
            later = MESSAGE._replace(title="OVER: b1", news=("<over>",))
            assert await alarm.tell(later, "C1:1") == Told("ok", "C1:1")

            assert slack.messages["1"]["text"].startswith("OVER: b1")
            reply = slack.messages["2"]
            assert (reply["thread_ts"], reply["text"]) == ("1", "&lt;over&gt;")
            assert "blocks" not in reply
            assert len(slack.messages) == 2

    run(scenario())


def test_a_message_that_is_gone_is_posted_anew() -> None:
    async def scenario() -> None:
        async with fake_slack() as slack, channel(bot(slack)) as alarm:
            slack.gone.add("1")
            await alarm.tell(MESSAGE, None)
            assert await alarm.tell(MESSAGE, "C1:1") == Told("ok", "C1:2")

    run(scenario())


@pytest.mark.parametrize(
    ("script", "answer"),
    [
        ((429, {"Retry-After": "7"}, "rate_limited"), Later("429: too many messages", 7.0)),
        ((429, {"Retry-After": "soon"}, ""), Later("429: too many messages", None)),
        ((429, {"Retry-After": "86400"}, ""), Later("429: too many messages", 300.0)),
        ((503, {}, "oops"), Later("HTTP 503")),
        ((403, {}, f"no {HOOK}\x1b[2J"), Never("HTTP 403: no /services/T0/B0/***[2J")),
        ((302, {"Location": "http://127.0.0.1:1/"}, ""), Never("HTTP 302: ")),
    ],
    ids=["429", "429 unreadable", "429 for a day", "5xx", "403", "redirect"],
)
def test_what_a_webhook_says_no_with(
    script: tuple[int, dict[str, str], str], answer: Later | Never
) -> None:
    async def scenario() -> None:
        async with fake_slack() as slack, channel(hook(slack.webhook)) as alarm:
            slack.scripted.append(script)

            assert await alarm.tell(MESSAGE, None) == answer

    run(scenario())


def test_what_slack_quotes_of_a_secret_is_not_repeated() -> None:
    async def scenario() -> None:
        async with fake_slack() as slack, channel(hook(slack.webhook)) as alarm:
            slack.scripted.append((400, {}, f"bad url {slack.webhook}"))
            assert await alarm.tell(MESSAGE, None) == Never("HTTP 400: bad url ***")
        async with fake_slack() as slack, channel(bot(slack)) as alarm:
            slack.scripted.append((200, {}, f'{{"ok": false, "error": "not {TOKEN}"}}'))
            assert await alarm.tell(MESSAGE, None) == Never("not ***")

    run(scenario())


def test_an_unknown_webhook_and_a_wrong_token_are_refused_for_good() -> None:
    async def scenario() -> None:
        async with fake_slack() as slack:
            async with channel(hook(slack.url + "/services/none")) as alarm:
                assert await alarm.tell(MESSAGE, None) == Never("HTTP 404: no_service")
            async with channel(bot(slack, token="xoxb-other")) as alarm:
                assert await alarm.tell(MESSAGE, None) == Never("invalid_auth")
            async with channel(bot(slack, channel="#nowhere")) as alarm:
                assert await alarm.tell(MESSAGE, None) == Never("channel_not_found")

    run(scenario())


@pytest.mark.parametrize(
    "said",
    ['{"ok": false, "error": "ratelimited"}', '{"ok": false, "error": "fatal_error"}', "<html>"],
)
def test_what_slack_says_of_itself_is_tried_again(said: str) -> None:
    async def scenario() -> None:
        async with fake_slack() as slack, channel(bot(slack)) as alarm:
            slack.scripted.append((200, {}, said))
            assert isinstance(await alarm.tell(MESSAGE, None), Later)

    run(scenario())


def test_a_slack_that_is_away_is_tried_again_and_its_address_is_not_told() -> None:
    async def scenario() -> None:
        async with channel(hook(f"http://127.0.0.1:{free_port()}{HOOK}")) as alarm:
            answer = await alarm.tell(MESSAGE, None)

        assert isinstance(answer, Later)
        assert answer.cause.startswith("ClientConnectorError")
        assert "hook-secret" not in str(answer)

    run(scenario())


def test_secrets_stand_in_no_repr() -> None:
    slack = SlackSettings(bot_token=SecretStr(TOKEN), channel="C1")
    settings = Settings(slack=slack)
    shown = f"{settings!r} {slack} {SlackAlarm(slack)!r} {vars(SlackAlarm(slack))}"

    assert "token-secret" not in shown


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"webhook_url": "https://h/hook-secret-XYZ", "bot_token": "xoxb", "channel": "C1"},
        {"bot_token": "token-secret-XYZ"},
        {"channel": "C1", "webhook_url": "https://h/hook-secret-XYZ"},
        {"webhook_url": "hook-secret-XYZ"},
        {"webhook_url": "https://h/hook-secret-XYZ\nX: y"},
        {"webhook_url": "https://h/hook-secret-XYZ", "console_url": "javascript:alert(1)"},
        {"webhook": "https://h/hook-secret-XYZ"},
    ],
)
def test_settings_that_contradict_are_refused_without_a_secret(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as refused:
        SlackSettings(**given)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="slack") as read:
        read_settings(slack=given)

    for told in (str(refused.value), str(read.value)):
        assert not [secret for secret in SECRETS if secret in told]
