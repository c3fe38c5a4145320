"""The whole page around the panels: header, banner, frame, dialogs; and the small pages.

Everything that moves stands in an element with `data-panel`; the script puts the stream's HTML
there and touches nothing else, so focus and a half-written reason survive each tick. Without
the script the page is right as well, and asks for itself again every five seconds.
"""

from collections.abc import Mapping
from typing import Final
from zoneinfo import ZoneInfo

from app.web.console.markup import Piece, Safe, join, tag
from app.web.console.shapes import clock
from app.web.console.sight import Sight, Viewer

DOCTYPE: Final = Safe("<!doctype html>")
STATIC: Final = "/console/static"
KEYS: Final = (
    ("?", "this help"),
    ("1 to 9", "choose a broker"),
    ("e", "arm + and - for five seconds"),
    ("+ -", "one step of the chosen broker's rate, when armed"),
    ("s", "set the chosen broker's rate"),
    ("u", "undo the last change"),
    ("p", "pause or resume the chosen broker"),
    ("f", "fail over"),
    ("h", "halt"),
    ("/", "find an order"),
    ("g then o b t d a", "go to overview, brokers, timeline, in doubt, tuning"),
    ("z", "times in Seoul, at the exchange, in UTC"),
    ("l", "light or dark"),
    (".", "freeze the screen"),
    ("Esc", "close"),
)
_TITLES: Final = (
    ("session", "Session"),
    ("drain", "Drain"),
    ("brokers", "Brokers"),
    ("doubts", "In doubt"),
    ("timeline", "Timeline"),
    ("pipelines", "Checks and pipelines"),
    ("tuning", "Tuning history"),
)


def console_page(sight: Sight, viewer: Viewer, drawn: Mapping[str, str]) -> str:
    """Return the console as it is at this moment."""
    main = tag(
        "main",
        _live("banner", drawn, role="status", aria_live="polite"),
        tag("div", [_section(name, title, drawn) for name, title in _TITLES], class_="grid"),
        id="main",
    )
    return _document(
        "openbell",
        tag("a", "Skip to the brokers", href="#brokers", class_="skip"),
        _header(sight, viewer, drawn),
        main,
        _footer(drawn),
        _dialog(),
        _help(),
        tag("div", id="toast", role="status", aria_live="assertive"),
        script=True,
    )


def login_page(why: str = "") -> str:
    """Return the door: one field, for an operator's key."""
    return _document(
        "openbell: sign in",
        tag(
            "main",
            tag("h1", "openbell"),
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
    return _document("openbell", tag("main", tag("p", "One moment…")), again_s=0)


def plain_page(title: str, *inside: Piece) -> str:
    """Return a page that does not move, with the way back."""
    back = tag("p", tag("a", "← Console", href="/console"))
    form = find_form()
    return _document(
        title, tag("main", back, form, tag("h1", title), *inside, class_="plain"), script=True
    )


def find_form(query: str = "") -> Safe:
    return tag(
        "form",
        tag("label", "Find", for_="find", class_="hidden"),
        tag(
            "input",
            id="find",
            name="q",
            type="search",
            value=query,
            placeholder="order id, account, or account/client id",
            maxlength=200,
            autocomplete="off",
        ),
        tag("button", "Find", type="submit"),
        action="/console/orders",
        method="get",
        role="search",
    )


def _document(title: str, *body: Piece, script: bool = False, again_s: int | None = None) -> str:
    refresh = None
    if again_s is not None:
        refresh = tag("meta", http_equiv="refresh", content=f"{again_s}; url=/console")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        refresh,
        tag("title", title),
        tag("link", rel="icon", href=f"{STATIC}/bell.svg", type="image/svg+xml"),
        tag("link", rel="stylesheet", href=f"{STATIC}/console.css"),
        tag("script", src=f"{STATIC}/console.js", defer=True) if script else None,
    )
    return join(DOCTYPE, tag("html", head, tag("body", *body), lang="en"))


def _live(name: str, drawn: Mapping[str, str], **attributes: str) -> Safe:
    return tag("div", Safe(drawn.get(name, "")), id=name, data_panel=name, **attributes)


def _section(name: str, title: str, drawn: Mapping[str, str]) -> Safe:
    heading = tag("h2", title, id=f"{name}-title")
    panel = _live(name, drawn)
    return tag("section", heading, panel, class_=f"panel {name}", aria_labelledby=f"{name}-title")


def _header(sight: Sight, viewer: Viewer, drawn: Mapping[str, str]) -> Safe:
    return tag(
        "header",
        tag("h1", "openbell"),
        _live("verdict", drawn),
        tag("span", "not live", id="live", class_="mark off"),
        tag("span", [_clocks(sight)], class_="clocks", data_at=sight.at),
        tag(
            "form",
            tag("span", viewer.name, title=" ".join(sorted(viewer.scopes))),
            " ",
            tag("button", "◐", type="button", id="theme", title="light or dark (l)"),
            tag("button", "?", type="button", id="keys", title="keys (?)"),
            tag("button", "Sign out", type="submit"),
            method="post",
            action="/console/logout",
            class_="who",
        ),
        tag("noscript", tag("p", "No script runs here: reload to see what has changed.")),
        class_="top",
    )


def _clocks(sight: Sight) -> list[Safe]:
    market = sight.session.market if sight.session else ""
    zone = sight.markets.get(market, "UTC")
    return [
        tag(
            "span",
            f"{label} ",
            tag("b", clock(sight.at, ZoneInfo(name)), data_clock=name, data_label=label),
        )
        for label, name in (("KST", "Asia/Seoul"), (market or "exchange", zone), ("UTC", "UTC"))
    ]


def _footer(drawn: Mapping[str, str]) -> Safe:
    return tag(
        "footer",
        _live("halt", drawn),
        tag(
            "label",
            "Why ",
            tag(
                "input",
                id="reason",
                type="text",
                maxlength=500,
                minlength=5,
                autocomplete="off",
                placeholder="reason for small steps, kept in the audit log",
            ),
            class_="why",
        ),
        find_form(),
        class_="bottom",
    )


def _dialog() -> Safe:
    """Return the one dialog: the script fills it from the button that was pressed."""
    return tag(
        "dialog",
        tag(
            "form",
            tag("h2", id="act-title"),
            tag("p", id="act-says"),
            tag("div", id="act-fields"),
            tag("div", id="act-preview", class_="preview", aria_live="polite"),
            tag(
                "label",
                "Reason",
                tag("input", id="act-reason", type="text", minlength=5, maxlength=500),
                class_="field",
            ),
            tag(
                "label",
                tag("span", id="act-typed-label"),
                tag("input", id="act-typed", type="text", autocomplete="off", spellcheck="false"),
                class_="field",
                id="act-typed-row",
            ),
            tag("p", id="act-trouble", class_="mark critical", role="alert"),
            tag(
                "div",
                tag("button", "Cancel", type="button", id="act-cancel"),
                tag("button", "Do it", type="submit", id="act-go"),
                class_="acts",
            ),
            id="act-form",
            method="dialog",
        ),
        id="act",
        aria_labelledby="act-title",
    )


def _help() -> Safe:
    rows = [tag("tr", tag("th", tag("kbd", key)), tag("td", what)) for key, what in KEYS]
    return tag(
        "dialog",
        tag("h2", "Keys", id="help-title"),
        tag("table", tag("tbody", rows)),
        tag("p", "No single key changes anything: + and - count only when armed.", class_="small"),
        tag("form", tag("button", "Close", type="submit"), method="dialog"),
        id="help",
        aria_labelledby="help-title",
    )
