"""Trouble as the record keeps it: anomalies, the rules that find them, others' alerts.

`store` is `AnomalyStore`, `RuleStore` and `AlertStore` of the ports; `telling` puts the event into
the transaction of the change that it tells of.

The trap: one trouble that is told again by each process that sees it. At most one anomaly is open
for a rule and a subject, and the ledger decides which.
"""
