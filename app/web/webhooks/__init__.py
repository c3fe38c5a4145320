"""The doors of customers' endpoints: a client's own, and what operators see of all of them.

The trap: an address that leads inside. What a client names is asked by us, from our network; so it
is guarded when it is named, and again each time it is told something.
"""
