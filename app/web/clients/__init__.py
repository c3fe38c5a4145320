"""What client applications ask: orders in, changed, canceled, read, listed and followed.

The trap: an answer that a client must guess. A request that timed out is asked again, so the same
key gets the same answer, and a refusal says whether it may be repeated.
"""
