"""A bundle has what a ticket needs, and nothing that opens anything, wherever that stood."""

import json
import stat
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from time import perf_counter
from typing import Any, get_args, get_origin
from zipfile import ZipFile

import pytest
from aiohttp import web
from pydantic import BaseModel

from app.cli.asking import contexts
from app.cli.asking.patience import MIB, Patience
from app.cli.asking.redaction import OPTIONS, SECRET, Redaction
from app.cli.debug.bundle_settings import ANY, TOLD, WITHHELD
from app.domain.records import Actor, Change
from app.settings import Settings
from tests.builders import a_report
from tests.cli.conftest import Terminal
from tests.cli.gateway import KEY, OPERATOR, problem
from tests.cli.served import served
from tests.web.house import a_gateway, put_in_doubt, run
from tests.web.operators import reserve

TOKEN = "ob_live_0123456789abcdef0123_" + "4f" * 32
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAplanted0001\n-----END RSA PRIVATE KEY-----"
# What stands in a text as people, programs and settings write it; the part that opens.
SPOKEN = {
    "4f" * 32: f"the new key is {TOKEN}, do not lose it",
    "planted0001": PEM,
    "planted0002": "postgresql://openbell:planted0002@db.example/openbell",
    "planted0003": "https://hooks.slack.com/services/T0/B0/planted0003",
    "xoxb-planted-0004": "bot xoxb-planted-0004 posts",
    "planted0005": "Authorization: Bearer planted0005aaaa",
    "planted0006": "password=planted0006",
    "planted0007": '{"api_key": "planted0007"}',
    "planted0008": "whsec_planted0008AAAAAAAA",
    "planted0009": "eyJhbGciOi.eyJwbGFudGVk.planted0009",
    "planted0018": f"ewogImFsZyI6ICJub25lIn0.eyJwbGFudGVkIjoxfQ.{'A' * 30}planted0018",
    "planted0010": "https://x.example/?a=1&access_token=planted0010&b=2",
    "planted0011": "redis://:planted0011@cache.example/0",
    "planted0012": "kafka sasl_password: 'planted0012'",
    "planted0013": '"{\\"clientSecret\\": 1, \\"token\\": \\"planted0013\\"}"',
    "planted 0014": 'token="planted 0014"',
    "planted0017": "sslpassword=planted0017 sslmode=require",
    "planted0015": "X-Approver-Key: planted0015",
    "p@ss:planted0016": "mongodb://u:p@ss:planted0016@db.example/x",
}
# What this machine knows to be secret, and a text alone would not give away.
SETTINGS = {
    "OPENBELL_LEDGER_URL": "postgresql://openbell:known?pw@0001@127.0.0.1:1/openbell?sslpassword=knownssl0009",
    "OPENBELL_REDIS_URL": "redis://:knownpw0002@127.0.0.1:1/0",
    "OPENBELL_SLACK__BOT_TOKEN": "knowntoken0003",
    "OPENBELL_SLACK__CHANNEL": "#ops",
    "OPENBELL_KAFKA__BOOTSTRAP": "127.0.0.1:1",
    "OPENBELL_KAFKA__SASL_USERNAME": "openbell",
    "OPENBELL_KAFKA__SASL_PASSWORD": 'known "quoted" 0004',
    "OPENBELL_HOOKS": '{"grafana": {"hmac_secret": "knownhmac0005-long"}}',
    "OPENBELL_BROKERS": json.dumps(
        {"north": {"options": {"url": "http://127.0.0.1:1", "blob": "knownblob0006"}}}
    ),
}
KNOWN = (
    *("known?pw@0001", "knownssl0009", "knownpw0002", "knowntoken0003", 'known "quoted" 0004'),
    *("knownhmac0005-long", "knownblob0006", "ob_context_key_0007", "70657070657230303038"),
)
ACCOUNT = "ACC-778899"
# What a gateway of another year may say of itself.
CONFIG = {
    "at": "2026-03-02T14:29:01.000Z",
    "data": [
        {"setting": "port", "value": 8081, "origin": "default"},
        {"setting": "next_years", "value": "planted0200", "origin": "default"},
        {"setting": "kafka", "value": {"tls": True, "new": "planted0201"}, "origin": "default"},
    ],
}
# Each setting is told or withheld because somebody thought about it.
HIDDEN = {
    *("kafka.sasl_username", "kafka.sasl_password", "slack.webhook_url", "slack.bot_token"),
    *("brokers.*.options", "hooks.*.token", "hooks.*.hmac_secret"),
}


def planted() -> dict[str, Any]:
    """Return a document with a secret in every kind of place."""
    return {
        "texts": list(SPOKEN.values()),
        "nested": json.dumps({"before": {"note": list(SPOKEN.values())}, "account_id": ACCOUNT}),
        "password": "planted0100",
        "bot_token": {"value": "planted0103"},
        "tokens": ["planted0104"],
        "webhookUrl": "planted0101",
        "options": {"anything": "planted0102"},
        "account_id": ACCOUNT,
        "accounts": [ACCOUNT, "*"],
        "said": [f"{secret} was used" for secret in KNOWN],
        TOKEN: "as a name",
        "lanes": [{"broker_id": "north"}],
    }


class Ticket:
    """What a bundle holds, unpacked."""

    def __init__(self, path: Path) -> None:
        with ZipFile(path) as archive:
            self.files = {name: archive.read(name).decode() for name in archive.namelist()}

    def document(self, name: str) -> Any:
        return json.loads(self.files[f"{name}.json"])

    def all(self) -> str:
        return "\n".join((*self.files, *self.files.values()))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "ticket.zip"


def test_no_secret_is_in_a_bundle_wherever_it_was_planted(terminal: Terminal, out: Path) -> None:
    terminal.gateway.more["/metrics"] = lambda _: web.Response(text="\n".join(SPOKEN.values()))
    terminal.gateway.more["/admin/v1/brokers/"] = lambda _: problem(
        403, "scope-missing", " ".join(SPOKEN.values())
    )
    terminal.gateway.more["/admin/v1/config"] = lambda _: web.json_response(CONFIG)
    terminal.gateway.more["/"] = lambda _: web.json_response(planted())
    (terminal.here / "keys.pepper").write_bytes(b"pepper0008")
    contexts.write(
        contexts.Contexts({"prod": contexts.Context("http://x.example", {"operator": KNOWN[-2]})})
    )
    log = terminal.file("gateway.log", "\n".join((*SPOKEN.values(), *KNOWN, "order.sent")))

    nowhere, endless = str(terminal.here / "nowhere"), "/dev/zero"
    words = ("--out", str(out), "--log", log, "--log", nowhere, "--log", endless)
    result = terminal.run("debug", "bundle", *words, **SETTINGS)

    ticket = Ticket(out)
    assert result.exit_code == 0, result.stderr
    found = [secret for secret in (*SPOKEN, *KNOWN, KEY, OPERATOR) if secret in ticket.all()]
    assert found == []
    assert "planted" not in ticket.all()
    assert ACCOUNT not in ticket.all()
    assert not any(secret.encode() in out.read_bytes() for secret in (*SPOKEN, *KNOWN))
    # What is left is worth sending.
    assert "order.sent" in ticket.files["log-1.txt"]
    assert "ob_live_0123456789abcdef0123_" in ticket.all()
    assert "db.example/openbell" in ticket.all()
    here = {row["setting"]: row["value"] for row in ticket.document("settings-here")}
    assert here["port"] == 8080
    assert here["redis_url"] == f"redis://{SECRET}@127.0.0.1:1/0"
    assert here["brokers"]["north"]["options"] == {"url": SECRET, "blob": SECRET}
    theirs = {row["setting"]: row["value"] for row in ticket.document("config")["data"]}
    assert theirs == {"port": 8081, "next_years": WITHHELD, "kafka": {"tls": True, "new": WITHHELD}}
    missing = ticket.document("manifest")["missing"]
    assert {"log-2.txt", "log-3.txt", "session-north"} <= set(missing)


def names_of(model: type[BaseModel], *place: str) -> Iterator[str]:
    """Yield the place of each setting that has no others below it."""
    for name, field in model.model_fields.items():
        inner = [one for one in models_in(field.annotation) if issubclass(one, BaseModel)]
        mapped = get_origin(field.annotation) is dict and name != OPTIONS
        below = (*place, name, *([ANY] if mapped else []))
        for one in inner:
            yield from names_of(one, *below)
        if not inner:
            yield ".".join(below)


def models_in(kind: Any) -> Iterator[type]:
    if isinstance(kind, type):
        yield kind
    for one in get_args(kind):
        yield from models_in(one)


def test_every_setting_is_told_or_withheld_on_purpose() -> None:
    assert set(names_of(Settings)) == TOLD | HIDDEN
    assert not TOLD & HIDDEN


def test_a_bundle_of_a_gateway_has_what_a_stranger_asks_for_first(
    terminal: Terminal, tmp_path: Path, out: Path
) -> None:
    gateway = a_gateway(tmp_path / "house")
    key = gateway.key()["Authorization"].removeprefix("Bearer ")
    reserve(gateway, 2)
    for number in range(5):
        gateway.clock.at += 20 * 60_000
        change = Change("halt", "halt/all", None, {"scope": "all"})
        run(gateway.ledger.note(change, Actor("mina", f"number {number}")))
    with served(gateway) as url:
        words = ("debug", "bundle", "--out", str(out), "--audit", "4", "--since", "30m", "--json")
        result = terminal.run(*words, OPENBELL_KEY=key, url=url)

    ticket = Ticket(out)
    assert [row["reason"] for row in ticket.document("audit")] == ["number 3", "number 4"]
    assert ticket.document("preflight")["verdict"] == "fail"
    assert ticket.document("overview")["backlog"]["reserved"] != {}
    assert ticket.document("versions")["packages"]["typer"]
    assert "\nopenbell_orders_reserved 2.0\n" in ticket.files["metrics.txt"]
    assert json.loads(result.stdout)["holds"] == list(ticket.files)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_a_gateway_that_is_away_is_told_in_the_bundle(terminal: Terminal, out: Path) -> None:
    result = terminal.run("debug", "bundle", "--out", str(out), url="http://127.0.0.1:1")

    ticket = Ticket(out)
    assert result.exit_code == 0
    assert {"versions.json", "doctor.json", "settings-here.json"} <= set(ticket.files)
    assert {"overview", "audit", "metrics.txt", "preflight"} <= set(
        ticket.document("manifest")["missing"]
    )


def test_a_door_that_hangs_up_costs_its_own_part_alone(terminal: Terminal, out: Path) -> None:
    terminal.gateway.hang_up_on = "/admin/v1/outbox"
    terminal.gateway.more["/admin/v1/strays"] = lambda _: web.Response(body=b"[" * (8 * MIB + 1))
    terminal.gateway.more["/metrics"] = lambda _: web.Response(text="x" * 99 + "\n" + "y" * 99)
    terminal.gateway.more["/"] = lambda _: web.json_response({"at": 7, "data": [], "lanes": []})

    result = terminal.run("debug", "bundle", "--out", str(out))

    ticket = Ticket(out)
    missing = ticket.document("manifest")["missing"]
    assert result.exit_code == 0
    assert "more than 8 MiB" in missing["strays"]
    # The last two begin with the instant of the overview, which was none.
    assert set(missing) == {"outbox", "strays", "log", "audit", "preflight"}
    assert "view-lag.json" in ticket.files


def test_patience_is_for_the_whole_of_an_answer_and_not_for_each_byte() -> None:
    at = [0.0]
    patience = Patience(10, 100, lambda: at[0])

    assert patience.left_s() == 10
    at[0] = 9.0
    patience.spend(100)
    assert patience.left_s() == 1
    with pytest.raises(OSError, match="more than"):
        patience.spend(1)
    at[0] = 10.0
    with pytest.raises(TimeoutError):
        patience.left_s()


def test_a_line_of_a_log_without_an_end_takes_no_time() -> None:
    # Each of these took minutes, when the patterns looked ahead from each letter.
    for piece in ("A", "1", "a-", "x-", "eyJ", "eyJ-", "token=", "://", "QUJD ", '\\"'):
        text = piece * (100_000 // len(piece))
        began = perf_counter()
        Redaction(["a-secret"], b"k").text(text)
        assert perf_counter() - began < 2


def test_nothing_is_written_over_and_nothing_half_stays(terminal: Terminal, out: Path) -> None:
    out.write_text("of yesterday")

    again = terminal.run("debug", "bundle", "--out", str(out))
    nowhere = terminal.run("debug", "bundle", "--out", str(out.parent / "no" / "x.zip"))

    assert (again.exit_code, nowhere.exit_code) == (3, 1)
    assert out.read_text() == "of yesterday"
    assert sorted(path.suffix for path in out.parent.iterdir()) == [".json", ".zip"]


@pytest.mark.parametrize(
    "text",
    [
        "the token bucket is empty: 3 of 5",
        "key_id 00c0ffee, previous_hash ab12",
        "passed 12 of 12; compass=3",
        "monkey: banana",
        "http://127.0.0.1:8080/admin/v1/keys",
    ],
)
def test_what_opens_nothing_is_left_alone(text: str) -> None:
    assert Redaction([], b"k").text(text) == text


def test_an_account_has_the_same_other_name_within_one_bundle_alone() -> None:
    one, other = Redaction([], b"1"), Redaction([], b"2")

    assert one.document({"account_id": "A-1"}) == one.document({"account_id": "A-1"})
    assert one.account("A-1") not in {one.account("A-2"), other.account("A-1"), "A-1"}
    assert one.document({"secret": 7, "done": True}) == {"secret": SECRET, "done": True}


def test_an_order_is_told_in_the_order_of_time_as_far_as_the_key_opens(
    terminal: Terminal, tmp_path: Path
) -> None:
    gateway = a_gateway(tmp_path / "house")
    order_id = reserve(gateway, 1)
    attempt = run(put_in_doubt(gateway.ledger))
    facts: dict[str, Any] = {"broker_id": "nova", "broker_order_key": attempt}
    report = a_report(at=gateway.clock.now() + 1, last_quantity=Decimal(4), **facts)
    run(gateway.ledger.apply([report], "report"))
    both, admin, none = (
        gateway.key(name, frozenset(scopes))["Authorization"].removeprefix("Bearer ")
        for name, scopes in (
            ("both", {"orders:read", "admin:read"}),
            ("mina", {"admin:read"}),
            ("kim", {"admin:halt"}),
        )
    )

    with served(gateway) as url:
        words = ("debug", "trace", order_id)
        whole = terminal.run(*words, "--json", OPENBELL_KEY=both, url=url)
        part = terminal.run(*words, OPENBELL_KEY=admin, url=url)
        nothing = terminal.run(*words, OPENBELL_KEY=none, url=url)

    told = json.loads(whole.stdout)
    instants = [line["at"] for line in told["story"]]
    assert instants == sorted(instants)
    said = [(line["record"], line["says"]) for line in told["story"]]
    assert said[0] == ("step", "order.reserved")
    assert ("attempt 1", "claimed") in said
    assert said[-1] == ("execution", "trade 4 at 187.25")
    assert told["order"]["filled_quantity"] == "4"
    assert (part.exit_code, nothing.exit_code) == (0, 5)
    assert "claimed" in part.stdout
    assert "4 of 10 filled" in part.stderr
    assert "not for this key: events, executions" in part.stderr
