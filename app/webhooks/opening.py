"""Builds the room from the settings; nothing runs yet, and no connection is open."""

from pathlib import Path

from app.clock import Clock
from app.mishaps import Mishaps
from app.ports.bus import Bus
from app.ports.trouble import AnomalyStore
from app.ports.webhooks import WebhookStore
from app.settings import Settings, WebhookSettings
from app.webhooks.courier import Courier
from app.webhooks.guard import Rules
from app.webhooks.listener import GROUP, Listener
from app.webhooks.signing import Roots
from app.webhooks.tidier import Tidier
from app.webhooks.webhooks import Webhooks


def rules_of(settings: WebhookSettings) -> Rules:
    """Return where this gateway may send to."""
    return Rules(tuple(host.lower() for host in settings.hosts), settings.loopback)


def roots_of(keys_file: Path) -> Roots:
    """Return what secrets are derived from: the pepper beside the key file."""
    return Roots(keys_file.with_suffix(".pepper"))


def open_webhooks(
    settings: Settings, bus: Bus, store: WebhookStore, anomalies: AnomalyStore, clock: Clock
) -> Webhooks:
    """Return the subscriber, with what it sends by."""
    # A third of a second to import, for roles that send nothing.
    from app.webhooks.post import HttpPost  # noqa: PLC0415

    mishaps = Mishaps(anomalies, GROUP)
    rules = rules_of(settings.webhooks)
    post = HttpPost(rules, clock)
    courier = Courier(store, post, clock, rules, roots_of(settings.keys), mishaps)
    listener = Listener(bus, store, clock, mishaps, courier.wake)
    tidier = Tidier(store, anomalies, clock)
    used = store.ever_used if settings.kafka is None else None
    return Webhooks(listener, courier, tidier, post, mishaps, used=used)
