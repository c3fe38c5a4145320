"""Orders on their way to brokers: claimed, attempted, answered, reported, replaced.

`store` is the port `DispatchStore`. `queues` claims, `attempts` notes a send before its bytes
leave, `outcomes`, `reporting` and `verdicts` settle it by an answer, a report or a person.

The trap: an attempt that is not on disk when its bytes are. A kill between the two would leave an
order that was sent and looks unsent, and it would be sent twice.
"""
