"""The document around every page of the console: its head, and nothing from elsewhere.

The trap is a page that needs a stranger: each file that it names is one of ours.
"""

from typing import Final

from app.web.console.markup import Piece, Safe, join, tag

DOCTYPE: Final = Safe("<!doctype html>")
STATIC: Final = "/console/static"


def document(
    title: str,
    *body: Piece,
    script: bool = False,
    chart: bool = False,
    again_s: int | None = None,
) -> str:
    """Return a whole page; `again_s` leads to the console after so many seconds."""
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
        tag("link", rel="stylesheet", href=f"{STATIC}/uplot.css") if chart else None,
        tag("link", rel="stylesheet", href=f"{STATIC}/console.css"),
        tag("script", src=f"{STATIC}/uplot.js", defer=True) if chart else None,
        tag("script", src=f"{STATIC}/console.js", defer=True) if script else None,
    )
    return join(DOCTYPE, tag("html", head, tag("body", *body), lang="en"))
