"""The small pages: the sign-in, and those that do not move.

A page that does not move says when it was drawn; it has the same keys as the console, and the
same dialog where something can be done on it.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from app.web.console.dialogs import act_dialog, keys_dialog
from app.web.console.document import document
from app.web.console.markup import Piece, Safe, tag
from app.web.console.shapes import moment

# A house by such a name is a real one, and says so in red.
PRODUCTION: Final = ("prod", "live")

# The exchange's own clock, where it is not Seoul's.
CITIES: Final = {
    "America/New_York": "New York",
    "Asia/Tokyo": "Tokyo",
    "Asia/Hong_Kong": "Hong Kong",
    "Europe/London": "London",
}


def login_page(why: str = "", environment: str = "") -> str:
    """Return the door: one field, for an operator's key, and which house it opens."""
    return document(
        f"{environment} openbell: sign in".strip(),
        tag(
            "main",
            house_name(environment),
            tag("p", why, class_="mark critical", role="alert") if why else None,
            tag(
                "form",
                tag("label", "Operator key", for_="key"),
                tag(
                    "input",
                    id="key",
                    name="key",
                    type="password",
                    autocomplete="current-password",
                    required=True,
                    autofocus=True,
                    maxlength=200,
                ),
                tag("button", "Sign in", type="submit"),
                tag("p", "A key with admin:read: openbell key create", class_="small"),
                method="post",
                action="/console/login",
            ),
            class_="login",
        ),
    )


def again_page() -> str:
    """Return a page that asks for the console from here.

    A link in a chat comes from another site, and a strict cookie stays at home then; what our
    own page asks for carries it.
    """
    return document("openbell", tag("main", tag("p", "One moment…")), again_s=0)


class Around(NamedTuple):
    """What stands around a page that does not move."""

    environment: str
    at: int  # when it was drawn
    zones: tuple[tuple[str, str], ...]  # the clocks of the console, by their labels
    query: str = ""
    day: str = ""


NOWHERE: Final = Around("", 0, ())


def plain_page(title: str, *inside: Piece, around: Around = NOWHERE) -> str:
    """Return a page that does not move, with the way back; what it shows says how old it is."""
    drawn = [tag("span", "As of ", moment(around.at), " · ", tag("a", "reload", href=""))]
    header = tag(
        "header",
        tag("strong", "openbell", *_of_house(around.environment), class_="house"),
        tag("a", "← Console", href="/console"),
        tag("span", drawn if around.at else None, class_="age"),
        [
            tag("span", data_clock=zone, data_label=label, hidden=True)
            for label, zone in around.zones
        ],
        tag("span", theme_button(), keys_button(), class_="who"),
        class_="top",
    )
    return document(
        title,
        header,
        tag(
            "main",
            find_form(around.query, around.day),
            tag("h1", title),
            *inside,
            class_="plain",
        ),
        act_dialog(),
        keys_dialog(),
        tag("div", id="toast", role="status", aria_live="assertive"),
        script=True,
    )


def theme_button() -> Safe:
    return tag("button", "◐", type="button", id="theme", title="light or dark (l)")


def keys_button() -> Safe:
    return tag("button", "?", type="button", id="keys", title="keys (?)")


def house_name(environment: str) -> Safe:
    """Say which house this is: the wrong one is turned when two look alike."""
    return tag("h1", "openbell", *_of_house(environment))


def _of_house(environment: str) -> tuple[Piece, ...]:
    if not environment:
        return ()
    real = environment.lower().startswith(PRODUCTION)
    named = tag("span", environment, class_="environment real" if real else "environment")
    return " ", tag("span", "▸ ", aria_hidden="true"), named


def zones_of(markets: Mapping[str, str], tonight: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return the three clocks: Seoul's, the exchange's of the night, and UTC."""
    nights = [markets.get(market, "UTC") for market in tonight]
    known = [*nights, *markets.values()]
    exchange = next((zone for zone in known if zone in CITIES), "America/New_York")
    return (("KST", "Asia/Seoul"), (CITIES[exchange], exchange), ("UTC", "UTC"))


def find_form(query: str = "", day: str | None = None) -> Safe:
    """Return the search; with a day, also of which trade date a symbol's orders are wanted."""
    dated = None
    if day is not None:
        dated = tag(
            "label",
            "trade date",
            tag("input", name="day", type="date", value=day, title="trade date, for a symbol"),
            class_="day",
        )
    return tag(
        "form",
        tag("label", "Find an order", for_="find", class_="hidden"),
        tag(
            "input",
            id="find",
            name="q",
            type="search",
            value=query,
            placeholder="order id, account, account/client id, symbol",
            maxlength=200,
            autocomplete="off",
        ),
        dated,
        tag("button", "Find", type="submit"),
        action="/console/orders",
        method="get",
        role="search",
    )
