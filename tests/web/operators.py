"""What the operators' tests share: reading the audit log, and orders to operate on."""

from typing import Any

from tests.web.house import Gateway, an_order

ADMIN = "/admin/v1"


def seen(version: object) -> dict[str, str]:
    """Return the header of somebody who has seen this version."""
    return {"If-Match": f'"v{version}"'}


def seen_at(gateway: Gateway, path: str) -> dict[str, str]:
    """Return the header of somebody who has just looked there."""
    return {"If-Match": gateway.client.get(path, headers=gateway.key("eye")).headers["etag"]}


def sure(name: str) -> dict[str, str]:
    """Return the header of somebody who has typed what a step moves."""
    return {"X-Confirm": name}


def audit(gateway: Gateway) -> list[dict[str, Any]]:
    rows = gateway.client.get(f"{ADMIN}/audit", headers=gateway.key("auditor")).json()["data"]
    assert isinstance(rows, list)
    return rows


def reserve(gateway: Gateway, count: int) -> str:
    """Take so many orders for the coming session; return the last one's id."""
    key = gateway.key("client")
    order_id = ""
    for i in range(count):
        body = an_order(client_order_id=f"c-{i}")
        order_id = gateway.client.post("/v1/orders", json=body, headers=key).json()["order_id"]
    return order_id
