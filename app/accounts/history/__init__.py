"""Past years, carried from Parquet files into the accounts' view, and proved to have arrived.

`source` reads what Impala wrote, `mapping` makes an order of a row, `fold` makes of it the same
document that a live event would have become, `loader` inserts it as version 0, `chunks` remembers
what is done, and `verify` compares both sides and signs what it found. Version 0 is older than
any live event, so where history and the live stream overlap, the stream wins, in any order of
arrival; only what neither has is lost, and that is what verification looks for.

The trap: a migration that ends with "done". A file that was read with the wrong time zone, a day
that nobody exported and a load that died half way all end with "done". So every row is counted
on both sides, a load may be killed and repeated anywhere, and nothing is dropped from the ledger
without a signed report that still fits.
"""
