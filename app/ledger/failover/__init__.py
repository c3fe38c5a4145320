"""Who leads a route, and what is rehearsed: `FailoverStore` and `DrillStore` of the ports.

The trap: a leader that was paused past its lease and writes when it wakes. Each change compares
the route's epoch, and the claim of an order asks for the same epoch in its own transaction.
"""
