"""What goes into a ticket's archive: what each door says, the audit log's end, logs, versions.

The most telling part comes first, for the time of all of them together is bounded. The trap is
the door that hangs in the very trouble that the ticket is about: it costs its own part alone.
"""

import os
import platform
import stat
import sys
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from app.cli.asking.client import Client, segment
from app.cli.asking.metrics_page import METRICS
from app.cli.asking.problems import Problem
from app.cli.asking.walk import AUDIT, last_where
from app.cli.debug.bundle import Bundle
from app.cli.debug.bundle_settings import told_of_a_gateway

# What a person reads of a log in a ticket; more is asked for by its request id.
LOG_BYTES_MAX: Final = 2 << 20
AUDIT_PAGE: Final = 500
# Some questions one after the other, each as fast as a slow gateway is.
PAGES_S: Final = 30.0
# What a gateway says of itself in one answer each, and where.
DOORS: Final = {
    "overview": "/admin/v1/overview",
    "anomalies": "/admin/v1/anomalies?limit=100",
    "outbox": "/admin/v1/outbox",
    "view-lag": "/admin/v1/view/lag",
    "partitions": "/admin/v1/partitions",
    "halts": "/admin/v1/halts",
    "in-doubt": "/admin/v1/in-doubt",
    "strays": "/admin/v1/strays",
    "brokers": "/admin/v1/brokers",
    "routes": "/admin/v1/routes",
    "failovers": "/admin/v1/failovers?hours=168",
    "drills": "/admin/v1/drills?hours=168",
    "anomaly-rules": "/admin/v1/anomaly-rules",
    "session-overrides": "/admin/v1/sessions/overrides",
    "sessions": "/v1/sessions",
    "keys": "/admin/v1/keys",
    "proposals": "/admin/v1/proposals",
}


def ask_doors(bundle: Bundle, client: Client) -> dict[str, Any] | None:
    """Put in what each door says; return the overview."""
    for probe in ("readyz", "startupz"):
        bundle.ask(probe, partial(_probed, client, f"/{probe}"))
    bundle.ask("metrics.txt", partial(_page, client))
    found = {name: bundle.ask(name, partial(client.get, path)) for name, path in DOORS.items()}
    bundle.ask("config", lambda: told_of_a_gateway(client.get("/admin/v1/config")))
    overview: dict[str, Any] | None = found["overview"]
    for lane in (overview or {}).get("lanes", ()):
        broker = segment(str(lane.get("broker_id")))
        for about in ("session", "contract"):
            place = f"/admin/v1/brokers/{broker}/{about}"
            bundle.ask(f"{about}-{broker}", partial(client.get, place))
    return overview


def audit_tail(client: Client, rows_max: int, since: str) -> list[dict[str, Any]]:
    """Return the log's last rows since an instant, found in a few questions however long it is."""
    end = last_where(client.get, lambda _: True)
    found: list[dict[str, Any]] = []
    after = max(0, end - rows_max)
    while after < end:
        limit = min(AUDIT_PAGE, end - after)
        page = client.get(AUDIT, after=after, limit=limit)["data"]
        if not page:
            break
        found += page
        after = int(page[-1]["sequence"])
    return [row for row in found if str(row["at"]) >= since]


def log_tail(path: Path) -> str:
    """Return the last lines of a log, from the beginning of a line on."""
    # What is no file may never end, or never begin.
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(f"{path} is no regular file")
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - LOG_BYTES_MAX))
        tail = file.read(LOG_BYTES_MAX)
    if size > LOG_BYTES_MAX:
        tail = tail.partition(b"\n")[2]
    return f"{path}\n{tail.decode('utf-8', 'replace')}"


def versions() -> dict[str, Any]:
    """Return what runs this command; a gateway elsewhere may be of another version."""
    packages = {str(one.name).lower(): one.version for one in metadata.distributions()}
    return {
        "openbell": packages.get("openbell"),
        "python": sys.version,
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "packages": dict(sorted(packages.items())),
    }


def _probed(client: Client, path: str) -> Any:
    """Return what a probe says; "no, because" is what the ticket is about."""
    try:
        return client.get(path)
    except Problem as e:
        if "reasons" not in e.document:
            raise
        return e.document


def _page(client: Client) -> str:
    """Return the metrics as they are: cut into lines, what is secret there would have no shape."""
    return "\n".join(line.decode("utf-8", "replace") for line in client.lines(METRICS, {}))
