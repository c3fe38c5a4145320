"""Keys by their doors: seen without what opens them, ended once and at once."""

from typing import Final

from app.web.access.keyfile import ROLES
from tests.web.house import READER, Gateway
from tests.web.operators import ADMIN, audit

PATH: Final = f"{ADMIN}/keys"
WHY: Final = {"reason": "it stood in a ticket"}
KEEPER: Final = frozenset({"admin:keys"})


def id_of(key: dict[str, str]) -> str:
    return key["Authorization"].split("_")[2]


def test_a_key_is_shown_without_what_opens_it_and_ended_at_once(gateway: Gateway) -> None:
    leaked = gateway.key("jun", ROLES["operator"])
    keeper = gateway.key("kim", KEEPER)
    url = f"{PATH}/{id_of(leaked)}"
    shown = gateway.client.get(url, headers=keeper)
    seen = keeper | {"If-Match": shown.headers["etag"]}
    would = gateway.client.post(f"{url}/revoke?dry_run=true", json=WHY, headers=seen).json()
    assert gateway.client.get(f"{ADMIN}/overview", headers=leaked).status_code == 200
    ended = gateway.client.post(f"{url}/revoke", json=WHY, headers=seen)
    again = gateway.client.post(f"{url}/revoke", json=WHY, headers=seen)

    assert (shown.json()["name"], shown.json()["role"]) == ("jun", "operator")
    assert not {"digest", "secret", "token"} & set(shown.json())
    assert (would["before"]["revoked"], would["after"]["revoked"]) == (False, True)
    assert (ended.status_code, ended.json()["revoked"], ended.headers["etag"]) == (
        200,
        True,
        '"v2"',
    )
    assert (again.status_code, again.json()["code"]) == (412, "stale-version")
    assert gateway.client.get(f"{ADMIN}/overview", headers=leaked).status_code == 401
    rows = [(row["actor"], row["action"], row["resource"]) for row in audit(gateway)]
    name = f"key/{id_of(leaked)}"
    assert rows == [
        ("kim", "key.revoke", name),
        ("kim", "denied.revoke_key", f"{url}/revoke"),
    ]


def test_keys_of_other_accounts_are_not_there(gateway: Gateway) -> None:
    mine = gateway.key("ann", READER, ("A-1",))
    foreign = gateway.key("bob", READER, ("A-1", "A-2"))
    keeper = gateway.key("kim", KEEPER, ("A-1",))
    listed = gateway.client.get(PATH, headers=keeper).json()["data"]
    url, seen = f"{PATH}/{id_of(foreign)}", keeper | {"If-Match": '"v1"'}

    assert {key["key_id"] for key in listed} == {id_of(mine), id_of(keeper)}
    assert gateway.client.get(url, headers=keeper).status_code == 404
    assert gateway.client.post(f"{url}/revoke", json=WHY, headers=seen).status_code == 404
    assert gateway.client.get(PATH, headers=mine).status_code == 403


def test_a_file_that_cannot_be_written_is_said_to_be_away(gateway: Gateway) -> None:
    leaked, keeper = gateway.key("jun"), gateway.key("kim", KEEPER)
    fresh = gateway.key_file.with_suffix(".new")
    fresh.mkdir()  # where the changed file would be put down
    url, seen = f"{PATH}/{id_of(leaked)}/revoke", keeper | {"If-Match": '"v1"'}
    reply = gateway.client.post(url, json=WHY, headers=seen)

    assert (reply.status_code, reply.json()["code"]) == (503, "store-away")
    assert gateway.client.get(f"{ADMIN}/overview", headers=leaked).status_code == 200

    fresh.rmdir()
    gateway.key_file.write_text("{")  # a slip of an editor: what stood there is still in force
    reply = gateway.client.post(url, json=WHY, headers=seen)
    assert (reply.status_code, reply.json()["code"]) == (503, "store-away")
