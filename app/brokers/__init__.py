"""The strangers: whatever a broker does becomes one of our five answers.

Each adapter speaks one broker's dialect behind `ports.brokers.Broker`; `registry` finds adapters by
the entry-point group `openbell.brokers`, ours (`http`, `fix`, `alpaca`) and other people's alike;
`conformance` has the numbered cases that any of them is held to; `sim` is a broker of our own to
test against, another process that shares no code with us.

The trap it avoids: an adapter that turns silence into a verdict. A time-out read as a
rejection, or a client that quietly repeats a POST, ends as two live orders. So nothing here
retries, and what was not clearly said is `Unknown`.
"""
