"""One archive for a ticket: what a gateway says of itself, and this machine, without a secret.

    doors ─► documents ─┐
    settings, versions ─┼─► redaction ─► openbell-….zip   (manifest.json says what could not be had)
    log, its tail ──────┘

Nothing enters the archive but through `Bundle`: there everything passes the redaction, has its
time and its size, and may fail alone. The trap is the one file that was "surely harmless".
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any, Final, NamedTuple
from zipfile import ZIP_DEFLATED, ZipFile

from app.cli.asking.client import Client
from app.cli.asking.output import Failure
from app.cli.asking.patience import MIB, Patience
from app.cli.asking.problems import Unreachable
from app.cli.asking.redaction import Redaction

# A ticket takes an attachment of some megabytes, and this is packed to a tenth.
MEMBER_BYTES_MAX: Final = 8 * MIB
ALL_BYTES_MAX: Final = 64 * MIB
# A gateway in trouble is slow, and one of its doors may hang; a person waits for all of them.
PART_S: Final = 10.0
WHOLE_S: Final = 120.0
OURS_ALONE: Final = 0o600


class Member(NamedTuple):
    """One file of the archive, as the manifest has it."""

    name: str
    bytes: int
    seconds: float
    is_cut: bool


class Bundle:
    """The archive while it is made; it lists what is in it, and what is not."""

    def __init__(self, archive: ZipFile, redaction: Redaction, client: Client) -> None:
        self._archive = archive
        self._redaction = redaction
        self._client = client
        self._ends_at_s = monotonic() + WHOLE_S
        self._bytes = 0
        self._is_away = False
        self.told: Callable[[int], None] = lambda _: None  # whoever shows that it goes on
        self.holds: list[Member] = []
        self.missing: dict[str, str] = {}

    def ask(self, name: str, question: Callable[[], Any], within_s: float = PART_S) -> Any:
        """Put in what the gateway says; one that takes no call is not called again."""
        left_s = self._ends_at_s - monotonic()
        if self._is_away or left_s <= 0:
            self.lacks(name, "nobody took the call" if self._is_away else "no time was left")
            return None
        self._client.patience = Patience(min(within_s, left_s), MEMBER_BYTES_MAX)
        try:
            return self.take(name, question)
        finally:
            self._client.patience = None

    def take(self, name: str, question: Callable[[], Any]) -> Any:
        """Put in what the question brings and return it; or why it brings nothing, and go on."""
        began = monotonic()
        try:
            found = question()
            self.add(name, found, monotonic() - began)
        except Failure as e:
            self._is_away = self._is_away or (isinstance(e, Unreachable) and not e.maybe_sent)
            self.lacks(name, "; ".join(dict.fromkeys(text for text in (e.what, e.why) if text)))
        except Exception as e:  # noqa: BLE001 - half a bundle helps, and who is in need gets it
            self.lacks(name, f"{type(e).__name__}: {e}")
        else:
            return found
        finally:
            self.told(1)
        return None

    def add(self, name: str, found: Any, seconds: float = 0.0) -> None:
        """Put in a text, or a document as JSON."""
        if isinstance(found, str):
            self._write(name, self._redaction.text(found), seconds, may_cut=True)
        else:
            told = json.dumps(self._redaction.document(found), indent=1, ensure_ascii=False)
            self._write(f"{name}.json", told, seconds)

    def lacks(self, name: str, why: str) -> None:
        """Say why something is not here."""
        self.missing[name] = self._redaction.text(why)

    def close(self, facts: dict[str, Any]) -> None:
        """Put in, last, what is in it."""
        holds = [one._asdict() for one in self.holds]
        self.add("manifest", facts | {"holds": holds, "missing": self.missing})

    def _write(self, name: str, text: str, seconds: float, *, may_cut: bool = False) -> None:
        # Cut after the redaction: a secret that is cut in two has no shape any more.
        data = text.encode("utf-8", "replace")
        is_cut = len(data) > MEMBER_BYTES_MAX
        if (is_cut and not may_cut) or self._bytes + len(data) > ALL_BYTES_MAX:
            raise OSError(f"{len(data) / MIB:.0f} MiB are too many")
        data = data[:MEMBER_BYTES_MAX]
        self._archive.writestr(name, data)
        self._bytes += len(data)
        self.holds.append(Member(name, len(data), round(seconds, 3), is_cut))


def make(
    path: Path, redaction: Redaction, client: Client, fill: Callable[[Bundle], dict[str, Any]]
) -> Bundle:
    """Make the archive, readable by us alone; one that is not finished does not stay.

    `fill` puts everything in and returns the facts that the manifest begins with. Whatever stands
    at the place already is kept: `FileExistsError`.
    """
    opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, OURS_ALONE)
    try:
        with os.fdopen(opened, "w+b") as file, ZipFile(file, "w", ZIP_DEFLATED) as archive:
            bundle = Bundle(archive, redaction, client)
            bundle.close(fill(bundle))
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return bundle
