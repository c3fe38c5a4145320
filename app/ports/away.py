"""What every store may say instead of an answer.

The trap: whoever reads it as "it did not happen" does things twice.
"""


class StoreAway(OSError):
    """A store cannot be reached. What was asked for may have happened, or may not."""
