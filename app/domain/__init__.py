"""The words and the laws: an order can only make legal moves.

Everything here is a value or a function of values. No await, no clock, no package: `now`
is always an argument, so a law can be tested in a microsecond and replayed for ever. The
trap it avoids is a state machine that lives in five files and in nobody's head: whoever
moves an order calls a function of `order` or `reports`, and an illegal move raises.
"""
