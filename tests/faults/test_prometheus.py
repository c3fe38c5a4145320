"""From a dead broker to another course, through real Prometheus and Alertmanager.

The files are those of the repository; only addresses and waits are shortened. No order is sent,
so the ping is the one witness that the gateway has of its own, and it does not switch for one:
that it does is the work of the alert, which comes back by the hook as the second.
"""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from app.cli.stage.ports import free_port
from app.cli.stage.processes import Stage
from tests.deployment import K8S
from tests.faults.storm_stage import until
from tests.servers.process import Process, Program, ask

pytestmark = pytest.mark.storm

PROMETHEUS: Final = shutil.which("prometheus")
ALERTMANAGER: Final = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
WATCHED: Final = K8S / "observability"
TOKEN: Final = "a-token-of-a-test"
ROUTE: Final = "XNYS"
WAIT_S: Final = 60.0

needs_both = pytest.mark.skipif(
    PROMETHEUS is None or ALERTMANAGER is None,
    reason="needs prometheus and prometheus-alertmanager (apt-get install both)",
)


def impatient(text: str) -> str:
    """Return a file of ours with its waits cut to a second."""
    return re.sub(r"\b(for|group_wait|group_interval|\w+_interval): \d+[smh]", r"\1: 1s", text)


@contextmanager
def observed(folder: Path, gateway: int) -> Iterator[None]:
    """Run Prometheus and Alertmanager on our own files, before a gateway at this port."""
    assert PROMETHEUS is not None
    assert ALERTMANAGER is not None
    alerts, metrics = free_port(), free_port()
    token = folder / "token"
    token.write_text(TOKEN)
    config = impatient((WATCHED / "alertmanager.yml").read_text())
    config = config.replace("api:8090", f"127.0.0.1:{gateway}")
    config = config.replace("/run/secrets/alertmanager-token", str(token))
    (folder / "alertmanager.yml").write_text(config)
    (folder / "rules.yml").write_text(impatient((WATCHED / "rules.yml").read_text()))
    config = impatient((WATCHED / "prometheus.yml").read_text())
    config = config.replace("alertmanager:9093", f"127.0.0.1:{alerts}")
    found = f"static_configs: [{{targets: ['127.0.0.1:{gateway}'], labels: {{role: all}}}}]\n"
    config = config[: config.index("dns_sd_configs")].rstrip("# \n").rstrip()
    config = re.sub(r"\n\s*# By name.*", "", config) + f"\n    {found}"
    (folder / "prometheus.yml").write_text(config)
    listen = "--web.listen-address=127.0.0.1:{}"
    programs = [
        Program(
            name="alertmanager",
            command=[
                ALERTMANAGER,
                "--config.file=alertmanager.yml",
                f"--storage.path={folder / 'alerts'}",
                "--cluster.listen-address=",
                listen.format(alerts),
            ],
            directory=folder,
            ready=lambda: ask(alerts),
        ),
        Program(
            name="prometheus",
            command=[
                PROMETHEUS,
                "--config.file=prometheus.yml",
                f"--storage.tsdb.path={folder / 'metrics'}",
                listen.format(metrics),
            ],
            directory=folder,
            ready=lambda: ask(metrics),
        ),
    ]
    started: list[Process] = []
    try:
        started.extend(Process(program).start() for program in programs)
        yield
    finally:
        for process in reversed(started):
            process.stop()


@needs_both
def test_a_dead_broker_is_an_alert_that_comes_back_and_turns_the_course(tmp_path: Path) -> None:
    hooks = json.dumps({"alertmanager": {"token": TOKEN}})
    stage = Stage(
        tmp_path, rates={"north": 50, "south": 50}, contract=100, settings={"OPENBELL_HOOKS": hooks}
    )
    try:
        stage.open()
        seen = f"/admin/v1/routes/{ROUTE}"
        wanted = {"candidates": ["north", "south"], "trust_external": True, "confirm_s": 2}
        with closing(stage.client("operator")) as operator:

            def accused() -> list[dict[str, Any]]:
                listed = operator.get("/admin/v1/anomalies", state="open")["data"]
                named = "external.OpenbellBrokerUnreachable"
                return [a for a in listed if a["rule"]["id"] == named]

            def active() -> str:
                return str(operator.get(seen)["active_broker"])

            operator.change("PATCH", f"{seen}/policy", {**wanted, "reason": "a test"}, seen=seen)
            with observed(tmp_path, stage.port):
                stage.brokers["north"].process.kill()
                (told,) = until(accused, "an alert that came back by the hook", WAIT_S)
                assert (told["subject"]["kind"], told["subject"]["id"]) == ("broker", "north")
                assert told["severity"] == "critical"
                until(lambda: active() == "south", "another course", WAIT_S)
                stage.brokers["north"].process.start()
                until(lambda: not accused(), "an alert that is over", WAIT_S)
            (switch,) = operator.get("/admin/v1/failovers")["data"]
            assert "outside" in switch["witnesses"]
    finally:
        stage.close()
