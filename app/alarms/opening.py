"""Builds the alarms that the settings ask for: Slack if it is named, else the log."""

from typing import Final

from app.alarms.alarm import Alarm
from app.alarms.alarms import Alarms
from app.alarms.log import LogAlarm
from app.alarms.memory import Memory
from app.clock import Clock
from app.mishaps import Mishaps
from app.ports.bus import Bus
from app.ports.trouble import AnomalyStore
from app.settings import Settings, SlackSettings

MEMORY_FILE: Final = "alarms.json"


def open_alarms(settings: Settings, bus: Bus, clock: Clock, store: AnomalyStore) -> Alarms:
    """Return the subscriber; nothing runs yet, and no connection is open."""
    slack = settings.slack
    return Alarms(
        bus,
        open_alarm(slack),
        clock,
        # A line in the log that is repeated after a crash is worth no file.
        Memory(None if slack is None else settings.data_dir / MEMORY_FILE),
        Mishaps(store, "alarms"),
        None if slack is None else slack.console_url,
    )


def open_alarm(slack: SlackSettings | None) -> Alarm:
    """Return the channel."""
    if slack is None:
        return LogAlarm()
    # A third of a second to import, for those who tell nobody.
    from app.alarms.slack import SlackAlarm  # noqa: PLC0415

    return SlackAlarm(slack)
