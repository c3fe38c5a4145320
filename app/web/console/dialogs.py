"""The two dialogs of the page: the one that asks before it acts, and the keys.

Both are empty frames without a number in them: the script fills the first from the button that
was pressed, and asks for what the act wants.
"""

from typing import Final

from app.web.console.acts import templates
from app.web.console.markup import Safe, tag

KEYS: Final = (
    ("?", "this help"),
    ("1 to 9", "choose a broker"),
    ("e", "arm + and - for five seconds"),
    ("+ -", "one step of the chosen broker's rate, when armed"),
    ("s", "set the chosen broker's rate"),
    ("u", "undo the last change"),
    ("p", "pause or resume the chosen broker; without one, the release"),
    ("f", "fail over"),
    ("h", "halt"),
    ("c", "cancel the order, on its page"),
    ("/", "find an order"),
    ("g then o b t d r c", "go to overview, brokers, timeline, in doubt, rates, checks"),
    ("g then a", "the audit log, for keys that may read it"),
    ("z", "times in Seoul, at the exchange, in UTC"),
    ("l", "light or dark"),
    (".", "freeze the screen"),
    ("Esc", "close, or choose no broker"),
)


def act_dialog() -> Safe:
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
                tag("button", "Leave as it is", type="button", id="act-cancel"),
                tag("button", "Do it", type="submit", id="act-go"),
                class_="acts",
            ),
            id="act-form",
            method="dialog",
        ),
        list(templates()),
        id="act",
        aria_labelledby="act-title",
    )


def keys_dialog() -> Safe:
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
