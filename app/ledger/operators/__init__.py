"""What operators set, and the log of who did so: rates, halts, bells, pauses, proposals.

`store` is the port `ControlStore`; `audit` is the chain of hashes into which each change puts its
row.

The trap: a log beside the changes. A change whose row is written afterwards can stand without
one, so both are one commit or neither is.
"""
