"""The console's pages as values: nothing hostile gets out of a text, nothing is left unsaid."""

from html.parser import HTMLParser

import pytest

from app.web.console.drain import drained
from app.web.console.judge import Grade, judged
from app.web.console.markup import Safe, join, tag, text
from app.web.console.page import console_page, login_page, plain_page
from app.web.console.panels import panels
from app.web.console.sight import Sight, Viewer
from tests.builders import OPENS_AT, a_lane
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
    a_row,
    a_sight,
    an_anomaly,
    an_evil_sight,
)


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

    for html in (page_of(an_evil_sight(), evil), login_page(EVIL), plain_page(EVIL, EVIL)):
        elements = Elements(html)
        names = {name for name, _ in elements.found}
        spelled = {name for _, attributes in elements.found for name in attributes}
        assert not names & {"img", "style", "iframe", "object"}
        assert all(s.get("src") == "/console/static/console.js" for s in elements.of("script"))
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
        (a_sight(book=a_book(doubts=(a_doubt(),))), Grade.CRITICAL, "1 in doubt, the oldest for"),
        (a_sight(book=a_book(doubts=(a_doubt(since=NOW),))), Grade.WARNING, "1 in doubt"),
        (a_sight(book=a_book(anomalies=(an_anomaly(),))), Grade.CRITICAL, "broker/nova"),
        (a_sight(book=a_book(controls={"nova": a_control(dispatch="paused")})), Grade.WARNING,
         "nova paused by settings"),
        (a_sight(lanes=(a_lane("nova", running=False, why_not="no lease"),)), Grade.WARNING,
         "not sending: no lease"),
        (a_sight(trouble="no answer"), Grade.CRITICAL, "cannot be read"),
        (a_sight(book=None), Grade.CRITICAL, "not read yet"),
        (a_sight(at=NOW + 9_000), Grade.WARNING, "was last read 9 s ago"),
        (a_sight(view_behind=None), Grade.WARNING, "the bus does not answer"),
        (a_sight(draining=True), Grade.CRITICAL, "is stopping"),
        (a_sight(session=None), Grade.CRITICAL, "knows no session"),
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
        "minus", "plus", "set", "pause", "failover", "halt",
    }  # fmt: skip
    assert not [a for a in Elements(page_of(sight, LOOKER)).of("button") if "data-act" in a]


def test_an_operator_sees_the_doubts_of_his_accounts_alone() -> None:
    doubts = (a_doubt(account_id="A-1"), a_doubt(account_id="B-2", order_id="other"))
    sight = a_sight(book=a_book(doubts=doubts))

    mine = panels(sight, OPERATOR._replace(accounts=frozenset({"A-1"})))["doubts"]

    assert "A-1" in mine
    assert "B-2" not in mine
    assert "1 in doubt" in mine


def test_the_audit_log_is_for_those_who_may_read_it() -> None:
    sight = a_sight(book=a_book(audit=(a_row(),), anomalies=(an_anomaly(),)))

    mine, his = panels(sight, OPERATOR), panels(sight, LOOKER)

    assert "desk asked, OPS-12" in mine["timeline"]
    assert "tps 500 → 800" in mine["timeline"]
    assert "desk asked, OPS-12" in mine["tuning"]
    assert "desk asked" not in his["timeline"] + his["tuning"]
    assert "broker.error_rate" in his["timeline"]


def test_the_drain_says_how_far_and_how_long() -> None:
    drain = drained(a_sight(), a_book())
    html = panels(a_sight(), OPERATOR)["drain"]

    assert drain is not None
    assert (drain.gone, drain.waiting, drain.total, drain.eta_s) == (700, 300, 1000, 3)
    assert "70 %" in html
    assert "00:00:03</strong> at what leaves now" in html


def test_before_the_bell_the_eta_counts_from_the_bell() -> None:
    sight = a_sight(at=OPENS_AT - 60_000, book=a_book(at=OPENS_AT - 60_000))

    drawn = panels(sight, OPERATOR)

    assert "after the bell, at what may leave" in drawn["drain"]
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
