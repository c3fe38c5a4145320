"""QuickFIX/J, the Java engine, as a broker: java/quickfixj/Acceptor.java.

Nothing is downloaded here: `make test` prepares the class path where Java and Maven are, once, as
Kafka's. The acceptor is compiled when a session first asks for it, which takes two seconds.
"""

import os
import re
import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import Final

from tests.servers import fix
from tests.servers.fix import Acceptor
from tests.servers.prepared import classpath
from tests.servers.remains import MADE_S_MAX, Unavailable, scratch

SOURCES: Final = Path(__file__).parent / "java" / "quickfixj"
NO_JAVA: Final = "no QuickFIX/J (needs java and javac, a JDK)"
NO_CLASSPATH: Final = "no QuickFIX/J class path (make prepares it where java and mvn are)"
# Its NextExpectedMsgSeqNum (789) is what it expects. QuickFIX's is one more where it has a gap: it
# takes the client's logon for received, and then waits for a number that it did not ask for.
# It has a dictionary, so it can read the repeating group of a list.
CAN: Final = frozenset({"honest_789", "lists"})
JVM: Final = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")


def named(url: str) -> Acceptor:
    return fix.named("quickfixj", url)


def in_docker() -> Acceptor:
    raise Unavailable("no image of QuickFIX/J's acceptor")


def of_our_own() -> Acceptor:
    java, javac = shutil.which("java"), shutil.which("javac")
    if java is None or javac is None:
        raise Unavailable(NO_JAVA)
    libraries = classpath("quickfixj")
    if libraries is None:
        raise Unavailable(NO_CLASSPATH)
    everything = os.pathsep.join((str(_compiled(javac, libraries)), libraries))
    found = re.search(r"quickfixj-core-([\d.]+\d)\.jar", libraries)
    on = f"QuickFIX/J {found[1] if found else ''}".strip()
    command = partial(_command, java, everything)
    return fix.started("quickfixj", on, command, can=CAN, start_s_max=60)


def _command(java: str, path: str, directory: Path, port: int, control: int) -> list[str]:
    where = [str(directory), str(port), str(control), str(fix.CLIENTS)]
    return [java, *JVM, "-cp", path, "Acceptor", *where]


def _compiled(javac: str, libraries: str) -> Path:
    classes = scratch()
    sources = [str(file) for file in sorted(SOURCES.glob("*.java"))]
    made = subprocess.run(  # noqa: S603 - our own program
        [javac, "-d", str(classes), "-cp", libraries, *sources],
        capture_output=True,
        text=True,
        check=False,
        timeout=MADE_S_MAX,
    )
    if made.returncode:
        raise Unavailable(f"QuickFIX/J's acceptor: {' '.join(made.stderr.split())[-200:]}")
    return classes
