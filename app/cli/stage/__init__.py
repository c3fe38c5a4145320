"""The stage of demonstrations and drills: brokers, a gateway, a book of orders, and the judge.

`processes` and `roles` start and end what plays, `night` plays it, `checker` compares what the
gateway wrote with what the brokers and the clients saw.

The trap: a demonstration that believes the one it demonstrates. The judge reads the brokers' own
records and the files of the ledger, and asks the gateway nothing.
"""
