"""Which broker each route leads to: policies, locks, failovers by hand, drills.

The trap: a second click at the open. A failover names the epoch that its caller saw, so two people
who press at once move the route once.
"""
