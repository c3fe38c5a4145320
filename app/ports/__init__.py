"""Every seam of the house, one page for each who reads it.

A room that needs the outside, or a neighbour, names a Protocol here and is handed one by
`wiring.py`. Each docstring is the contract; `tests/contracts/` holds every implementation to
it. The trap it avoids: a double that drifts from the thing it doubles.
"""
