"""The words help on a telephone, and Slack's limits hold for whatever strangers write."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.alarms.digest import Digest, Edge
from app.alarms.message import Message, compose, compose_many
from app.alarms.news import Level, read
from app.alarms.payload import TEXT_MAX, TOTAL_MAX, cut, length, payload
from app.alarms.waiting import Ticket
from app.ports.bus import Event
from tests.alarms.fake_slack import broken_limit
from tests.alarms.words import NOW, anomaly_event, audit_event, failover_event


def told(*events: Event, console_url: str | None = None) -> Message:
    """Return the message after these events, all of them new."""
    digest = Digest()
    lines = []
    name = ""
    for event in events:
        news = read(event)
        assert news is not None
        heard = digest.hear(news, NOW)
        if isinstance(heard, Edge):
            lines.append(heard.line)
        name = news.incident_id
    ticket = Ticket(name, Level.WARNING, 0.0, 0.0, lines=lines)
    return compose(digest.incidents[name], ticket, console_url)


def test_a_switch_is_told_with_what_it_did_and_what_is_left_to_do() -> None:
    steps = [
        {"state": "suspected", "at": "2026-03-02T14:29:00.000Z"},
        {"state": "fencing", "at": "2026-03-02T14:29:08.500Z"},
        {"state": "done", "at": "2026-03-02T14:29:40.000Z"},
    ]
    message = told(
        anomaly_event("escalated"),
        failover_event("done", moved=1204, pinned=37, steps=steps),
    )

    assert message.title == "CRITICAL: route us moved from b1 to b2"
    assert "moved 1204 orders that were never sent to b2; 37 in doubt stay at b1" in message.did
    assert "suspected +0.0 s, fencing +8.5 s, done +40.0 s" in message.did
    assert "Settle the 37 in doubt at b1: openbell doubt list." in message.left
    assert "openbell anomaly ack an-1" in message.left
    assert dict(message.fields) == {
        "Route": "us",
        "From -> to": "b1 -> b2",
        "Epoch": "18",
        "In doubt, pinned": "37",
        "Backlog": "1204",
        "ETA": "90 s",
        "Since": "2026-03-02T14:29:00.000Z",
    }
    assert "error_ratio 0.71 ratio over 10 s, n = 412, raised at >= 0.2" in message.context[0]
    assert "witnesses submit, ping" in message.context[0]


@pytest.mark.parametrize(
    ("reason", "todo"),
    [
        ("locked", "lift the lock"),
        ("cooldown", "goes on by itself"),
        ("automation_off", "decide by hand"),
        ("unacknowledged", "Acknowledge the last failover"),
        ("something new", "Decide by hand."),
    ],
)
def test_a_held_switch_says_what_would_let_it_go(reason: str, todo: str) -> None:
    message = told(failover_event("held", held_by=[reason]))

    assert message.title == "CRITICAL: route us stays at b1, its failover is held"
    assert f"holds still: {reason}" in message.did
    assert todo in message.left


def test_a_switch_that_is_held_after_the_fence_does_not_say_that_nothing_moved() -> None:
    steps = [{"state": state, "at": NOW} for state in ("fencing", "ramping", "held")]
    message = told(failover_event("held", held_by=["target_bad"], steps=steps, pinned=2))

    assert message.title == "CRITICAL: route us is at b2 now, and held there"
    assert "Settle the 2 in doubt at b1" in message.left
    assert "The new broker is bad too" in message.left


def test_a_halt_by_the_gateway_pages() -> None:
    message = told(failover_event("halted", to_broker=None, reason="both brokers bad"))

    assert message.title == "PAGE: route us is halted, no broker can take its orders"
    assert "Orders stay queued and durable." in message.did
    assert "Bring one broker back" in message.left


def test_what_is_over_leaves_nothing_to_do() -> None:
    message = told(anomaly_event(), anomaly_event("resolved", 2))

    assert message.title.startswith("OVER: broker/b1")
    assert message.left == "Nothing."


def test_a_drill_says_so_first_and_a_real_trouble_in_it_does_not() -> None:
    drill = told(anomaly_event(drill=True), failover_event("fencing", drill=True))
    mixed = told(anomaly_event(drill=False), failover_event("fencing", drill=True))

    assert drill.title.startswith("DRILL CRITICAL: ")
    assert drill.text.startswith("DRILL ")
    assert payload(drill)["blocks"][0]["text"]["text"].startswith("DRILL ")
    assert not mixed.title.startswith("DRILL")


def test_links_lead_to_the_console_if_there_is_one() -> None:
    event = failover_event("done", pinned=1)
    with_links = payload(told(event, console_url="https://gw.example/console/"))
    buttons = with_links["blocks"][-1]

    assert told(event).links == ()
    assert buttons["type"] == "actions"
    assert [b["url"] for b in buttons["elements"]] == [
        "https://gw.example/console#incident=in-1",
        "https://gw.example/console#route=us",
        "https://gw.example/console#in-doubt",
    ]


def test_an_operators_words_cannot_wake_the_company() -> None:
    body = payload(told(audit_event("halt", reason="<!channel> & <@U1>")))

    shown = str([block for block in body["blocks"] if block["type"] != "header"]) + body["text"]
    assert "<!channel>" not in shown
    assert "&lt;!channel&gt; &amp; &lt;@U1&gt;" in shown


@pytest.mark.parametrize("limit", [10, 11, 12, 13, 14])
def test_a_cut_never_splits_an_escape(limit: int) -> None:
    text = cut("abcde&&&&&", limit)

    assert len(text) <= limit
    assert text.endswith("…")
    assert text.removesuffix("…").removeprefix("abcde").replace("&amp;", "") == ""


def test_many_incidents_are_one_message() -> None:
    ticket = Ticket("many", Level.CRITICAL, 0.0, 0.0, lines=["a", "b"], unsaid=3, incidents=5)
    message = compose_many(ticket)

    assert message.title == "CRITICAL: 5 further incidents"
    assert message.news == ("(and 3 before these)", "a", "b")


WORDS = st.text(max_size=300) | st.sampled_from(
    ["&" * 1_500, "<" * 200, "😀" * 2_000, "x" * 4_000, "\n"]
)


@settings(deadline=None, max_examples=12)
@given(
    title=st.text(min_size=1, max_size=500),
    news=st.lists(WORDS, max_size=25),
    did=WORDS,
    left=WORDS,
    fields=st.lists(st.tuples(WORDS, WORDS), max_size=15),
    context=st.lists(st.text(min_size=1, max_size=900), max_size=20),
)
def test_no_message_breaks_a_limit_of_slack(**parts: Any) -> None:
    tuples: dict[str, Any] = {
        name: tuple(it) if isinstance(it, list) else it for name, it in parts.items()
    }
    links = (("In doubt", "https://gw.example/" + "x" * 2_900), ("x" * 99, "https://e/" * 400))
    message = Message("in-1", Level.PAGE, False, links=links, **tuples)
    body = payload(message)

    assert broken_limit(body) is None
    assert length(body["blocks"]) <= TOTAL_MAX
    assert 0 < len(body["text"]) <= TEXT_MAX
    assert body["blocks"][0]["type"] == "header"
