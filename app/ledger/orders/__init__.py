"""Orders as their owners see them: taken, edited, canceled, held, swept and listed.

`store` is the port `OrderStore`; `booking` takes and changes, `fresh` puts down what was taken.

The trap: a change that was checked against a row that has moved since. Each reads and writes in
one transaction, and loses to whoever came first.
"""
