"""Holds the deployment files to the program: what they start exists, and starts as they say.

No engine and no cluster is asked. The trap of such files is that nothing reads them until the day
of the roll-out: a setting that was renamed, a path that is gone, a grace shorter than the drain.
"""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest
import yaml  # type: ignore[import-untyped]

from app.brokers.registry import load
from app.brokers.sim.service import OPEN_PATHS
from app.clock import SystemClock
from app.gateway import FLUSH_S_MAX, PARTS
from app.main import GRACE_S, furnish
from app.settings import BrokerSettings, Settings
from app.web.gauges import Gauges
from app.web.listeners import stands_at
from app.web.metrics import Meters
from app.wiring import open_gateway
from tests.deployment import (
    BASE,
    BROKERS,
    COMPOSE,
    DEV_SECRETS,
    DOCKERFILE,
    GATEWAYS,
    K8S,
    KUSTOMIZE,
    OF_OUR_IMAGE,
    PODS,
    ROOT,
    RUN_ONCE,
    SERVICES,
    WORKLOADS,
    broker_options,
    compose_environment,
    dev_secret,
    image_environment,
    parsed,
    pod_environment,
    settings_from,
)
from tests.servers.kafka import BROKER
from tests.web.house import a_gateway

ADMIN: Final = 8090
# What may write to its own root, and why.
WRITES_ITS_ROOT: Final = {"kafka": "the image makes its configuration there at each start"}


# --- settings -------------------------------------------------------------------------------


@pytest.mark.parametrize("service", GATEWAYS)
def test_compose_starts_each_role_with_settings_that_it_accepts(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = compose_environment(service)

    settings = settings_from(seen, SERVICES[service]["command"], monkeypatch)

    assert settings.role == service
    assert (settings.host, settings.port) == ("0.0.0.0", 8080)  # noqa: S104 - in a container
    assert (settings.admin_host, settings.admin_port) == ("0.0.0.0", ADMIN)  # noqa: S104
    assert_it_can_do_its_work(settings)


def test_compose_migrates_the_stores_that_the_roles_use(monkeypatch: pytest.MonkeyPatch) -> None:
    def stores(service: str, arguments: list[str]) -> tuple[object, ...]:
        settings = settings_from(compose_environment(service), arguments, monkeypatch)
        return settings.ledger_url, settings.kafka, settings.mongo

    of_roles = {stores(name, SERVICES[name]["command"]) for name in GATEWAYS}

    assert of_roles == {stores("migrate", SERVICES["migrate"]["command"])}
    assert None not in next(iter(of_roles))


@pytest.mark.parametrize("overlay", ["overlays/dev", "overlays/prod"])
@pytest.mark.parametrize("name", PODS)
def test_kubernetes_starts_each_role_with_settings_that_it_accepts(
    name: str, overlay: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = pod_environment(PODS[name], overlay)

    settings = settings_from(seen, PODS[name]["containers"][0]["args"], monkeypatch)

    assert settings.role == ("all" if name == "migrate" else name)
    assert settings.ledger_url is not None
    assert settings.kafka is not None
    assert settings.mongo is not None
    assert settings.kafka.replication == (1 if "dev" in overlay else 3)
    if name != "migrate":
        assert_it_can_do_its_work(settings)
        ports = {it["name"]: it["containerPort"] for it in PODS[name]["containers"][0]["ports"]}
        assert ports == {"http": settings.port, "admin": settings.admin_port}
        assert (settings.host, settings.admin_host) == ("0.0.0.0", "0.0.0.0")  # noqa: S104


def assert_it_can_do_its_work(settings: Settings) -> None:
    parts = PARTS[settings.role]
    talks = bool(parts & {"intake", "dispatch"})

    assert bool(settings.brokers) == bool(settings.routes) == talks, "only these know brokers"
    assert (settings.redis_url is not None) or "intake" not in parts
    for name, broker in settings.brokers.items():
        options = {"name": name, "clock": SystemClock(), **broker.options}
        assert load(broker.adapter, options).name == name


def test_a_setting_that_nobody_knows_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = compose_environment("relay")
    for wrong, told in (("OPENBELL_LEDGER", "unknown"), ("OPENBELL_KAFKA__SERVERS", "servers")):
        with pytest.raises(ValueError, match=told):
            settings_from(seen | {wrong: "x"}, ["serve", "--role", "relay"], monkeypatch)


# --- commands, paths, ports -----------------------------------------------------------------


def test_every_role_of_the_program_is_deployed_and_no_other() -> None:
    roles = {parsed(SERVICES[name]["command"])["role"] for name in GATEWAYS}

    assert roles == set(PARTS) - {"all"} == set(PODS) - {"migrate"}
    assert "migrate" in SERVICES


@pytest.mark.parametrize("name", OF_OUR_IMAGE)
def test_commands_exist(name: str) -> None:
    if name in BROKERS:
        assert SERVICES[name]["entrypoint"] == ["python", "-m", "app.brokers.sim"]
        assert broker_options(name).name == name
    else:
        assert "entrypoint" not in SERVICES[name]
        parsed(SERVICES[name]["command"])


def probe_urls() -> Iterator[tuple[str, str]]:
    """Yield whose health is asked where, as URLs."""
    yield "image", one_url(DOCKERFILE.partition("HEALTHCHECK")[2])
    for name in [*GATEWAYS, *BROKERS]:
        yield name, one_url(SERVICES[name]["healthcheck"]["test"][-1])
    for name, pod in PODS.items():
        if name == "migrate":
            continue
        container = pod["containers"][0]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = container[probe]["httpGet"]
            yield f"{probe} of {name}", f"http://127.0.0.1:{ports[asked['port']]}{asked['path']}"


def one_url(text: str) -> str:
    (url,) = re.findall(r"http://[^'\"]+", text.splitlines()[0] if "\n" not in text else text)
    return str(url)


def test_health_is_asked_where_it_is_answered(tmp_path: Path) -> None:
    client = a_gateway(tmp_path).client
    asked = dict(probe_urls())

    assert len(asked) >= 1 + len(GATEWAYS) + len(BROKERS) + 3 * 4
    for who, url in asked.items():
        parts = urlsplit(url)
        if who in BROKERS:
            assert parts.path in OPEN_PATHS
            assert parts.port == broker_options(who).port
        else:
            assert client.get(parts.path).status_code == 200, who
            assert str(parts.port) == image_environment()["OPENBELL_PORT"]


def test_a_restart_never_depends_on_another_system() -> None:
    assert dict(probe_urls())["image"].endswith("/livez")
    for name in set(PODS) - {"migrate"}:
        container = PODS[name]["containers"][0]

        assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert container["startupProbe"]["httpGet"]["path"] == "/startupz"


def test_the_brokers_call_back_at_a_door_of_the_api(tmp_path: Path) -> None:
    client = a_gateway(tmp_path).client
    for name in BROKERS:
        url = urlsplit(broker_options(name).callback or "")

        assert (url.hostname, url.port) == ("api", int(image_environment()["OPENBELL_PORT"]))
        assert url.path == f"/hooks/brokers/{name}"
        assert stands_at(url.path, operators=False)
        # The door is there: it asks for a signature, or does not know this broker.
        assert client.post(url.path).json()["code"] != "method-not-allowed"
        assert client.post("/hooks/brokers/nova").status_code == 401


def test_the_gateway_finds_the_brokers_and_has_their_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = compose_environment("dispatcher")
    settings = settings_from(seen, SERVICES["dispatcher"]["command"], monkeypatch)

    assert set(settings.brokers) == set(BROKERS)
    for name, broker in settings.brokers.items():
        simulated = broker_options(name)

        assert broker.options["url"] == f"http://{name}:{simulated.port}"
        assert broker.options["secret"] == simulated.secret
        assert broker.options["orders_per_second_max"] == simulated.tps


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_shares_a_network_with_everyone_whom_it_names(name: str) -> None:
    """Each host:port in its environment, secrets and command is a service, within reach."""
    given = SERVICES[name]
    secrets = [dev_secret(it) for it in given.get("secrets", [])]
    text = " ".join([str(given.get("environment", "")), str(given.get("command", "")), *secrets])
    named = {host for host in re.findall(r"([a-z][a-z-]*):\d{4,5}\b", text) if host != name}

    assert named <= set(SERVICES)
    for other in named:
        assert set(given["networks"]) & set(SERVICES[other]["networks"]), other


# --- stopping -------------------------------------------------------------------------------


def test_a_stop_leaves_time_to_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in GATEWAYS:
        seen = compose_environment(name)
        settings = settings_from(seen, SERVICES[name]["command"], monkeypatch)
        grace_s = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))

        assert grace_s >= settings.drain_s + GRACE_S + FLUSH_S_MAX
    for name in set(PODS) - {"migrate"}:
        seen = pod_environment(PODS[name], "overlays/prod")
        settings = settings_from(seen, PODS[name]["containers"][0]["args"], monkeypatch)
        waits = PODS[name]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
        grace_s = PODS[name]["terminationGracePeriodSeconds"]

        assert waits[0] == "sleep"
        assert grace_s >= int(waits[1]) + settings.drain_s + GRACE_S + FLUSH_S_MAX


# --- containment ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_can_do_little(name: str) -> None:
    given = SERVICES[name]

    assert given["cap_drop"] == ["ALL"]
    assert given["security_opt"] == ["no-new-privileges:true"]
    assert given["user"].partition(":")[0] not in {"", "0", "root"}
    assert given["read_only"] is (name not in WRITES_ITS_ROOT)
    assert not set(given) & {"privileged", "cap_add", "devices", "network_mode", "pid", "ipc"}
    assert name not in WRITES_ITS_ROOT or name not in OF_OUR_IMAGE


@pytest.mark.parametrize("name", PODS)
def test_a_pod_can_do_little(name: str) -> None:
    pod = PODS[name]
    who = pod["securityContext"]

    assert who["runAsNonRoot"]
    assert f"USER {who['runAsUser']}:{who['runAsGroup']}" in DOCKERFILE
    assert who["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    # Or the Service `openbell` sets OPENBELL_PORT to tcp://10.0.0.1:80 in each of them.
    assert pod["enableServiceLinks"] is False
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        limits = container["resources"]
        assert limits["limits"]["memory"] == limits["requests"]["memory"]


def test_nothing_reaches_out_of_the_repository() -> None:
    for name, given in SERVICES.items():
        for volume in given.get("volumes", []):
            source = volume.partition(":")[0]
            if source not in COMPOSE["volumes"]:
                assert source.startswith("./k8s/observability/"), name
                assert volume.endswith(":ro")
                assert (ROOT / source).exists()
        for port in given.get("ports", []):
            assert port.startswith("127.0.0.1:")
            assert any("internal" not in COMPOSE["networks"][it] for it in given["networks"])
    for secret in COMPOSE["secrets"].values():
        assert (ROOT / secret["file"]).resolve().is_relative_to(DEV_SECRETS)


def test_no_password_stands_in_an_environment() -> None:
    texts = [(ROOT / "docker-compose.yml").read_text(), *map(str, WORKLOADS.values())]
    texts.append(str(KUSTOMIZE["overlays/prod"]))
    files = [file for file in DEV_SECRETS.iterdir() if not file.name.startswith("OPENBELL_")]

    assert files
    for file in files:
        password = dev_secret(file.name)

        assert password.startswith("dev-only-"), "whoever finds it knows what it is"
        assert not [text for text in texts if password in text]
    for given in SERVICES.values():
        for name in given.get("environment", {}):
            assert "PASSWORD" not in name or name.endswith("_FILE")


def test_the_database_and_the_gateway_have_one_password() -> None:
    url = urlsplit(dev_secret("OPENBELL_LEDGER_URL"))
    database = SERVICES["postgres"]["environment"]

    assert url.password == dev_secret("postgres-password")
    assert url.username == database["POSTGRES_USER"]
    assert url.path == f"/{database['POSTGRES_DB']}"
    assert url.hostname == "postgres"


def test_each_secret_that_is_declared_is_used_and_there() -> None:
    used = {it for given in SERVICES.values() for it in given.get("secrets", [])}

    assert used == set(COMPOSE["secrets"]) == {file.name for file in DEV_SECRETS.iterdir()}


# --- order of starts ------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_for_what_it_needs(name: str) -> None:
    given = SERVICES[name]
    for other, how in given.get("depends_on", {}).items():
        if how["condition"] == "service_healthy":
            assert "test" in SERVICES[other]["healthcheck"]
        assert (how["condition"] == "service_completed_successfully") == (other in RUN_ONCE)
        optional = "profiles" in SERVICES[other] and "profiles" not in given
        assert how.get("required", True) is not optional
    if name in GATEWAYS:
        assert "migrate" in given["depends_on"]
    if name in RUN_ONCE:
        assert given["restart"].startswith("on-failure")
    else:
        assert given["restart"] == "unless-stopped"
        assert "test" in given["healthcheck"]


def test_the_migration_waits_for_every_store() -> None:
    assert {"postgres", "kafka", "mongo-init"} <= set(SERVICES["migrate"]["depends_on"])


def test_the_archive_of_dropped_days_outlives_a_dispatcher() -> None:
    """Once a day is dropped from the ledger, its archive is all that is left of it."""
    folder = image_environment()["OPENBELL_DATA_DIR"]
    volumes = {it["name"]: it for it in PODS["dispatcher"]["volumes"]}
    mounts = PODS["dispatcher"]["containers"][0]["volumeMounts"]
    (mounted,) = [it["name"] for it in mounts if it["mountPath"] == folder]

    assert f"archive:{folder}" in SERVICES["dispatcher"]["volumes"]
    assert volumes[mounted]["persistentVolumeClaim"]["claimName"] == "openbell-archive"
    claims = [it for it in BASE if it["kind"] == "PersistentVolumeClaim"]
    assert claims[0]["spec"]["accessModes"] == ["ReadWriteMany"]


# --- servers --------------------------------------------------------------------------------


def test_kafka_is_as_strict_as_in_the_tests() -> None:
    given = SERVICES["kafka"]["environment"]
    for name in ("auto.create.topics.enable", "process.roles", "controller.listener.names"):
        assert given[f"KAFKA_{name.upper().replace('.', '_')}"] == BROKER[name]
    for name, value in BROKER.items():
        if name.endswith((".factor", ".min.isr")):
            assert given[f"KAFKA_{name.upper().replace('.', '_')}"] == value


def test_the_cluster_is_made_of_the_servers_that_run() -> None:
    sets = {
        given["command"][given["command"].index("--replSet") + 1]: name
        for name, given in SERVICES.items()
        if "--replSet" in given.get("command", []) and "profiles" in given
    }
    script = SERVICES["mongos-init"]["command"][-1]
    told = dict(re.findall(r'(\w+): "([a-z-]+):27017"', script))
    (database,) = [word for word in SERVICES["mongos"]["command"] if "/" in word]

    assert told == sets
    assert sum("--shardsvr" in SERVICES[name]["command"] for name in sets.values()) == 2
    assert database == f"config/{sets['config']}:27017"
    assert f'_id: "{SERVICES["mongo"]["command"][2]}"' in SERVICES["mongo-init"]["command"][-1]


def test_the_operators_port_is_open_to_their_namespace_alone() -> None:
    policies = {it["metadata"]["name"]: it["spec"] for it in BASE if it["kind"] == "NetworkPolicy"}
    everybody = {"matchLabels": {"app.kubernetes.io/name": "openbell"}}
    clients = {"matchLabels": everybody["matchLabels"] | {"app.kubernetes.io/component": "api"}}
    ops = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ops"}}}

    assert policies == {
        "openbell-nobody": {"podSelector": everybody, "policyTypes": ["Ingress"], "ingress": []},
        "openbell-clients": {
            "podSelector": clients,
            "policyTypes": ["Ingress"],
            "ingress": [{"ports": [{"protocol": "TCP", "port": "http"}]}],
        },
        "openbell-operators": {
            "podSelector": everybody,
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [ops], "ports": [{"protocol": "TCP", "port": "admin"}]}],
        },
    }
    for it in WORKLOADS.values():
        labels = it["spec"]["template"]["metadata"]["labels"]
        assert everybody["matchLabels"].items() <= labels.items()


def test_clients_and_operators_have_a_service_each() -> None:
    found = {it["metadata"]["name"]: it["spec"]["ports"] for it in BASE if it["kind"] == "Service"}

    assert found == {
        "openbell": [{"name": "http", "port": 80, "targetPort": "http"}],
        "openbell-operators": [{"name": "admin", "port": 80, "targetPort": "admin"}],
    }


def test_what_watches_asks_at_the_operators_port() -> None:
    config = yaml.safe_load((K8S / "observability/alertmanager.yml").read_text())
    (hook,) = config["receivers"][0]["webhook_configs"]
    url = urlsplit(hook["url"])

    assert (url.hostname, url.port) == ("api", ADMIN)
    assert stands_at(url.path, operators=True)
    for name in set(PODS) - {"migrate"}:
        told = WORKLOADS[name]["spec"]["template"]["metadata"]["annotations"]
        assert told["prometheus.io/port"] == str(ADMIN)
        assert stands_at(told["prometheus.io/path"], operators=True)
    published = SERVICES["api"]["ports"]
    assert [port.rpartition(":")[2] for port in published] == ["8080", str(ADMIN)]
    ranges = [port.split(":")[1].split("-") for port in published]
    copies = SERVICES["api"]["deploy"]["replicas"]
    assert all(int(last) - int(first) + 1 == copies for first, last in ranges)


def test_budgets_and_services_find_their_pods() -> None:
    labels = [it["spec"]["template"]["metadata"]["labels"] for it in WORKLOADS.values()]
    for it in BASE:
        if it["kind"] in {"PodDisruptionBudget", "Service"}:
            wanted = it["spec"]["selector"].get("matchLabels", it["spec"]["selector"])
            assert sum(wanted.items() <= pod.items() for pod in labels) == 1
        if it["kind"] == "Deployment":
            wanted = it["spec"]["selector"]["matchLabels"]
            assert wanted.items() <= it["spec"]["template"]["metadata"]["labels"].items()
    budgets = {it["metadata"]["name"] for it in BASE if it["kind"] == "PodDisruptionBudget"}

    # Of alarms there is one, and a budget of one would hold its node for ever.
    assert budgets == {f"openbell-{role}" for role in set(PODS) - {"migrate", "alarms"}}
    several = [it for name, it in WORKLOADS.items() if name != "alarms"]
    assert all(it["spec"].get("replicas", 2) >= 2 for it in several)


def test_kustomize_names_every_file() -> None:
    for place, it in KUSTOMIZE.items():
        for resource in it["resources"]:
            assert (K8S / place / resource).exists()
    listed = set(KUSTOMIZE["base"]["resources"])

    assert listed == {file.name for file in (K8S / "base").glob("*.yaml")} - {"kustomization.yaml"}


# --- what is watched ------------------------------------------------------------------------


async def _shown(folder: Path) -> set[str]:
    """Return the names of all that a whole gateway shows once its watch has looked."""
    north = BrokerSettings(options={"url": "http://127.0.0.1:9", "secret": "x" * 16})
    settings = Settings(data_dir=folder, brokers={"north": north}, routes={"XNAS": "north"})
    gateway = await open_gateway(settings)
    try:
        house = furnish(gateway)
        Meters(house.registry)
        await Gauges(house.registry).read(house)
        assert gateway.watching is not None
        await gateway.watching.watch.distance.step()
        return {name for it in house.registry.collect() for name in (it.name, f"{it.name}_total")}
    finally:
        await gateway.close()


def test_alerts_and_dashboards_name_metrics_that_we_show(tmp_path: Path) -> None:
    shown = asyncio.run(_shown(tmp_path))
    watched = K8S / "observability"
    files = [watched / "rules.yml", *(watched / "dashboards").glob("*.json")]
    named = r"\b(?:openbell|process)_[a-z0-9_]+\b"
    found = {name for file in files for name in re.findall(named, file.read_text())}

    assert len(found) > 30
    assert found - {"openbell_subject"} <= shown  # that one is a label, which /hooks reads


def test_prometheus_asks_every_role() -> None:
    config = yaml.safe_load((K8S / "observability/prometheus.yml").read_text())
    (asked,) = config["scrape_configs"][0]["dns_sd_configs"]

    assert set(asked["names"]) == set(GATEWAYS)
    assert asked["port"] == ADMIN
    for name in GATEWAYS:
        # In two common networks each process would be found twice.
        common = set(SERVICES[name]["networks"]) & set(SERVICES["prometheus"]["networks"])
        assert len(common) == 1
