"""What others push to us: brokers their reports, monitoring systems their alerts.

The trap: an answer before the record. A sender forgets what was answered with 2xx, so that comes
after the commit; and it repeats only after 5xx, so that means our store and nothing else.
"""
