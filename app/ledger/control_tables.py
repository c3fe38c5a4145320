"""What stands beside the orders: who owns, who decides, what was noticed, who did what.

These tables are small, are read often, and are no part of a trade date.
"""

from sqlalchemy import Index

from app.ledger.columns import declared, integer, text

broker_control = declared(
    "broker_control",
    text("broker_id", key=True),
    integer("version"),
    integer("tps"),
    text("dispatch"),
    text("breaker"),
    text("changed_by"),
    integer("changed_at"),
    text("reason"),
    integer("expires_at", null=True),
    text("reverts_to", null=True),
    # How the number is found within the operator's bounds; null stands for what was before.
    text("tuning", null=True),
)

broker_leases = declared(
    "broker_leases",
    text("broker_id", key=True),
    text("holder"),
    integer("epoch"),
    integer("expires_at"),
)

routes = declared(
    "routes",
    text("route_id", key=True),
    text("active_broker"),
    integer("epoch"),
)

lanes = declared(
    "lanes",  # as their dispatchers have last shown them to the doors of other processes
    text("broker_id", key=True),
    text("status"),
    integer("shown_at"),
)

questions = declared(
    "questions",  # on doubts, for the dispatcher that follows them
    text("broker_order_key", key=True),
    text("answer", null=True),
)

route_policies = declared(
    "route_policies",  # how a route may change its broker by itself, and who forbids it
    text("route_id", key=True),
    integer("version"),
    text("document"),
    text("changed_by"),
    integer("changed_at"),
    text("reason"),
)

failovers = declared(
    "failovers",  # each change of a route's broker: how it was decided, and how far it came
    text("failover_id", key=True),
    text("route_id"),
    text("state"),
    text("document"),
    integer("started_at"),
    integer("updated_at"),
)
Index("failovers_by_route", failovers.c.route_id, failovers.c.started_at)

drills = declared(
    "drills",  # what was rehearsed; it marks what it causes until its echo is over
    text("drill_id", key=True),
    text("route_id"),
    text("document"),
    integer("started_at"),
    integer("marks_until"),
)
Index("drills_by_end", drills.c.marks_until)

anomalies = declared(
    "anomalies",  # one raise-to-clear of a rule on a subject
    text("anomaly_id", key=True),
    text("rule_id"),
    text("subject"),
    text("state"),
    text("document"),
    integer("opened_at"),
    integer("updated_at"),
)
Index("anomalies_by_time", anomalies.c.opened_at)
Index(
    "anomalies_open",  # one at a time
    anomalies.c.rule_id,
    anomalies.c.subject,
    unique=True,
    sqlite_where=anomalies.c.state == "open",
    postgresql_where=anomalies.c.state == "open",
)

anomaly_subjects = declared(
    "anomaly_subjects",  # how many events each subject has had: their `ce_sequence`
    text("subject", key=True),
    integer("last"),
)

anomaly_rules = declared(
    "anomaly_rules",  # where an operator's numbers differ from the shipped ones
    text("rule_id", key=True),
    integer("version"),
    text("document"),
    text("changed_by"),
    integer("changed_at"),
    text("reason"),
    integer("expires_at", null=True),
    text("reverts_to", null=True),
)

outside_alerts = declared(
    "outside_alerts",  # what other systems' hooks told, once each
    text("source", key=True),
    text("fingerprint", key=True),
    integer("starts_at", key=True),
    text("status"),
    text("document"),
    integer("seen_at"),
)

fix_sessions = declared(
    "fix_sessions",  # the next number each way; a reset begins a new numbering
    text("session_id", key=True),
    text("broker_id"),
    integer("numbering"),
    integer("next_out"),
    integer("next_in"),
    integer("changed_at"),
    text("reason"),
)

fix_messages = declared(
    "fix_messages",  # what was numbered, before its bytes left
    text("session_id", key=True),
    integer("numbering", key=True),
    integer("number", key=True),
    text("type"),
    text("broker_order_key", null=True),
    text("body"),
    integer("written_at"),
    integer("lacked"),  # 1: the broker has shown that it never got this number
)
Index("fix_messages_by_key", fix_messages.c.broker_order_key)

halts = declared(
    "halts",
    text("scope", key=True),
    text("target", key=True),
    text("halted_by"),
    integer("halted_at"),
    text("reason"),
)

proposals = declared(
    "proposals",  # calls that wait for a second person, and what became of them
    text("proposal_id", key=True),
    integer("version"),
    text("state"),
    text("operation"),
    text("call"),
    text("proposed_by"),
    text("key_id"),
    text("reason"),
    integer("proposed_at"),
    integer("expires_at"),
    text("decided_by", null=True),
    integer("decided_at", null=True),
    text("decided_why", null=True),
    text("decided_under", null=True),
)
Index("proposals_by_time", proposals.c.proposed_at)

session_pauses = declared(
    "session_pauses",  # of which sessions nothing is released, and of which that was so
    text("trading_session_id", key=True),
    integer("version"),
    integer("paused"),
    text("changed_by"),
    integer("changed_at"),
    text("reason"),
    integer("expires_at", null=True),
)

stream_tickets = declared(
    "stream_tickets",  # each opens one stream, once
    text("digest", key=True),
    text("key_id"),
    text("account_id"),
    integer("expires_at"),
)

session_overrides = declared(
    "session_overrides",
    text("trading_session_id", key=True),
    integer("version"),
    integer("opens_at"),
    integer("closes_at"),
    text("changed_by"),
    text("reason"),
    integer("expires_at", null=True),
    text("reverts_to", null=True),
    # It is no override any more; the row stays, so that no version comes twice.
    integer("lifted_at", null=True),
)

audit = declared(
    "audit",
    integer("sequence", key=True),
    integer("at"),
    text("actor"),
    text("action"),
    text("resource"),
    text("before"),
    text("after"),
    text("reason"),
    text("request_id"),
    text("previous_hash"),
    text("hash"),
    text("via", null=True),  # in a row that was written before revision 0009
    text("ip", null=True),
    rowid=True,
)
# A request that is sent again is looked up by the row that it wrote, inside the write.
Index("audit_by_request", audit.c.request_id, audit.c.action)

webhook_endpoints = declared(
    "webhook_endpoints",  # where customers want to be told; of the secrets only the salt
    text("endpoint_id", key=True),
    integer("version"),
    text("url"),
    text("accounts"),
    text("types"),
    text("description"),
    text("state"),
    text("disabled_by", null=True),
    text("root"),
    text("salt"),
    text("previous_salt", null=True),
    integer("previous_until", null=True),
    integer("created_at"),
    integer("changed_at"),
    integer("failing_since", null=True),
    integer("quiet_until", null=True),
    integer("missed"),
    integer("missed_at", null=True),
)

webhook_deliveries = declared(
    "webhook_deliveries",  # what waits to be told, and what was, for some days
    text("delivery_id", key=True),
    text("endpoint_id"),
    text("event_id"),
    text("type"),
    integer("rank"),
    text("body"),
    text("state"),
    integer("attempts"),
    integer("due_at"),
    integer("created_at"),
    integer("last_at", null=True),
    integer("last_status", null=True),
    text("last_error", null=True),
    rowid=True,
)
Index(
    "webhook_deliveries_due",
    webhook_deliveries.c.endpoint_id,
    webhook_deliveries.c.state,
    webhook_deliveries.c.due_at,
)
Index("webhook_deliveries_by_rank", webhook_deliveries.c.endpoint_id, webhook_deliveries.c.rank)
