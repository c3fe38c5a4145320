"""What callers may ask for in a second: per key, per account, for all, and apart for cancels.

The trap: a limit that keeps a client from ending what it has at the market. Cancels have their
own budget, and no flood of new orders uses it up.
"""
