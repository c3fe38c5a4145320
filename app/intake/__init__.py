"""Accepted means durable, and the same id twice is the same order.

An order is judged, written in a group with its neighbours, and answered only when the group
is on disk. The trap it avoids is the answer that comes first: a crash between a 201 and the
disk loses an order that a customer believes in. And a retry after a lost answer must find
the first order, not make a second.
"""
