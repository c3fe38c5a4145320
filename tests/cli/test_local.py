"""What needs no gateway: keys in their file, and the doctor."""

import json
import socket
import sqlite3
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli import app
from app.cli.doctor import checkup
from app.cli.stage.ports import free_port
from app.ledger.schema import HEAD
from app.web.access.keyfile import ROLES, read_keys
from tests.cli.gateway import Gateway

GRANT = ("--scope", "orders:read", "--account", "A-1")


def run(here: Path, *words: str) -> Result:
    environment = {"OPENBELL_DATA_DIR": str(here), "OPENBELL_KEYS_FILE": None}
    return CliRunner(env=environment).invoke(app, list(words), catch_exceptions=False)


def test_a_key_is_made_listed_and_revoked(tmp_path: Path) -> None:
    made = run(tmp_path, "key", "create", "mina", *GRANT, "--expires", "90d")
    [key] = read_keys(tmp_path / "keys.json")
    listed = run(tmp_path, "key", "list", "--json")
    revoked = run(tmp_path, "key", "revoke", key.id)

    assert (made.exit_code, listed.exit_code, revoked.exit_code) == (0, 0, 0)
    assert made.stdout.startswith(f"ob_test_{key.id}_")
    assert made.stdout.strip().rpartition("_")[2] not in listed.stdout + made.stderr
    assert json.loads(listed.stdout)[0]["scopes"] == "orders:read"
    assert read_keys(tmp_path / "keys.json")[0].revoked


def test_a_rotated_key_has_a_successor_that_may_the_same_and_an_end(tmp_path: Path) -> None:
    run(tmp_path, "key", "create", "mina", *GRANT, "--live", "--expires", "90d")
    [before] = read_keys(tmp_path / "keys.json")
    made = run(tmp_path, "key", "rotate", before.id, "--grace", "2h")
    old, new = read_keys(tmp_path / "keys.json")

    assert made.exit_code == 0
    assert made.stdout.startswith(f"ob_live_{new.id}_")
    assert made.stdout.strip().rpartition("_")[2] not in made.stderr
    assert (new.name, new.scopes, new.accounts) == (old.name, old.scopes, old.accounts)
    assert (old.id, old.digest) == (before.id, before.digest)
    assert old.expires_at is not None
    assert new.expires_at is not None
    assert abs(new.created_at + 2 * 3_600_000 - old.expires_at) < 1_000
    assert abs(new.expires_at - new.created_at - 90 * 86_400_000) < 1_000


def test_a_rotation_never_gives_an_old_key_a_longer_life_nor_an_ended_one_a_new(
    tmp_path: Path,
) -> None:
    run(tmp_path, "key", "create", "mina", *GRANT, "--expires", "1h")
    [before] = read_keys(tmp_path / "keys.json")
    run(tmp_path, "key", "rotate", before.id, "--grace", "30d")
    old, new = read_keys(tmp_path / "keys.json")
    run(tmp_path, "key", "revoke", new.id)
    ended = run(tmp_path, "key", "rotate", new.id)
    unknown = run(tmp_path, "key", "rotate", "0123")

    assert old.expires_at == before.expires_at
    assert (ended.exit_code, unknown.exit_code) == (2, 4)
    assert len(read_keys(tmp_path / "keys.json")) == 2


def test_a_key_that_nobody_has_cannot_be_revoked(tmp_path: Path) -> None:
    assert run(tmp_path, "key", "revoke", "0123").exit_code == 4


def test_a_key_for_an_unknown_scope_is_not_made(tmp_path: Path) -> None:
    result = run(tmp_path, "key", "create", "mina", "--scope", "all:all", "--account", "A-1")

    assert result.exit_code == 2
    assert "all:all" in result.stderr
    assert not (tmp_path / "keys.json").exists()


def test_a_key_of_a_role_may_what_the_role_may(tmp_path: Path) -> None:
    made = run(tmp_path, "key", "create", "jun", "--role", "approver", "--account", "*")
    wrong = run(tmp_path, "key", "create", "jun", "--role", "boss", "--account", "*")
    nothing = run(tmp_path, "key", "create", "jun", "--account", "*")
    listed = run(tmp_path, "key", "list", "--json")

    assert (made.exit_code, wrong.exit_code, nothing.exit_code) == (0, 2, 2)
    (row,) = json.loads(listed.stdout)
    assert row["role"] == "approver"
    assert set(row["scopes"].split()) == ROLES["approver"]


def test_a_key_file_that_is_broken_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("{", "utf-8")

    assert run(tmp_path, "key", "list").exit_code == 1


def test_the_doctor_names_a_fix_for_each_failure(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        result = run(tmp_path, "doctor", "--port", str(port), "--json")

    found = {finding["check"]: finding for finding in json.loads(result.stdout)}
    assert result.exit_code == 1
    assert found[f"port {port}"]["state"] == "fail"
    assert all(finding["fix"] for finding in found.values() if finding["state"] == "fail")
    assert {"python", "sqlite", "data directory", "ledger", "clock"} <= set(found)
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_a_gateway_serves_is_in_order(gateway: Gateway) -> None:
    assert gateway.url

    finding = checkup.port_free("127.0.0.1", int(gateway.url.rpartition(":")[2]))

    assert finding.state == "ok"


def test_the_doctor_knows_a_disk_from_memory(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:9 / /run\\040time rw - tmpfs tmpfs rw\n", "utf-8"
    )

    assert checkup.filesystem_of(Path("/var/lib"), mounts) == "ext4"
    assert checkup.filesystem_of(Path("/run time/openbell"), mounts) == "tmpfs"
    assert checkup.filesystem_of(Path("/var"), tmp_path / "nowhere") == ""


@pytest.mark.parametrize(("revision", "state"), [(HEAD, "ok"), ("0001", "note"), ("9999", "fail")])
def test_the_doctor_reads_the_ledgers_revision(tmp_path: Path, revision: str, state: str) -> None:
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
    connection.close()

    assert checkup.database_revision(tmp_path).state == state


def test_the_doctor_finds_a_ledger_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("no database at all, but long enough to be read" * 9)

    assert checkup.database_revision(tmp_path).state == "fail"


@pytest.mark.parametrize(
    ("today", "state"),
    [(date(2026, 11, 23), "ok"), (date(2028, 9, 1), "note"), (date(2028, 12, 20), "fail")],
)
def test_the_doctor_warns_before_the_calendar_ends(today: date, state: str) -> None:
    assert {finding.state for finding in checkup.calendar_horizon(today)} == {state}


def test_the_doctor_compares_the_packages_with_the_lock(tmp_path: Path) -> None:
    (tmp_path / "requirements.lock").write_text("typer==0.0.1 \\\n    --hash=x\n", "utf-8")

    found = checkup.locked_packages(tmp_path)

    assert found.state == "fail"
    assert "instead of 0.0.1" in found.found
    assert checkup.locked_packages(tmp_path / "nowhere").state == "ok"


def test_a_stage_takes_no_port_that_an_outgoing_connection_may_be_given() -> None:
    """A killed gateway comes back to its port, which somebody else had once in a while."""
    lent = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(lent.read_text().split()[0]) if lent.exists() else 32_768

    assert all(free_port() < first for _ in range(20))
