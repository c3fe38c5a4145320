"""The kit for the next adapter: numbered cases that any adapter passes, or is told why not.

    openbell check-broker NAME         pytest --broker NAME
                └──────► run ─► catalogue ─► cases ─► kit ─► adapter ─► line ─► the broker

A case proves one law of `ports.brokers.Broker` on an adapter that is loaded by name, as settings
name it. It ends in one verdict: pass, fail with what was expected and what was seen, or not
applicable with the reason. What needs a broken network runs through `line`, which cuts, stalls
and swallows; what places orders asks for leave first, and cancels what it placed.

The trap it avoids: a kit that only our own adapters can pass, because it knows how they are made
inside. So nothing here looks behind the port: it sees answers, and the bytes on the wire.
"""
