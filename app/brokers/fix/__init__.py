"""FIX 4.4 to a broker: a session of our own, whose numbers are durable before its bytes leave.

`frame` reads and writes bytes, `words` says orders in tags, `hearing` reads what comes back,
`machine` is the session's law as a pure state machine, `line` runs it and `broker` is the
adapter. The trap it avoids: an engine that answers a ResendRequest from its store. An order
whose answer was lost then leaves a second time by itself, when it may be live elsewhere; so
here no order is ever sent again, and every number asked for is filled as a gap.
"""
