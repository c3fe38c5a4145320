"""Planted bugs: each a plausible mistake, and the test that must not let it pass.

A check that has never failed proves nothing. Every row takes one line of defence out of the
program; the named test is run on that copy and must fail. When code moves, the row moves with
it: a snippet that no longer occurs exactly once is an error, not a pass.
"""

from typing import Final, NamedTuple


class Mutant(NamedTuple):
    """One bug: where it is planted, what it replaces, and who must find it."""

    name: str
    file: str
    old: str
    new: str
    caught_by: str


MUTANTS: Final = (
    Mutant(
        "blind_resend",
        "app/dispatch/lane.py",
        "self._answers.note(batch, answers, sent_ns)",
        'self._answers.note(batch, [NotSent("timeout") if type(a).__name__ == "Unknown" else a'
        " for a in answers], sent_ns)",
        "tests/scenarios/test_doubt.py::test_a_lost_answer_is_asked_about_and_never_resent",
    ),
    Mutant(
        "ack_before_commit",
        "app/ledger/orders/store.py",
        "        try:\n"
        "            results = await self._write(work, patience_s=CLIENT_PATIENCE_S)\n",
        "        try:\n"
        "            results = await self._database.read(work)\n"
        "            from asyncio import get_running_loop\n"
        "            get_running_loop().call_later(0.005, self._database.write_now, work)\n",
        "tests/scenarios/test_taking.py::test_what_was_answered_is_on_disk_when_the_power_goes",
    ),
    Mutant(
        "body_hash_ignored",
        "app/ledger/orders/booking.py",
        "if digest == entry.request_hash:",
        "if digest:",
        "tests/scenarios/test_taking.py"
        "::test_the_same_request_is_the_same_order_and_another_one_a_conflict",
    ),
    Mutant(
        "no_settle_window",
        "app/dispatch/verdict.py",
        "if asked_ns < settles_from_ns(doubt, capabilities):",
        "if asked_ns < 0:",
        "tests/scenarios/test_doubt.py::test_an_order_that_arrives_late_is_found_and_not_resent",
    ),
    Mutant(
        "window_counts_from_the_send",
        "app/dispatch/reconciler.py",
        "self._doubts[key] = DoubtRecord(now)",
        "self._doubts[key] = DoubtRecord(standing[key].sent_ns or 0)",
        "tests/scenarios/test_doubt.py"
        "::test_the_window_counts_from_the_last_moment_at_which_a_byte_could_leave",
    ),
    Mutant(
        "lookup_failure_counts_as_absent",
        "app/dispatch/verdict.py",
        "return doubt, StillInDoubt(why, next_question_ns(doubt, asked_ns, capabilities))",
        "return _weigh_absence(doubt, asked_ns, capabilities)",
        "tests/scenarios/test_doubt.py::test_a_look_up_that_failed_never_counts",
    ),
    Mutant(
        "attempt_row_after_send",
        "app/ledger/dispatch/store.py",
        '            return await self._write_once(work, "claim.before_commit")\n',
        "            claimed = await self._database.read(work)\n"
        "            import asyncio\n"
        "            asyncio.get_running_loop().call_later(0.03, self._database.write_now, work)\n"
        "            return claimed\n",
        "tests/scenarios/test_lives.py"
        "::test_a_crash_after_the_bytes_left_finds_the_attempt_on_disk",
    ),
    Mutant(
        "epoch_not_checked",
        "app/ledger/dispatch/queues.py",
        "l.holder = :holder AND l.epoch = :epoch",
        ":holder = :holder AND :epoch = :epoch",
        "tests/contracts/test_ledger.py"
        "::test_an_epoch_only_rises_and_fences_the_one_before[inline]",
    ),
    Mutant(
        "lease_not_rechecked",
        "app/dispatch/ownership.py",
        "return self._clock.monotonic_ns() <= self._until_ns - LEASE_MARGIN_NS",
        "return True",
        "tests/scenarios/test_lives.py::test_a_lane_frozen_past_its_lease_writes_nothing_new",
    ),
    Mutant(
        "limiter_forgets_across_restart",
        "app/dispatch/permits.py",
        "Window(limits, clock.monotonic_ns)",
        "Window(limits, clock.monotonic_ns, born_full=False)",
        "tests/scenarios/test_rates.py::test_a_restart_lets_no_second_pass_above_the_limit",
    ),
    Mutant(
        "rate_counts_new_orders_only",
        "app/dispatch/permits.py",
        "        now = self._clock.monotonic_ns()\n        room =",
        "        if cancels:\n            return want, 0\n"
        "        now = self._clock.monotonic_ns()\n        room =",
        "tests/scenarios/test_rates.py::test_cancels_count_as_much_as_orders",
    ),
    Mutant(
        "halt_ignored_after_claim",
        "app/dispatch/last_look.py",
        "halts = self._board.halts\n",
        "halts = type(self._board.halts)()\n",
        "tests/scenarios/test_halts.py"
        "::test_a_halt_between_the_claim_and_the_write_gives_the_order_back",
    ),
    Mutant(
        "audit_outside_the_transaction",
        "app/ledger/operators/control.py",
        '    change = Change("halt", f"halt/{scope}:{target}", None, standing._asdict())\n',
        '    change = Change("halt", f"halt/{scope}:{target}", None, standing._asdict())\n'
        '    connection.exec_driver_sql("COMMIT")\n'
        '    connection.exec_driver_sql("BEGIN IMMEDIATE")\n',
        "tests/scenarios/test_halts.py::test_an_audit_row_that_cannot_be_written_undoes_the_halt",
    ),
    Mutant(
        "cancel_not_compare_and_set",
        "app/ledger/orders/booking.py",
        "    after = cancel_requested(order, origin, now)\n",
        "    after = cancel_requested(order, origin, now)._replace(\n"
        "        status=Status.CANCELED, pending_request=PendingRequest.NONE)\n",
        "tests/scenarios/test_cancels.py"
        "::test_a_cancel_of_what_is_being_sent_wins_only_by_evidence",
    ),
    Mutant(
        "cancel_lost_on_not_sent",
        "app/domain/order.py",
        '    _expect(order, MAYBE_OUT, "returned")\n',
        '    _expect(order, MAYBE_OUT, "returned")\n'
        "    order = order._replace(pending_request=PendingRequest.NONE)\n",
        "tests/scenarios/test_cancels.py"
        "::test_what_was_not_sent_under_a_waiting_cancel_ends_canceled",
    ),
    Mutant(
        "fill_not_deduplicated",
        "app/ledger/dispatch/reporting.py",
        "if report.execution_type in TRADES and self._seen(order, report):",
        "if report.execution_type not in TRADES and self._seen(order, report):",
        "tests/scenarios/test_fills.py::test_duplicate_and_disordered_fills_count_once",
    ),
    Mutant(
        "business_reject_trips_the_breaker",
        "app/dispatch/permission.py",
        "        case Rejected():",
        "        case Rejected():\n            return IN_DOUBT\n        case 0:",
        "tests/scenarios/test_breaker.py::test_a_brokers_refusals_never_open_the_circuit",
    ),
    Mutant(
        "wall_step_ignored",
        "app/dispatch/bell.py",
        "if abs(offset - self._offset_ms) > STEP_MS:",
        "if abs(offset - self._offset_ms) > 10**12:",
        "tests/scenarios/test_sessions.py::test_a_step_of_the_wall_clock_rings_no_bell",
    ),
    Mutant(
        "drain_forgets_answers",
        "app/dispatch/lane.py",
        "            self._answers.end()\n            await settling\n",
        "            settling.cancel()\n",
        "tests/scenarios/test_lives.py::test_stopping_waits_for_answers_and_loses_nothing",
    ),
    Mutant(
        "view_unversioned_upsert",
        "app/accounts/sqlite.py",
        "    WHERE excluded.version > account_orders.version",
        "    WHERE excluded.version > 0",
        "tests/contracts/test_account_book.py::test_older_news_and_old_news_change_nothing",
    ),
    Mutant(
        "a_change_refuses_clients",
        "app/wiring.py",
        "halts=lambda: board.standing,",
        "halts=lambda: board.halts,",
        "tests/scenarios/test_taking.py::test_an_operators_change_refuses_no_client",
    ),
    Mutant(
        "old_doubts_starve_new_ones",
        "app/dispatch/reconciler.py",
        "waiting = sorted(",
        "waiting = list(",
        "tests/scenarios/test_doubt.py::test_among_many_doubts_none_waits_for_the_others_to_end",
    ),
    Mutant(
        "drain_waits_for_cancels",
        "app/dispatch/lane.py",
        "            self._answers.end()\n",
        "            while self.permits.in_flight:\n"
        "                await asyncio.sleep(0.05)\n"
        "            self._answers.end()\n",
        "tests/scenarios/test_lives.py::test_stopping_does_not_wait_for_a_cancel_that_stays_silent",
    ),
    Mutant(
        "cancels_wait_for_each_other",
        "app/dispatch/cancels.py",
        "requests.create_task(self._exchange(batch, permit))",
        "await self._exchange(batch, permit)",
        "tests/scenarios/test_cancels.py::test_a_cancel_that_is_answered_slowly_holds_up_no_other",
    ),
    Mutant(
        "replace_sent_again_after_silence",
        "app/ledger/dispatch/replacing.py",
        "        case Accepted() | Unknown():  # heard, perhaps: its end is reported, or sought\n"
        "            return None\n",
        "        case Accepted():\n            return None\n"
        "        case Unknown():\n            return _R.NOT_SENT\n",
        "tests/scenarios/test_replaces.py"
        "::test_a_replace_whose_answer_and_report_were_lost_is_found",
    ),
    Mutant(
        "cancel_plus_new",
        "app/brokers/http.py",
        '        items = await self._judged("/v1/replaces", requests.replace_body(batch), keys,'
        " heeds=True)\n",
        "        await self.cancel([Cancellation(i.original, None) for i in batch])\n"
        "        return await self.submit([Submission(i[0], *i[3:]) for i in batch])\n",
        "tests/contracts/test_broker_replaces.py::test_sim_a_chain_of_three_is_one_order",
    ),
    Mutant(
        "filled_order_forgets_its_raise",
        "app/domain/replacing.py",
        "            return PendingRequest.REPLACE if self.is_out else PendingRequest.NONE\n",
        "            return PendingRequest.NONE\n",
        "tests/scenarios/test_replaces.py"
        "::test_a_replace_that_is_too_late_leaves_the_filled_order_alone",
    ),
    Mutant(
        "no_second_look",
        "app/dispatch/catchup.py",
        "        if self._is_second:\n            self._gaps.note(",
        "        if key:\n            self._gaps.note(",
        "tests/dispatch/test_catchup.py::test_what_looks_wrong_once_is_told_to_nobody",
    ),
    Mutant(
        "takes_over_and_asks_nobody",
        "app/dispatch/rounds.py",
        'return Rounds(signs, owed="taken over", number',
        "return Rounds(signs, number",
        "tests/scenarios/test_catchup.py"
        "::test_what_was_told_to_a_dead_process_is_found_by_the_next",
    ),
)
