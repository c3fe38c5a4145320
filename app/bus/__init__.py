"""Events arrive at least once, in order per order.

A publisher that is told "done" may forget: the record is on disk. A consumer that dies gets
again whatever it had not committed. So a consumer must bear repetition, and in this house each
event carries the whole order and a rising version, which makes repetition and disorder harmless.

The trap: committing what was polled instead of what was applied. Then a crash in between loses
an event, and nobody ever asks for it again. `kafka` is the bus of several processes, `log` its
embedded twin on SQLite.
"""
