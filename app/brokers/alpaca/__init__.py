"""Alpaca's trading API: orders by HTTP, fills by its account activities, a stream as the bell.

`words` is the dialect, `broker` the port, `feed` the loop that hears what became of orders, and
`told` what that loop remembers. All of it is written from the public documentation, and no byte of
it has met Alpaca: the tests play a stranger that is written from the same pages.

The trap is two names for one fill. The stream calls it by an `execution_id`, the account activities
by an id of their own, and no public page says that they can be matched. Counted from both, a fill
would count twice; so fills are taken from the activities alone, and the stream only says when to
look.
"""
