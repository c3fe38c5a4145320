"""Which classes of QuickFIX's acceptance definitions for FIX 4.4 our session passes.

Each class is one law, and each law is a test beside this file. We are the initiator where
QuickFIX's definitions drive an acceptor; the law is the same, seen from the other side.
"""

import re
from pathlib import Path
from typing import Final

# A class of test/definitions/server/fix44, and the law here; a dash: why there is none.
CLASSES: Final = {
    "1a valid logon": "test_a_logon_is_answered_and_tested_before_an_order_may_leave",
    "1a valid logon, number too high": "test_a_logon_from_ahead_is_taken_and_the_gap_asked_for",
    "1b duplicate identity": "- an acceptor's law: we never listen",
    "1c invalid comp ids at logon": "test_a_logon_that_is_none_ends_the_connection",
    "1d invalid logon": "test_a_logon_that_is_none_ends_the_connection",
    "1e no logon first": "test_a_logon_that_is_none_ends_the_connection",
    "2a number correct": "test_a_report_is_delivered_before_the_number_moves",
    "2b number too high": "test_a_gap_is_asked_for_once_and_what_came_early_is_thrown_away",
    "2c number too low": "test_a_number_too_low_ends_the_session",
    "2d, 3b, 3c garbled, wrong checksum": "test_what_is_garbled_moves_no_number",
    "2e possible duplicate": "test_a_possible_duplicate_is_taken_in_its_turn_and_never_twice",
    "2f first sending time too late": "test_a_duplicate_sent_before_it_was_first_sent_ends_it",
    "2g no first sending time": "test_a_duplicate_without_its_first_sending_time_is_rejected",
    "2i begin string": "test_another_begin_string_ends_the_session",
    "2k comp ids": "test_a_stranger_is_rejected_and_logged_out",
    "2m body length": "test_what_is_garbled_moves_no_number",
    "2o sending time": "test_a_clock_that_is_two_minutes_off_is_rejected_and_logged_out",
    "2q invalid type": "test_a_type_that_fix_does_not_know_is_rejected",
    "2r unsupported type": "test_a_type_that_nobody_here_reads_is_answered_as_unsupported",
    "2t first three fields": "test_what_is_garbled_moves_no_number",
    "4a heartbeat after silence of ours": "test_our_silence_is_broken_by_a_heartbeat",
    "4b test request": "test_a_test_request_is_answered_with_its_own_words",
    "6 test request after their silence": "test_their_silence_is_tested_and_then_ends_it",
    "7 reject received": "test_a_reject_is_delivered_and_moves_the_number",
    "8 resend requests": "test_nothing_is_ever_sent_again_every_number_asked_for_is_a_gap",
    "10 gap fill": "test_a_gap_fill_moves_the_number_only_in_its_turn",
    "11 sequence reset": "test_a_sequence_reset_moves_forward_and_never_back",
    "13b unsolicited logout": "test_a_logout_is_answered_and_the_connection_closed",
    "14a bad tag": "test_a_faulty_message_is_rejected_by_number_tag_and_reason",
    "14b required tag missing": "test_a_faulty_message_is_rejected_by_number_tag_and_reason",
    "14c tag of another type": "- no dictionary: a fill is not lost for a field too many",
    "14d tag without value": "test_a_faulty_message_is_rejected_by_number_tag_and_reason",
    "14e enum value": "- an application's values are its reader's business (test_hearing)",
    "14f data format": "test_a_faulty_message_is_rejected_by_number_tag_and_reason",
    "14g header out of order": "- read all the same: no meaning hangs on it",
    "14h repeated tag": "test_a_faulty_message_is_rejected_by_number_tag_and_reason",
    "14i, 21 groups": "- no dictionary: only ListStatus has a group that we read (test_hearing)",
    "15 fields in another order": "test_fields_may_come_in_any_order",
    "19 possible resend": "test_a_possible_resend_is_the_applications_business",
    "20 simultaneous resend requests": "test_two_sides_that_lack_something_do_not_deadlock",
    "already logged on": "test_a_second_logon_ends_the_session",
    "reject resent message": "test_what_is_resent_and_faulty_is_rejected_and_passed",
    "reverse route": "- no third party between us and a broker: 115 and 128 are not sent",
    "session reset": "test_a_new_numbering_in_mid_session_is_followed_and_tested_again",
}


def test_every_class_has_its_law_or_a_reason() -> None:
    laws = {name for name in CLASSES.values() if not name.startswith("- ")}
    suites = Path(__file__).parent.glob("test_*.py")
    tests = {name for suite in suites for name in re.findall(r"def (test_\w+)", suite.read_text())}

    assert laws <= tests
