"""Keys: nothing of a secret on disk, dead when revoked, and blind to foreign accounts."""

import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.domain.errors import Refused
from app.web.access.keyfile import (
    BadKeyFile,
    Grant,
    create_key,
    pepper_path,
    read_keys,
    revoke_key,
    rotate_key,
)
from app.web.access.keys import Keyring
from app.web.door import Door
from tests.web.house import (
    CLIENT_SCOPES,
    OPENS_AT,
    READER,
    SESSION,
    Gateway,
    an_order,
    put_in_doubt,
    run,
)
from tests.web.stand_ins import SteadyClock

GRANT = Grant("mina", READER, ("A-1",))


@pytest.fixture
def clock() -> SteadyClock:
    return SteadyClock(OPENS_AT)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def is_good(keyring: Keyring, token: str) -> bool:
    try:
        keyring.principal(f"Bearer {token}")
    except Refused:
        return False
    return True


def test_neither_file_holds_the_secret_and_both_are_ours_alone(
    path: Path, clock: SteadyClock
) -> None:
    token = create_key(path, GRANT, clock)
    secret = token.rpartition("_")[2]

    for file in (path, pepper_path(path)):
        assert secret.encode() not in file.read_bytes()
        assert bytes.fromhex(secret) not in file.read_bytes()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(file.name for file in path.parent.iterdir()) == ["keys.json", "keys.pepper"]


def test_a_key_says_who_and_what_and_whose(path: Path, clock: SteadyClock) -> None:
    token = create_key(path, GRANT, clock)

    principal = Keyring(path, clock).principal(f"Bearer {token}")

    assert (principal.name, principal.scopes) == ("mina", READER)
    assert principal.sees("A-1")
    assert not principal.sees("A-2")


def test_keys_come_and_go_within_a_second_without_a_restart(path: Path, clock: SteadyClock) -> None:
    keyring = Keyring(path, clock)
    token = create_key(path, GRANT, clock)
    assert not is_good(keyring, token)

    clock.at += 1_000
    assert is_good(keyring, token)

    revoke_key(path, read_keys(path)[0].id)
    assert is_good(keyring, token)
    clock.at += 1_000
    assert not is_good(keyring, token)


def test_a_key_ends_when_it_says(path: Path, clock: SteadyClock) -> None:
    token = create_key(path, GRANT._replace(expires_at=clock.at + 500), clock)
    keyring = Keyring(path, clock)

    assert is_good(keyring, token)
    clock.at += 500
    assert not is_good(keyring, token)


def test_both_keys_open_until_the_grace_of_a_rotation_is_over(
    path: Path, clock: SteadyClock
) -> None:
    old = create_key(path, GRANT, clock)
    keyring = Keyring(path, clock)
    new, ending = rotate_key(path, read_keys(path)[0].id, clock, grace_ms=5_000)
    clock.at += 1_000

    assert (is_good(keyring, old), is_good(keyring, new)) == (True, True)
    assert ending.expires_at == OPENS_AT + 5_000
    clock.at += 4_000
    assert (is_good(keyring, old), is_good(keyring, new)) == (False, True)
    assert keyring.principal(f"Bearer {new}").scopes == READER


@pytest.mark.parametrize(
    "slip",
    [
        lambda _: b"{",
        lambda sound: sound.replace(b'"mina"', '"Zoë"'.encode("latin-1")),
    ],
)
def test_a_slip_of_the_editor_locks_nobody_out(
    path: Path, clock: SteadyClock, slip: Callable[[bytes], bytes]
) -> None:
    token = create_key(path, GRANT, clock)
    keyring = Keyring(path, clock)
    path.write_bytes(slip(path.read_bytes()))
    clock.at += 1_000

    assert is_good(keyring, token)
    assert keyring.trouble
    with pytest.raises(BadKeyFile):
        Keyring(path, clock)


def test_a_pepper_that_others_can_read_stops_the_start(path: Path, clock: SteadyClock) -> None:
    create_key(path, GRANT, clock)
    pepper_path(path).chmod(0o640)

    with pytest.raises(BadKeyFile, match="0600"):
        Keyring(path, clock)


@pytest.mark.parametrize("name", ["openbell", "oidc:mina"])
def test_nobody_is_called_what_another_is(path: Path, clock: SteadyClock, name: str) -> None:
    with pytest.raises(ValueError, match=name[:5]):
        create_key(path, GRANT._replace(name=name), clock)
    assert read_keys(path) == []


def test_a_scope_that_we_do_not_know_is_refused(path: Path, clock: SteadyClock) -> None:
    with pytest.raises(ValueError, match="admin:all"):
        create_key(path, GRANT._replace(scopes=frozenset({"admin:all"})), clock)

    create_key(path, GRANT, clock)
    path.write_text(path.read_text().replace("orders:read", "orders:all"))
    with pytest.raises(BadKeyFile):
        Keyring(path, clock)


def test_every_door_has_a_lock_but_those_that_need_none(gateway: Gateway) -> None:
    routes = gateway.client.app.routes  # type: ignore[attr-defined]
    doors = [route for route in routes if isinstance(route, Door)]
    open_doors = {door.path for door in doors if door.spec.scope is None}

    assert len(doors) == len(routes)
    assert open_doors == {
        "/livez",
        "/readyz",
        "/startupz",
        "/metrics",
        "/errors/{code}",
        "/asyncapi.json",
        "/openapi.json",
        "/docs",
        # Without a session these are the sign-in: tests/web/console holds them to it.
        "/console",
        "/console/audit",
        "/console/login",
        "/console/logout",
        "/console/orders",
        "/console/orders.csv",
        "/console/orders/{order_id}",
        "/console/static/{name}",
        "/hooks/alertmanager",
        "/hooks/brokers/{broker_id}",
        "/hooks/generic",
        "/hooks/grafana",
    }
    assert all(door.spec.audited for door in doors if _changes_the_house(door))


def _changes_the_house(door: Door) -> bool:
    return door.path.startswith("/admin") and door.spec.method != "GET"


def test_no_door_opens_without_its_scope(gateway: Gateway) -> None:
    """Each route, with a key that has every scope but the one that it needs."""
    for door in _locked(gateway):
        assert door.spec.scope
        key = gateway.key(scopes=READER | CLIENT_SCOPES | {"admin:keys"} - {door.spec.scope})
        if door.spec.scope in CLIENT_SCOPES:
            key = gateway.key(scopes=frozenset({"admin:keys"}))
        path = door.path.replace("{", "").replace("}", "")

        bare = gateway.client.request(door.spec.method, path, json={})
        poor = gateway.client.request(door.spec.method, path, json={}, headers=key)

        assert (bare.status_code, poor.status_code) == (401, 403), door.path


def _locked(gateway: Gateway) -> Iterator[Door]:
    for route in gateway.client.app.routes:  # type: ignore[attr-defined]
        if isinstance(route, Door) and route.spec.scope is not None:
            yield route


def test_what_belongs_to_another_account_is_not_there(gateway: Gateway) -> None:
    """A foreign order answers exactly as one that nobody has, at every door that takes an id."""
    owner, stranger = gateway.key("owner"), gateway.key("stranger", accounts=("A-2",))
    order = gateway.client.post("/v1/orders", json=an_order(), headers=owner).json()
    run(put_in_doubt(gateway.ledger))
    foreign, nobody = order["order_id"], order["order_id"][:-1] + "Z"
    body = {"reason": "look at it", "evidence": "saw it there"}
    resolve = body | {"attempt_id": f"{foreign}01", "verdict": "accepted"}
    approved = stranger | {"X-Approver-Key": owner["Authorization"].removeprefix("Bearer ")}
    doors: list[tuple[str, str, dict[str, object]]] = [
        ("GET", "/v1/orders/{}", {}),
        ("GET", "/v1/orders/{}/events", {}),
        ("GET", "/v1/orders/{}/executions", {}),
        ("DELETE", "/v1/orders/{}", {}),
        ("PATCH", "/v1/orders/{}", {"json": {"quantity": "1"}}),
        ("GET", "/admin/v1/orders/{}", {}),
        ("GET", "/admin/v1/orders/{}/attempts", {}),
        ("POST", "/admin/v1/in-doubt/{}/probe", {"json": {"reason": "look at it"}}),
        ("POST", "/admin/v1/in-doubt/{}/resolve", {"json": resolve}),
    ]

    for method, path, more in doors:
        replies = []
        for order_id in (foreign, nobody):
            reply = gateway.client.request(
                method,
                path.format(order_id),
                headers=approved | {"If-Match": '"v1"', "X-Request-ID": "r-1"},
                **more,  # type: ignore[arg-type]
            )
            assert reply.status_code == 404, path
            replies.append(reply.text.replace(order_id, ""))
        assert replies[0] == replies[1], path
    assert gateway.client.get("/admin/v1/in-doubt", headers=stranger).json() == {"data": []}
    assert len(gateway.client.get("/admin/v1/in-doubt", headers=owner).json()["data"]) == 1


@pytest.mark.parametrize(
    "path",
    [
        "/v1/orders?account_id=A-1",
        "/v1/accounts/A-1/orders",
        "/v1/accounts/A-1/summary",
        "/v1/accounts/A-1/orders/by-client-order-id/c-1",
    ],
)
def test_a_foreign_account_is_not_there(gateway: Gateway, path: str) -> None:
    gateway.client.post("/v1/orders", json=an_order(), headers=gateway.key())

    reply = gateway.client.get(path, headers=gateway.key(accounts=("A-2",)))

    assert (reply.status_code, reply.json()["code"]) == (404, "not-found")


def test_an_order_for_a_foreign_account_is_not_taken(gateway: Gateway) -> None:
    reply = gateway.client.post(
        "/v1/orders",
        json=an_order(trading_session_id=SESSION),
        headers=gateway.key(accounts=("A-2",)),
    )

    assert (reply.status_code, reply.json()["code"]) == (404, "not-found")
    assert gateway.events() == []


def test_the_file_can_be_read_by_a_person(path: Path, clock: SteadyClock) -> None:
    create_key(path, GRANT, clock)

    (key,) = json.loads(path.read_text())["keys"]
    assert (key["name"], key["scopes"], key["accounts"]) == ("mina", ["orders:read"], ["A-1"])
