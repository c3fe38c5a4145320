"""Holds orders back, lets them go, and ends one as an operator.

What is held keeps its place, and ends with its session: a hold has no time of its own. What no
broker may see a second time (a stray: a broker reported on an attempt that was settled as never
received) is held for good; the trap is to let it go because it looks like the others, so `held
--strays` lists those alone.
"""

from typing import Annotated, Final

import typer

from app.cli.asking.change import changes
from app.cli.asking.client import segment
from app.cli.asking.command import Call, verb
from app.cli.asking.complete import held_orders
from app.cli.asking.deed import Deed, Thing, declare
from app.cli.order.bulk import some

HELD: Final = "/admin/v1/orders/held"
PAGE_MAX: Final = 500
STRAY: Final = "stray-evidence"
AN_ORDER: Final = "01KAPK5R00W7D3Q8ZC1VYBX4N9"
OrderId = Annotated[
    str,
    typer.Argument(help="The order (37).", metavar="ORDER_ID", autocompletion=held_orders),
]
SOME: Final = {
    "hold": "Hold back every order of a scope that never left; first it is said how many.",
    "release": "Let every held order of a scope go; first it is said how many they are.",
}


def held(
    call: Call,
    *,
    account: Annotated[str | None, typer.Option(help="Only of this account (1).")] = None,
    strays: Annotated[
        bool, typer.Option("--strays", help="Only those that a broker knows and should not.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="Of so many, youngest first.")] = 1_000,
) -> None:
    """List the orders that are held, by whom or what, and since when."""
    rows = call.client.pages(HELD, limit, PAGE_MAX, account_id=account)
    call.show([row for row in rows if not strays or row["reason_code"] == STRAY])


def declare_holds(app: typer.Typer) -> None:
    """Add these verbs to the noun."""
    examples = ("order held", "order held --strays --json")
    verb(app, "held", role="operator", examples=examples)(held)
    declare(
        app,
        Thing(
            "order",
            "order_id",
            OrderId,
            lambda _, name: f"/admin/v1/orders/{segment(name)}",
            AN_ORDER,
        ),
        Deed(
            "hold",
            "Hold back an order that never left; it keeps its place, and ends with its session.",
            ("the customer asks us to wait", "a wrong price, OPS-12"),
            tries=True,
            after="openbell order release lets it go; openbell order held lists what is held",
        ),
        Deed(
            "release",
            "Let a held order go: to its bell, or to those that wait for a permit.",
            ("the customer says go", "OPS-12 is closed"),
            tries=True,
        ),
        Deed(
            "end",
            "End an order as an operator: at once if it never left, or ask its broker to.",
            ("the customer asks by telephone", "OPS-12"),
            door="cancel",
            tries=True,
        ),
    )
    for door, does in SOME.items():
        run = some(door)
        run.__doc__ = does
        word = f"{door}-many"
        changes(
            app,
            word,
            tries=True,
            examples=(
                f'order {word} --request-id {door}-1 --symbol AAPL --reason "news pending"',
                f'order {word} --request-id {door}-1 --symbol AAPL --reason "OPS-12" --expect 9',
            ),
        )(run)
