"""HTML from values: whatever is not `Safe` is escaped, so that forgetting it is not possible.

`tag("td", order.symbol, title=order.order_id)`. The trap: text that is harmless as HTML and
lies to the eye. A reason may hold a mark that turns the direction of what follows it, and an
account id can look like another one; such marks, and control characters, are shown as what they
are.
"""

import json
import re
from collections.abc import Iterable
from html import escape
from typing import Final

# Control characters, and those that order, hide or join what stands beside them.
_HIDDEN: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"
    "\ud800-\udfff]"
)
SHOWN: Final = "\ufffd"
_NAME: Final = re.compile(r"[a-z][a-z0-9-]*")
_VOID: Final = frozenset({"br", "input", "link", "meta"})

Piece = str | int | float | None | Iterable["Piece"]
Attribute = str | int | float | bool | None


class Safe(str):
    """Finished HTML; made by `tag` and `join`, and by nobody from what was typed."""

    __slots__ = ()


def text(value: object) -> Safe:
    """Return any value as text that is nothing but text."""
    return Safe(escape(_HIDDEN.sub(SHOWN, str(value)), quote=True))


def join(*pieces: Piece) -> Safe:
    """Put pieces one after the other; None is nothing, a list is its pieces."""
    return Safe("".join(_piece(piece) for piece in pieces))


def tag(name: str, /, *inside: Piece, **attributes: Attribute) -> Safe:
    """Return an element. `class_` is class, `data_act` is data-act; True stands bare."""
    assert _NAME.fullmatch(name), name
    opened = f"<{name}{''.join(_attribute(n, v) for n, v in attributes.items())}>"
    if name in _VOID:
        assert not inside, f"{name} holds nothing"
        return Safe(opened)
    return Safe(f"{opened}{join(*inside)}</{name}>")


def as_json(value: object) -> str:
    """Return a value as JSON for an attribute, where it is escaped like any other text."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def _piece(piece: Piece) -> str:
    if piece is None:
        return ""
    if isinstance(piece, Safe):
        return piece
    if isinstance(piece, str | int | float):
        return text(piece)
    return "".join(_piece(one) for one in piece)


def _attribute(name: str, value: Attribute) -> str:
    spelled = name.rstrip("_").replace("_", "-")
    assert _NAME.fullmatch(spelled), spelled
    # What a browser would run has no place here: our own script listens instead.
    assert spelled != "style", "classes are in the style sheet"
    assert not spelled.startswith("on"), spelled
    if value is None or value is False:
        return ""
    return f" {spelled}" if value is True else f' {spelled}="{text(value)}"'
