"""What a lane owns while it lives: its lease, and the numbers of its FIX session.

The trap: two processes that speak for one broker. The epoch of a lease only rises, and a number
is on disk under that epoch before a byte carries it.
"""
