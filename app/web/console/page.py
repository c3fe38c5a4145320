"""The whole page around the panels: header, banner, frame, dialogs.

Everything that moves stands in an element with `data-panel`; the script puts the stream's HTML
there and touches nothing else, so focus and a half-written reason survive each tick. Without
the script the page is right as well, and asks for itself again every five seconds.
"""

from collections.abc import Mapping
from typing import Final
from zoneinfo import ZoneInfo

from app.web.console.acts import MOVE, SETTLE, TUNE
from app.web.console.dialogs import act_dialog, keys_dialog
from app.web.console.document import document
from app.web.console.markup import Safe, tag
from app.web.console.second import APPROVE
from app.web.console.shapes import clock
from app.web.console.sight import Sight, Viewer
from app.web.console.small import (
    find_form,
    house_name,
    keys_button,
    theme_button,
    zones_of,
)

_TITLES: Final = (
    ("session", "Session"),
    ("drain", "Drain"),
    ("brokers", "Brokers"),
    ("doubts", "In doubt"),
    ("timeline", "Timeline"),
    ("tuning", "Tuning history"),
    ("pipelines", "Checks and pipelines"),
)


def console_page(sight: Sight, viewer: Viewer, drawn: Mapping[str, str]) -> str:
    """Return the console as it is at this moment."""
    main = tag(
        "main",
        _live("banner", drawn, role="region", aria_label="What is not well"),
        tag("div", [_section(name, title, drawn) for name, title in _TITLES], class_="grid"),
        id="main",
    )
    return document(
        f"{sight.environment} openbell".strip(),
        tag("a", "Skip to the brokers", href="#brokers", class_="skip"),
        _header(sight, viewer, drawn),
        main,
        _footer(viewer, drawn),
        act_dialog(),
        keys_dialog(),
        tag("div", id="toast", role="status", aria_live="assertive"),
        script=True,
        chart=True,
    )


def _live(name: str, drawn: Mapping[str, str], **attributes: str) -> Safe:
    return tag("div", Safe(drawn.get(name, "")), id=name, data_panel=name, **attributes)


def _section(name: str, title: str, drawn: Mapping[str, str]) -> Safe:
    heading = tag("h2", title, id=f"{name}-title")
    above = _filters() if name == "timeline" else None
    below = _chart() if name == "drain" else None
    return tag(
        "section",
        heading,
        above,
        _live(name, drawn),
        below,
        class_=f"panel {name}",
        aria_labelledby=f"{name}-title",
    )


def _chart() -> Safe:
    """Return the place of the chart; the script draws there, in what the stream says."""
    title = "Messages a second (solid) against what may leave (dashed), fifteen minutes"
    return tag(
        "figure",
        tag("div", id="chart", role="img", aria_label=title),
        tag("figcaption", "sent a second ━ · may leave ╌ · ", tag("span", id="chart-says")),
        class_="chart",
    )


def _filters() -> Safe:
    """Return the choice of what the timeline shows; it hides lines and asks nobody."""
    return tag(
        "fieldset",
        tag("legend", "Show", class_="hidden"),
        [
            tag(
                "label",
                tag("input", type="radio", name="story", value=value, checked=value == "all"),
                value,
            )
            for value in ("all", "automatic", "human", "critical")
        ],
        tag("button", "Copy for chat", type="button", id="copy", title="as text, newest first"),
        class_="filters",
    )


def _header(sight: Sight, viewer: Viewer, drawn: Mapping[str, str]) -> Safe:
    return tag(
        "header",
        house_name(sight.environment),
        # This is read out, for it changes seldom; in the banner an age changes each second.
        _live("verdict", drawn, role="status", aria_live="polite"),
        tag("span", "not live", id="live", class_="mark off"),
        tag("span", _clocks(sight), class_="clocks"),
        tag(
            "form",
            tag("span", viewer.name, title=" ".join(sorted(viewer.scopes))),
            " ",
            theme_button(),
            keys_button(),
            tag("button", "Sign out", type="submit"),
            method="post",
            action="/console/logout",
            class_="who",
        ),
        tag("noscript", tag("p", "No script runs here: reload to see what has changed.")),
        class_="top",
    )


def _clocks(sight: Sight) -> list[Safe]:
    """Write the time in Seoul, at the exchange of the night and in UTC."""
    return [
        tag(
            "span",
            f"{label} ",
            tag("b", clock(sight.at, ZoneInfo(name)), data_clock=name, data_label=label),
        )
        for label, name in zones_of(sight.markets, [one.market for one in sight.tonight])
    ]


def _footer(viewer: Viewer, drawn: Mapping[str, str]) -> Safe:
    why = tag(
        "label",
        "Why ",
        tag(
            "input",
            id="reason",
            type="text",
            maxlength=500,
            minlength=5,
            autocomplete="off",
            placeholder="reason for small steps, audited",
        ),
        class_="why",
    )
    return tag(
        "footer",
        _live("halt", drawn),
        why if any(viewer.may(scope) for scope in (TUNE, MOVE, SETTLE, APPROVE)) else None,
        find_form(),
        tag("a", "Find", href="/console/orders", class_="narrow"),
        class_="bottom",
    )
