"""What a stranger writes against the client that a generator made of our document.

It runs in the generator's own environment, where nothing of ours can be imported: it places an
order, reads it, and is refused one, each time with a typed answer. It prints what it saw.
"""

import json
import sys

from openbell_client import AuthenticatedClient  # type: ignore[import-not-found]
from openbell_client.api.client import (  # type: ignore[import-not-found]
    create_order,
    get_order,
    list_orders,
)
from openbell_client.models import (  # type: ignore[import-not-found]
    NewOrder,
    OrderTold,
    PageTold,
    Problem,
)


def main(url: str, key: str, example: str) -> None:
    body = json.loads(example)
    with AuthenticatedClient(base_url=url, token=key) as client:
        placed = create_order.sync(client=client, body=NewOrder.from_dict(body))
        assert isinstance(placed, OrderTold), placed
        read = get_order.sync(placed.order_id, client=client)
        assert isinstance(read, OrderTold), read
        page = list_orders.sync(client=client, account_id=placed.account_id)
        assert isinstance(page, PageTold), page
        refused = create_order.sync(
            client=client, body=NewOrder.from_dict({**body, "quantity": "11"})
        )
        assert isinstance(refused, Problem), refused
        lost = get_order.sync("nowhere", client=client)
        assert isinstance(lost, Problem), lost
    seen = [read.client_order_id, read.status, len(page.data), refused.code, lost.code]
    sys.stdout.write(json.dumps(seen))


main(*sys.argv[1:])
