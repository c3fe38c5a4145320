"""The console's pages as values: nothing hostile gets out of a text, nothing is left unsaid."""

import asyncio
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest

from app.domain.anomaly import Observed, Subject, Threshold
from app.domain.failover import FailoverState, FailoverStep
from app.domain.proposal import ProposalState
from app.domain.records import Backlog, Health, Route
from app.domain.session import SessionPause
from app.domain.signs import Heard, Probe
from app.web.access.keyfile import SCOPES
from app.web.console.auditing import log_page
from app.web.console.chart import charted
from app.web.console.drain import drained
from app.web.console.grades import Grade
from app.web.console.judge import judged
from app.web.console.markup import Safe, join, tag, text
from app.web.console.paces import Paces, Second
from app.web.console.page import console_page
from app.web.console.panels import panels
from app.web.console.shapes import lasting
from app.web.console.sight import Sight, Viewer
from app.web.console.small import login_page, plain_page
from app.web.console.words import measured
from app.web.shapes import lane_shape
from tests.builders import OPENS_AT, a_lane
from tests.virtual import VirtualClock, run_virtual
from tests.web.console.sights import (
    EVIL,
    LOOKER,
    NOW,
    OPERATOR,
    a_book,
    a_control,
    a_doubt,
    a_failover,
    a_halt,
    a_lane_in_trouble,
    a_proposal,
    a_row,
    a_second,
    a_session,
    a_sight,
    an_anomaly,
    an_evil_sight,
)
from tests.web.stand_ins import StillFloor


class Elements(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((name, dict(attributes)))

    def of(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.found if found == name]


def page_of(sight: Sight, viewer: Viewer = OPERATOR) -> str:
    return console_page(sight, viewer, panels(sight, viewer))


def test_nothing_hostile_gets_out_of_any_field() -> None:
    evil = OPERATOR._replace(name=EVIL)

    pages = (page_of(an_evil_sight(), evil), login_page(EVIL, EVIL), plain_page(EVIL, EVIL))
    for html in pages:
        elements = Elements(html)
        names = {name for name, _ in elements.found}
        spelled = {name for _, attributes in elements.found for name in attributes}
        assert not names & {"img", "style", "iframe", "object"}
        ours = {f"/console/static/{name}.js" for name in ("console", "uplot")}
        assert {script.get("src") for script in elements.of("script")} <= ours
        assert not [name for name in spelled if name.startswith("on") or name == "style"]
        assert "<script>alert" not in html
        assert "\u202e" not in html
        assert "\x00" not in html
        assert "&lt;script&gt;alert(1)" in html


def test_each_text_of_the_records_stands_on_the_screen_escaped() -> None:
    drawn = panels(an_evil_sight(), OPERATOR)

    for name in ("verdict", "banner", "session", "brokers", "doubts", "timeline", "tuning"):
        assert "&lt;script&gt;alert(1)" in drawn[name], name
    assert drawn["pipelines"].count("&lt;script&gt;alert(1)") >= 8


def test_a_name_in_a_link_cannot_leave_its_path() -> None:
    doubt = a_doubt(order_id="../../v1/x?y#z")
    drawn = panels(a_sight(book=a_book(doubts=(doubt,))), OPERATOR)

    (link,) = Elements(drawn["doubts"]).of("a")
    assert link["href"] == "/console/orders/..%2F..%2Fv1%2Fx%3Fy%23z"


def test_markup_escapes_whatever_is_not_its_own() -> None:
    assert tag("p", "<b>", Safe("<b>"), title='"') == '<p title="&quot;">&lt;b&gt;<b></p>'
    assert join("a", None, ["<", 3]) == "a&lt;3"
    assert text("a\u200bb") == "a\ufffdb"
    with pytest.raises(AssertionError):
        tag("p", onclick="alert(1)")
    with pytest.raises(AssertionError):
        tag("p", style="color: red")


def test_a_calm_night_says_so() -> None:
    verdict = judged(a_sight())

    assert (verdict.grade, verdict.says) == (Grade.OK, "All is well")
    assert "● All is well" in page_of(a_sight()).replace("</span> ", " ").replace(
        '<span class="shape" aria-hidden="true">', ""
    )


@pytest.mark.parametrize(
    ("sight", "grade", "says"),
    [
        (a_sight(book=a_book(halts=(a_halt(),))), Grade.CRITICAL, "symbol AA, by lee"),
        (a_sight(lanes=(a_lane_in_trouble("nova"),)), Grade.CRITICAL, "breaker open: 61 %"),
        (a_sight(book=a_book(doubts=(a_doubt(),))), Grade.CRITICAL, "1 order, the oldest for"),
        (a_sight(book=a_book(doubts=(a_doubt(since=NOW),))), Grade.WARNING, "1 order,"),
        (a_sight(book=a_book(anomalies=(an_anomaly(),))), Grade.CRITICAL, "fails too often"),
        (a_sight(book=a_book(anomalies=(an_anomaly(subject=Subject("gateway", "outbox")),))),
         Grade.CRITICAL, "fails too often"),
        (a_sight(book=a_book(failovers=(a_failover(),))), Grade.WARNING, "XNYS: nova → sol, done"),
        (a_sight(book=a_book(controls={"nova": a_control(dispatch="paused")})), Grade.WARNING,
         "nova paused by settings"),
        (a_sight(lanes=(a_lane("nova", running=False, why_not="no lease"),)), Grade.WARNING,
         "not sending: no lease"),
        (a_sight(trouble="no answer"), Grade.WARNING, "cannot be read for 0 s"),
        (a_sight(at=NOW + 11_000, trouble="no answer"), Grade.CRITICAL, "cannot be read for 11 s"),
        (a_sight(book=None), Grade.CRITICAL, "not read yet"),
        (a_sight(at=NOW + 9_000), Grade.WARNING, "was last read 9 s ago"),
        (a_sight(view_behind=None), Grade.WARNING, "the bus does not answer"),
        (a_sight(draining=True), Grade.CRITICAL, "is stopping"),
        (a_sight(lanes=(a_lane("nova", running=False, circuit="open", why_not="x"),)),
         Grade.CRITICAL, "breaker open"),
        (a_sight(tonight=()), Grade.CRITICAL, "knows no session"),
    ],
)  # fmt: skip
def test_what_is_wrong_stands_first_and_in_words(sight: Sight, grade: Grade, says: str) -> None:
    verdict = judged(sight)

    assert verdict.grade is grade
    assert says in verdict.findings[0].says
    assert says in page_of(sight)


def test_each_mark_has_a_shape_and_a_word_and_not_only_a_colour() -> None:
    sight = a_sight(
        book=a_book(halts=(a_halt(),), doubts=(a_doubt(),), anomalies=(an_anomaly(),)),
        lanes=(a_lane_in_trouble("nova"),),
    )
    html = page_of(sight)

    for shape in "●▲■◆":
        assert f'aria-hidden="true">{shape}' in html or f" {shape}" in html or shape == "▲"
    assert html.count('class="shape"') >= 8


def test_who_may_not_is_not_offered_it() -> None:
    sight = a_sight(
        book=a_book(
            halts=(a_halt(),),
            doubts=(a_doubt(),),
            anomalies=(an_anomaly(),),
            failovers=(a_failover(),),
            controls={"nova": a_control(), "sol": a_control("sol")},
        )
    )

    offered = [a for a in Elements(page_of(sight)).of("button") if "data-act" in a]
    assert {a["data-key"] for a in offered if "data-key" in a} == {
        "minus", "plus", "set", "pause", "failover", "halt", "release",
    }  # fmt: skip
    looked = Elements(page_of(sight, LOOKER))
    assert not [a for a in looked.of("button") if "data-act" in a]
    assert "reason" not in {a.get("id") for a in looked.of("input")}


def test_a_paused_release_stands_in_the_banner_and_in_its_row() -> None:
    session = a_session().trading_session_id
    held = SessionPause(session, 2, paused=True, changed_by="lee", reason="index rebalance")
    last_week = held._replace(trading_session_id="XNYS-2026-02-23-REG")

    drawn = panels(a_sight(book=a_book(pauses=(last_week, held))), OPERATOR)
    calm = panels(a_sight(book=a_book(pauses=(held._replace(paused=False),))), OPERATOR)

    says = f"release of {session} paused by lee: index rebalance"
    assert drawn["banner"].count("paused by") == 1
    assert says in drawn["banner"]
    assert "</span> paused</span>" in drawn["session"]
    assert "unknown: nothing may leave" in drawn["drain"]
    assert "Release XNYS…" in drawn["session"]
    assert calm["banner"] == ""
    assert "Pause XNYS…" in calm["session"]


@pytest.mark.parametrize(
    "stopped",
    [
        {"halts": (a_halt(scope="all", target="all"),)},
        {"halts": (a_halt(scope="broker", target="nova"),)},
        {"halts": (a_halt(scope="route", target="XNYS"),)},
        {"controls": {"nova": a_control(dispatch="paused")}},
    ],
)
def test_what_is_stopped_promises_no_eta(stopped: dict[str, Any]) -> None:
    before = OPENS_AT - 60_000
    sight = a_sight(at=before, paces=(), book=a_book(at=before, **stopped))

    assert "unknown: nothing may leave" in panels(sight, OPERATOR)["drain"]


def test_a_proposal_waits_on_the_screen_of_whoever_may_decide_it() -> None:
    sight = a_sight(book=a_book(proposals=(a_proposal(), a_proposal(state=ProposalState.EXECUTED))))
    approver = Viewer("lee", SCOPES, frozenset({"*"}))

    mine, his = panels(sight, OPERATOR)["banner"], panels(sight, approver)["banner"]
    some = panels(sight, approver._replace(accounts=frozenset({"A-1"})))["banner"]

    assert his.count("mina proposes: release orders: rebalance is over") == 1
    assert ("Approve…" in his, "Decline" in his) == (True, True)
    assert "mina proposes" in mine  # who asked sees that it waits
    assert "Approve…" not in mine
    assert some == ""  # it may be about accounts that are not theirs


def test_an_operator_sees_the_doubts_of_his_accounts_alone() -> None:
    doubts = (a_doubt(account_id="A-1"), a_doubt(account_id="B-2", order_id="other"))
    sight = a_sight(book=a_book(doubts=doubts))

    mine = panels(sight, OPERATOR._replace(accounts=frozenset({"A-1"})))["doubts"]

    assert "A-1" in mine
    assert "B-2" not in mine
    assert "1 in doubt" in mine


def test_a_doubt_says_when_it_was_last_asked_about_and_what_was_heard() -> None:
    mine, foreign = a_doubt(account_id="A-1"), a_doubt(account_id="B-2", broker_order_key="key-02")
    heard = (Probe("key-01", NOW - 1_000, "absent 1 of 2 times"), Probe("key-02", NOW, "not yours"))
    lane = a_lane("nova", probes=heard)
    book = a_book(doubts=(mine, foreign))

    drawn = panels(a_sight(book=book, lanes=(lane,)), OPERATOR)["doubts"]
    his = OPERATOR._replace(accounts=frozenset({"A-1"}))
    unasked = panels(a_sight(book=book), his)["doubts"]

    assert ">23:30:59</time>: absent 1 of 2 times</td>" in drawn
    assert drawn.index("absent 1 of") < drawn.index("not yours")
    assert "not yours" not in str(lane_shape(lane))  # whoever asks for lanes sees each whole
    assert "not yours" not in panels(a_sight(book=book, lanes=(lane,)), his)["doubts"]
    assert "Last probe" not in unasked


def test_the_audit_log_is_for_those_who_may_read_it() -> None:
    sight = a_sight(book=a_book(audit=(a_row(),), anomalies=(an_anomaly(),)))

    mine, his = panels(sight, OPERATOR), panels(sight, LOOKER)

    assert "desk asked, OPS-12" in mine["timeline"]
    assert "set nova (rate 500 → 800)" in mine["timeline"]
    assert "desk asked, OPS-12" in mine["tuning"]
    assert "desk asked" not in his["timeline"] + his["tuning"]
    assert 'href="/console/audit"' in mine["timeline"]
    assert 'href="/console/audit"' not in his["timeline"]
    assert "broker.error_rate" in his["timeline"]


def test_a_page_of_the_audit_log_has_the_newest_first_and_only_words() -> None:
    old = a_row(sequence=101, via="api", ip="192.0.2.7")
    new = a_row(
        **dict.fromkeys(("actor", "action", "resource", "reason", "via", "ip"), EVIL),
        sequence=102,
        before=None,
        after=None,
    )
    auto = a_row(sequence=103, via=None, ip=None, action="denied.halt", resource="halt/all:")

    html = join(*log_page([old, new, auto]))

    assert re.findall(r"<td>#(\d+)</td>", html) == ["103", "102", "101"]
    for cell in ("set nova (rate 500 → 800)", ">192.0.2.7<", "refused: halted all", "api"):
        assert cell in html
    assert ">02 Mar 23:30:55</time>" in html
    assert 'href="/admin/v1/audit/export?after=100&amp;limit=3"' in html
    assert 'href="/console/audit?before=101"' in html
    assert "<script>alert" not in html
    assert html.count("&lt;script&gt;alert(1)") == 7
    assert "/admin/v1/audit/verify" in join(*log_page([]))


@pytest.mark.parametrize("why", ["at its rate", "too many unanswered", "no session is open"])
def test_a_lane_that_waits_as_it_should_is_no_warning(why: str) -> None:
    sent = 0 if why == "no session is open" else 480
    lane = a_lane("nova", running=False, why_not=why, sent_last_second=sent)

    assert judged(a_sight(lanes=(lane,))).grade is Grade.OK


def test_a_sick_broker_is_one_thing_to_look_at_and_says_what_helps() -> None:
    found = (an_anomaly(), an_anomaly(anomaly_id="an-2", rule_id="broker.in_doubt"))
    book = a_book(anomalies=found)
    led_away = a_book(anomalies=found, routes=(Route("XNYS", "sol", 5),))
    lanes = (a_lane_in_trouble("nova"),)

    (first, *_), (later, *_) = (
        judged(a_sight(book=one, lanes=lanes)).findings for one in (book, led_away)
    )

    assert judged(a_sight(book=book, lanes=lanes)).says == "1 thing needs you"
    assert (first.name, first.says) == (
        "Broker nova",
        "breaker open: 61 % failed, fails too often, leaves orders in doubt",
    )
    assert first.fix == "fail over, or wait for its next trial"
    assert later.fix == "no route leads to it any more: settle its doubts"


def test_what_is_said_twice_is_said_once() -> None:
    rules = ("broker.in_doubt", "broker.in_doubt_age", "broker.unreachable", "breaker.opened")
    found = tuple(an_anomaly(anomaly_id=rule, rule_id=rule) for rule in rules)
    lane = a_lane_in_trouble("nova")._replace(circuit_reason="the ping failed")

    first = judged(a_sight(book=a_book(anomalies=found), lanes=(lane,))).findings[0]

    assert first.says == "breaker open: the ping failed, doubts grow old"


def test_what_was_measured_is_said_as_people_say_it() -> None:
    late = an_anomaly(
        observed=Observed("age", 41.26, "s", 0.0, 3), threshold=Threshold(">=", 30.0, 20.0, 0.0)
    )
    once = late._replace(
        observed=Observed("open", 1.0, "circuits", 0.0, 1),
        threshold=Threshold(">=", 1.0, 0.0, 0.0),
    )

    told = [measured(one) for one in (an_anomaly(), late, once)]

    assert told == ["61 % ≥ 50 % over 10 s", "41.3 s ≥ 30", ""]


def test_a_lane_that_sends_nothing_for_want_of_answers_is_one() -> None:
    lane = a_lane("nova", running=False, why_not="too many unanswered", sent_last_second=0)

    assert judged(a_sight(lanes=(lane,))).grade is Grade.WARNING


def test_a_house_says_which_one_it_is_and_a_real_one_says_it_in_red() -> None:
    real, trial = (page_of(a_sight(environment=name)) for name in ("prod-kr", "demo"))

    assert '<span class="environment real">prod-kr</span>' in real
    assert "<title>prod-kr openbell</title>" in real
    assert '<span class="environment">demo</span>' in trial


def test_the_tuning_history_leads_back_to_each_rate_that_does_not_stand() -> None:
    book = a_book(controls={"nova": a_control(tps=800, version=4)}, audit=(a_row(),))

    html = panels(a_sight(book=book), OPERATOR)["tuning"]
    stands = panels(a_sight(book=a_book(audit=(a_row(),))), OPERATOR)["tuning"]

    (back,) = [json.loads(a["data-act"] or "") for a in Elements(html).of("button")]
    assert (back["version"], back["fields"][0]["value"], back["now"]) == (4, "500", 800)
    assert "Back to 500…" in html
    assert "Back to" not in stands


def test_the_drain_says_how_far_and_how_long() -> None:
    (drain,) = drained(a_sight(), a_book())
    html = panels(a_sight(), OPERATOR)["drain"]

    assert (drain.gone, drain.waiting, drain.total, drain.eta_s) == (700, 300, 1000, 3)
    assert "70 %" in html
    assert 'ETA <strong class="big">00:00:03</strong>' in html
    assert "100 a second leave" in html


def test_a_night_of_two_markets_is_through_when_the_last_one_is() -> None:
    both = (a_session(), a_session(trading_session_id="XNAS-2026-03-02-REG", market="XNAS"))
    lanes = (
        a_lane("nova", sent_last_second=100, tps_effective=500),
        a_lane("sol", sent_last_second=10, tps_effective=500),
    )
    book = a_book(
        controls={"nova": a_control(), "sol": a_control("sol")},
        routes=(Route("XNYS", "nova", 4), Route("XNAS", "sol", 1)),
        backlog=Backlog({}, {"XNYS": 100, "XNAS": 100}, {}, 0),
    )
    sight = a_sight(tonight=both, lanes=lanes, book=book, paces=())

    html = panels(sight, OPERATOR)["drain"]

    assert [one.eta_s for one in drained(sight, book)] == [1, 10]
    assert 'ETA <strong class="big">00:00:10</strong>' in html
    assert "<strong>200</strong> wait · 110 a second" in html
    assert "XNYS · XNAS" in panels(sight, OPERATOR)["session"]


def test_one_slow_second_does_not_turn_the_eta_over() -> None:
    paces = tuple(a_second(NOW - i * 1_000, 0 if i == 0 else 100) for i in reversed(range(10)))
    lane = a_lane("nova", sent_last_second=0, tps_effective=500)

    (drain,) = drained(a_sight(paces=paces, lanes=(lane,)), a_book())

    assert (drain.rate, drain.is_real, drain.eta_s) == (90, True, 4)


def test_a_broker_whose_breaker_is_open_promises_no_eta() -> None:
    lane = a_lane("nova", circuit="open", sent_last_second=0, tps_effective=500)

    html = panels(a_sight(lanes=(lane,), paces=()), OPERATOR)["drain"]

    assert "unknown: nothing may leave" in html


def test_the_chart_begins_whole_and_goes_on_second_by_second() -> None:
    paces = tuple(a_second(NOW - 3_000 + i * 1_000, 100 + i) for i in range(3))
    late = a_second(NOW + 9_000, 7)
    first = charted(a_sight(paces=paces), OPERATOR)
    second = charted(a_sight(paces=(*paces, late)), OPERATOR)

    assert first.whole() == {
        "whole": True,
        "begin": NOW - 3_000,
        "at": [0, 1, 2],
        "sent": [100, 101, 102],
        "limit": [500, 500, 500],
        "marks": (),
    }
    # Nobody noted ten seconds: a gap stands there, and no line over it.
    assert second.since(first) == {
        "begin": NOW,
        "at": [0, 9],
        "sent": [None, 7],
        "limit": [None, 500],
    }


def test_the_chart_tells_who_turned_what_to_those_who_may_read_it() -> None:
    book = a_book(
        halts=(a_halt(),), anomalies=(an_anomaly(),), failovers=(a_failover(),), audit=(a_row(),)
    )
    sight = a_sight(book=book)

    mine, his = (charted(sight, viewer) for viewer in (OPERATOR, LOOKER))

    assert [mark.says for mark in mine.marks] == [
        "HALT", "nova: fails too often", "nova 500 → 800", "nova → sol: done",
    ]  # fmt: skip
    assert "nova 500 → 800" not in [mark.says for mark in his.marks]


def test_a_failover_stands_on_the_chart_where_orders_went_another_way() -> None:
    steps = tuple(
        FailoverStep(state, NOW - 9_000 + i * 1_000)
        for i, state in enumerate(
            (FailoverState.CONFIRMED, FailoverState.FENCING, FailoverState.DONE)
        )
    )
    book = a_book(failovers=(a_failover(steps=steps),))

    (mark,) = charted(a_sight(book=book), OPERATOR).marks

    assert (mark.at, mark.says) == (NOW - 8_000, "nova → sol")


def test_the_pace_is_noted_once_a_second_whoever_looks() -> None:
    async def noted(clock: VirtualClock) -> tuple[Second, ...]:
        floor = StillFloor()
        paces = Paces(floor, clock)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(paces.run())
            for _ in range(20):
                await asyncio.sleep(0.25)
                paces.note(floor.lanes())
            running.cancel()
        return paces.seen()

    seconds = run_virtual(noted)

    gaps = {b.at - a.at for a, b in pairwise(seconds)}
    assert 5 <= len(seconds) <= 6
    assert gaps == {1_000}
    assert seconds[0].limit == {"nova": 480}


def test_before_the_bell_the_eta_counts_from_the_bell() -> None:
    sight = a_sight(at=OPENS_AT - 60_000, book=a_book(at=OPENS_AT - 60_000))

    drawn = panels(sight, OPERATOR)

    assert "will take <strong" in drawn["drain"]
    assert "500 a second may leave<" in drawn["drain"]
    assert "opens in <strong" in drawn["session"]
    assert ">00:01:00<" in drawn["session"]


def test_an_eta_is_unknown_while_nothing_may_leave() -> None:
    sight = a_sight(lanes=())

    assert "unknown: nothing may leave" in panels(sight, OPERATOR)["drain"]


def test_three_clocks_tell_three_zones() -> None:
    clocks = Elements(page_of(a_sight())).of("b")
    zones = [c["data-clock"] for c in clocks if "data-clock" in c]

    assert zones == ["Asia/Seoul", "America/New_York", "UTC"]
    assert ">23:31:00<" in page_of(a_sight())
    assert ">09:31:00<" in page_of(a_sight())


def test_a_card_says_what_its_broker_rejects_for_and_how_slow_its_slowest_answers_are() -> None:
    health = Health("nova", NOW, 9, 0.0, 41.2, False, True, True, None, None)
    lane = a_lane("nova", health=health, heard=Heard(66.6, (("lot", 1_200), ("<price>", 3))))

    drawn = panels(a_sight(lanes=(lane,)), OPERATOR)["brokers"]
    unheard = panels(a_sight(lanes=(a_lane("nova", health=health),)), OPERATOR)["brokers"]

    assert "<dt>p95 / p99</dt><dd>41 / 67 ms</dd>" in drawn
    assert "<dt>Rejected for</dt><dd>lot 1,200 · &lt;price&gt; 3</dd>" in drawn
    assert "<dt>p95 / p99</dt><dd>41 / \N{EN DASH} ms</dd>" in unheard
    assert "Rejected for" not in unheard
    shape = lane_shape(lane)
    assert shape is not None
    assert shape["heard"]["refusals"][0] == {"code": "lot", "count": 1_200}


def test_a_card_says_how_late_after_the_bell_its_orders_left() -> None:
    lane = a_lane("nova", open_to_send_p50_ms=12_416, open_to_send_p99_ms=80_000)

    drawn = panels(a_sight(lanes=(lane,)), OPERATOR)["brokers"]

    assert "<dt>Bell to send p50</dt><dd>12.4 s</dd>" in drawn
    assert "<dt>Bell to send p99</dt><dd>00:01:20</dd>" in drawn
    assert [lasting(ms) for ms in (0, 999, 1_000)] == ["0 ms", "999 ms", "1.0 s"]
    unsent = panels(a_sight(lanes=(a_lane("nova"),)), OPERATOR)["brokers"]
    assert "<dt>Bell to send p50</dt><dd>\N{EN DASH}</dd>" in unsent
