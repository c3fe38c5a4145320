"""Kafka for tests: Apache Kafka itself where its class path was prepared, else a stand-in.

Nothing is downloaded here: `make test` prepares the class path where Maven is. The broker
creates no topic by itself, since a misspelt topic must fail, and it lets sessions be short, since
a test that waits for a dead member to be noticed should wait one second and not six. A second
listener tells clients the address of a proxy, so that answers of a real broker can be lost.
"""

import asyncio
import functools
import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]

from app.cli.stage.ports import free_port
from tests.servers.container import run_container
from tests.servers.images import IMAGES
from tests.servers.prepared import classpath
from tests.servers.process import Process, Program, ask
from tests.servers.remains import MADE_S_MAX, Unavailable, scratch
from tests.servers.server import Server, lifecycle

NO_CLASSPATH: Final = "no Apache Kafka class path (make prepares it where java and mvn are)"
NO_NOIDA: Final = "no noida-db (the wheel noida-db)"
# Any 22 characters of base64 are a cluster's name.
CLUSTER: Final = "b3BlbmJlbGwtdGVzdHMtMQ"
JVM: Final = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
QUIET: Final = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
BROKER: Final = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "auto.create.topics.enable": "false",
    # A killed broker may come back once the controller has given its former life up: 9 s else.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
}
CAN: Final = frozenset(
    {"admin_topics", "create_partitions", "groups", "idempotent", "session_expiry", "survives_kill"}
)

# What our settings above add.
OURS: Final = frozenset({"short_session", "strict_topics"})


def named(bootstrap: str) -> Server:
    asyncio.run(_ask(bootstrap))
    return Server(service="kafka", url=bootstrap, on=f"Kafka at {bootstrap}", capabilities=CAN)


def in_docker() -> Server:
    def settings(host: str, port: int) -> dict[str, str]:
        given = BROKER | {
            "listeners": "PLAINTEXT://0.0.0.0:9092,CONTROLLER://127.0.0.1:9093",
            "advertised.listeners": f"PLAINTEXT://{host}:{port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.quorum.voters": "1@127.0.0.1:9093",
        }
        return {f"KAFKA_{name.upper().replace('.', '_')}": it for name, it in given.items()}

    host, port = run_container(
        IMAGES["kafka"],
        port=9092,
        settings=settings,
        ready=lambda host, port: asyncio.run(_ask(f"{host}:{port}")),
    )
    on = f"Apache Kafka, container {IMAGES['kafka']}"
    can = CAN | OURS
    return Server(service="kafka", url=f"{host}:{port}", on=on, capabilities=can)


def of_our_own() -> Server:
    java = shutil.which("java")
    prepared = classpath("kafka")
    if not java or not prepared:
        return _noida(NO_CLASSPATH if java else "no java")
    try:
        return _apache(java, prepared)
    except Unavailable as e:  # a Java that is too old, for one
        return _noida(str(e))


def _apache(java: str, libraries: str) -> Server:
    directory = scratch()
    port, behind, told, controller = (free_port() for _ in range(4))
    names = ("PLAINTEXT", "PROXIED", "CONTROLLER")
    given = BROKER | {
        "listeners": f"PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{behind}"
        f",CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{told}",
        "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in names),
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "log.dirs": str(directory / "log"),
    }
    properties = directory / "server.properties"
    properties.write_text("".join(f"{name}={value}\n" for name, value in given.items()))
    run = [java, *JVM, QUIET, "-cp", libraries]
    where = ["--cluster-id", CLUSTER, "--config", str(properties)]
    made = subprocess.run(  # noqa: S603 - Kafka's own tool, on our directory
        [*run, "kafka.tools.StorageTool", "format", *where],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=MADE_S_MAX,
    )
    if made.returncode:
        raise Unavailable(f"Kafka's format failed: {' '.join(made.stderr.split())[-200:]}")
    bootstrap = f"127.0.0.1:{port}"
    process = Process(
        Program(
            name="Apache Kafka",
            command=[*run, "kafka.Kafka", str(properties)],
            directory=directory,
            ready=functools.partial(_ready, port),
            start_s_max=120,
        )
    ).start()
    found = re.search(r"kafka_[\d.]+-([\d.]+\d)\.jar", libraries)
    return Server(
        service="kafka",
        url=bootstrap,
        on=f"Apache Kafka {found[1] if found else ''}, started by the tests",
        capabilities=CAN | OURS | {"dedupe", "proxied"} | lifecycle(),
        process=process,
        proxied_ports=(behind, told),
    )


def _noida(why_not_apache: str) -> Server:
    wheel = importlib.util.find_spec("noida_db")
    binary = Path(wheel.origin).with_name("noida-db") if wheel and wheel.origin else None
    if binary is None or not os.access(binary, os.X_OK):
        raise Unavailable(f"{why_not_apache}; {NO_NOIDA}")
    directory = scratch()
    port = free_port()
    where = ["--data-dir", str(directory), "--only", "kafka", "--kafka-port", str(port)]
    process = Process(
        Program(
            name="noida-db",
            command=[str(binary), "start", *where],
            directory=directory,
            ready=functools.partial(_ready, port),
        )
    ).start()
    # It never notices a dead member, and a kill takes the last three seconds with it.
    can = (CAN - {"session_expiry", "survives_kill"}) | lifecycle()
    on = f"noida-db as Kafka, started by the tests ({why_not_apache})"
    return Server(
        service="kafka", url=f"127.0.0.1:{port}", on=on, capabilities=can, process=process
    )


def _ready(port: int) -> None:
    ask(port)
    asyncio.run(_ask(f"127.0.0.1:{port}"))


async def _ask(bootstrap: str) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=5_000)
    try:
        await client.start()
        await client.list_topics()
    finally:
        await client.close()
