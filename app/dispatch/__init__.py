"""Each order is at a broker at most once, and at most N messages leave in any second.

Claim, pace, send, record, and ask about what stayed silent: all of it is decided here, in one
room. The trap it avoids is pacing, breaking and resending decided in three places, where each
is right by itself and together they send an order twice: a retry that does not know of the
doubt, a breaker that calls silence a failure, a limiter that forgets at a restart.
"""
