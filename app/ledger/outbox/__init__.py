"""Events that were committed with their orders, carried to the bus at least once, in order.

The trap: a reader that remembers the last id. What commits late has a smaller one, and is never
read; so `queue` is a queue, and what the bus acknowledged is deleted from it.
"""
