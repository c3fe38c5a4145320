"""We know before customers do, and what is wrong can be told from what merely looks so.

    lanes ─► health ─┐
    pings ───────────┼─► signals ─► tripwires ─► the store of anomalies ─► whoever acts or tells
    ledger ─► vitals ┘

Rules are data, pure, and tested here; they run beside the lanes whose every send they see. The
trap it avoids is a rule that lives in a dashboard: nobody tests it, it needs three other systems
to be well, and it knows a broker's silence only when the scrape after next has come.
"""
