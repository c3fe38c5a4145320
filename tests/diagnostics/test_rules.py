"""A rule and its document are one; whatever is wrong with a document is said at once."""

import pytest

from app.diagnostics.rules import BadRule, document_of, rule_from
from app.diagnostics.shipped import SHIPPED
from app.domain.anomaly import Severity

SILENCE = SHIPPED["broker.reply_silence"]


def changed(**facts: object) -> dict[str, object]:
    return {"rule_id": "broker.reply_silence", **facts}


@pytest.mark.parametrize("rule_id", SHIPPED)
def test_what_is_written_is_read_back(rule_id: str) -> None:
    rule = SHIPPED[rule_id]

    assert rule_from(document_of(rule), SHIPPED) == rule
    assert rule_from({"rule_id": rule_id}, SHIPPED) == rule


def test_an_operator_changes_what_he_names_and_nothing_else() -> None:
    document = changed(version=7, warning={"raise_at": 5}, enabled=False)
    rule = rule_from(document, SHIPPED)

    assert (rule.version, rule.enabled, rule.levels[0]) == (7, False, SILENCE.levels[0])
    assert rule.levels[1] == SILENCE.levels[1]._replace(raise_at=5)


def test_a_level_is_left_out_by_null_and_added_by_its_numbers() -> None:
    without = rule_from(changed(critical=None), SHIPPED)
    added = rule_from(
        {"rule_id": "breaker.opened", "critical": {"raise_at": 1, "for_s": 120}}, SHIPPED
    )

    assert [level.severity for level in without.levels] == [Severity.WARNING]
    assert added.levels[0].severity is Severity.CRITICAL
    assert added.levels[0].for_s == 120


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ({}, "expected a rule_id among"),
        ({"rule_id": "broker.moods"}, "was 'broker.moods'"),
        ({"rule_id": ["x"]}, "expected a rule_id"),
        (changed(warning={"raise_at": "five"}), "warning.raise_at: expected a number from 0"),
        (changed(warning={"raise_at": True}), "warning.raise_at"),
        (changed(warning={"raise_at": float("nan")}), "warning.raise_at"),
        (changed(warning={"raise_at": -1}), "warning.raise_at"),
        (changed(warning={"raise_at": 10**400}), "was 1000"),  # no float holds it
        (changed(valid_for_s=2**60), "valid_for_s: expected a number from 0"),
        (changed(warning=5), "warning: expected an object"),
        (changed(warning={"window_s": 601}), "window_s: expected a number from 0 to 600"),
        (changed(warning={"colour": "red"}), "unknown ['colour']"),
        (changed(moods=1), "unknown ['moods']"),
        (changed(signal="error_ratio"), "is about 'silence_s', for ever"),
        (changed(action="panic"), "action: expected one of"),
        (changed(enabled="no"), "enabled: expected true or false"),
        (changed(sample_min=0), "sample_min: expected a whole number from 1"),
        (changed(version=1.5), "version: expected a whole number"),
        (changed(confidence=2), "confidence: expected a number from 0 to 1"),
        (changed(clear={"at": 3}), "warning: expected to raise above 3, where it clears"),
        (changed(clear={"at": 3, "when": 1}), "unknown ['when']"),
        (changed(warning=None, critical=None), "expected a warning or a critical level"),
        (changed(warning={"long_raise_at": 1}), "go together"),
        (
            changed(warning={"long_raise_at": 1, "window_s": 9, "long_window_s": 9}),
            "expected long_window_s above 9",
        ),
        ({"rule_id": "breaker.opened", "critical": {}}, "critical.raise_at: expected a number"),
    ],
)
def test_what_is_no_rule_is_refused_in_words(document: dict[str, object], fault: str) -> None:
    with pytest.raises(BadRule) as refused:
        rule_from(document, SHIPPED)

    assert fault in str(refused.value)


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(BadRule) as refused:
        rule_from(changed(action="panic", sample_min=0, warning={"raise_at": "x"}), SHIPPED)

    assert str(refused.value).count(";") == 2
