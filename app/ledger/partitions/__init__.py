"""The days of the ledger: made ahead, kept a year, then archived whole and let go.

`plan` decides and is pure, `job` acts, `file` and `server` know how SQLite and PostgreSQL do it.

The trap: a day that is deleted on the word of the program that copied it. The archive is read
back and compared with the rows before anything leaves.
"""
