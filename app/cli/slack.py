"""Slack: say once, before the open, whether people can be told there.

It uses the settings of the gateway and needs none running. What Slack answered is printed; the
webhook's address and the bot's token are not, also where Slack quotes them.
"""

import asyncio
from pathlib import Path
from typing import Any

import typer

from app.cli.asking.command import DataDir, Form, JsonShort, chosen, examples_text, reported
from app.cli.asking.output import Ends, Failure, Output, Screen

app = typer.Typer(no_args_is_help=True, help="Slack: send a test message.")


@app.callback()
def _slack() -> None:
    """Slack: send a test message."""


@app.command("test", epilog=examples_text(("slack test", "slack test --json")))
def send(
    *,
    data_dir: DataDir = Path("data"),
    output: Form = Output.TABLE,
    json: JsonShort = False,
) -> None:
    """Send a test message and say what Slack answered."""
    from app.settings import read_settings

    with reported():
        try:
            settings = read_settings(data_dir=data_dir).slack
        except ValueError as e:
            raise Failure(Ends.USAGE, "the settings cannot be read", why=str(e)) from None
        if settings is None:
            raise Failure(
                Ends.USAGE,
                "no Slack is set: people are told in the log",
                advice="set OPENBELL_SLACK__WEBHOOK_URL, or …__BOT_TOKEN and …__CHANNEL",
            )
        said = asyncio.run(_told(settings))
        where = settings.channel or "the webhook's channel"
        Screen(chosen(output, json=json)).show({"channel": where, "slack": said})


async def _told(settings: Any) -> str:
    """Return what Slack said, or fail with it."""
    from app.alarms.alarm import Later, Never, Told
    from app.alarms.message import test_message
    from app.alarms.slack import SlackAlarm

    alarm = SlackAlarm(settings)
    try:
        answer = await alarm.tell(test_message(settings.console_url), None)
    finally:
        await alarm.close()
    match answer:
        case Told(said):
            return said
        case Later(cause, after_s):
            advice = "try again" if after_s is None else f"try again in {after_s:g} s"
            raise Failure(Ends.TRY_AGAIN, "Slack did not take it", why=cause, advice=advice)
        case Never(cause):
            advice = "make a new webhook, or look at the bot's scopes and channels"
            raise Failure(Ends.FAILED_CHECK, "Slack refused it", why=cause, advice=advice)
