"""Gives a message Slack's shape, within Slack's limits. Pure.

    header      what it is about
    section     what is left to do; what the gateway did; what is new
    section     route, from -> to, epoch, in doubt, backlog, ETA
    context     which rules saw what
    actions     links to the console

A payload that breaks one limit is refused whole, at the worst moment: so each text is cut here,
and what is least important goes first when all of it is too long. The words of operators and
brokers are escaped, or a reason of `<!channel>` would wake the company. Cutting looks at the
escaped text and never splits an escape.
"""

from typing import Any, Final

from app import codec
from app.alarms.message import Message

# Slack's own figures, but the last: a message was refused near 13,200 characters, undocumented.
BLOCKS_MAX: Final = 50
HEADER_MAX: Final = 150
TEXT_MAX: Final = 3_000
FIELDS_MAX: Final = 10
FIELD_MAX: Final = 2_000
ELEMENTS_MAX: Final = 10
BUTTONS_MAX: Final = 25
BUTTON_TEXT_MAX: Final = 75
URL_MAX: Final = 3_000
TOTAL_MAX: Final = 10_000
ELLIPSIS: Final = "…"
_ESCAPES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# One rule's line in small print: longer is not read there.
CONTEXT_MAX: Final = 400
_BMP: Final = 0xFFFF

Block = dict[str, Any]


def payload(message: Message) -> dict[str, Any]:
    """Return what stands in the body of a request, without a channel."""
    return {
        "text": cut(message.text, TEXT_MAX),
        "blocks": fitted(_blocks(message)),
        # No pictures of the console, and no guess at what a broker's words link to.
        "unfurl_links": False,
        "unfurl_media": False,
    }


def thread_text(message: Message) -> str:
    """Return what is new, as a reply under the message of the incident."""
    return cut("\n".join(message.news) or message.title, TEXT_MAX)


def cut(text: str, limit: int, *, escaping: bool = True) -> str:
    """Return the text escaped and at most `limit` long, with a mark where it was cut."""
    pieces = [_ESCAPES.get(c, c) if escaping else c for c in text]
    if sum(map(_length, pieces)) <= limit:
        return "".join(pieces)
    kept, room = [], limit - len(ELLIPSIS)
    for piece in pieces:
        room -= _length(piece)
        if room < 0:
            break
        kept.append(piece)
    return "".join(kept) + ELLIPSIS


def fitted(blocks: list[Block]) -> list[Block]:
    """Return the blocks that fit into one message: the first ones, they matter most."""
    kept = blocks[:BLOCKS_MAX]
    while len(kept) > 1 and length(kept) > TOTAL_MAX:
        # Links are short and last: what stands before them is the small print.
        small = next((i for i in range(len(kept) - 1, 0, -1) if kept[i]["type"] != "actions"), 0)
        kept.pop(small or -1)
    return kept


def length(blocks: list[Block]) -> int:
    """Return how long they are on the wire, which is more than their texts alone."""
    return len(codec.text(blocks))


def _length(piece: str) -> int:
    """Return the length as Slack may count it: what is beyond two bytes counts twice."""
    return sum(1 + (ord(c) > _BMP) for c in piece)


def _blocks(message: Message) -> list[Block]:
    title = cut(message.title, HEADER_MAX, escaping=False)
    blocks: list[Block] = [{"type": "header", "text": {"type": "plain_text", "text": title}}]
    blocks += _sections(message)
    if message.fields:
        shown = [_markdown(cut(f"*{name}*\n{value}", FIELD_MAX)) for name, value in message.fields]
        blocks.append({"type": "section", "fields": shown[:FIELDS_MAX]})
    if message.context:
        elements = [_markdown(cut(line, CONTEXT_MAX)) for line in message.context]
        blocks.append({"type": "context", "elements": elements[-ELEMENTS_MAX:]})
    buttons = [_button(label, url) for label, url in message.links if len(url) <= URL_MAX]
    if buttons:
        blocks.append({"type": "actions", "elements": buttons[:BUTTONS_MAX]})
    return blocks


def _sections(message: Message) -> list[Block]:
    """Return what is to be read, the most helpful first."""
    told = [
        ("*To do:* " if message.left else "", message.left),
        ("*Done:* " if message.did else "", message.did),
        ("", "\n".join(message.news)),
    ]
    texts = [mark + cut(text, TEXT_MAX - len(mark)) for mark, text in told if text]
    return [{"type": "section", "text": _markdown(text)} for text in texts]


def _markdown(text: str) -> Block:
    return {"type": "mrkdwn", "text": text}


def _button(label: str, url: str) -> Block:
    text = cut(label, BUTTON_TEXT_MAX, escaping=False)
    return {"type": "button", "text": {"type": "plain_text", "text": text}, "url": url}
