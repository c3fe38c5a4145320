"""A customer's view converges to the ledger, whatever is redelivered.

`fold` makes one document of one order's event, purely; `projector` carries documents from the
bus into an `AccountBook`; the book refuses older news. Each event holds the whole order and a
rising version, so repetition and disorder change nothing, and the whole view can be thrown
away and filled again from the ledger, byte for byte.

    fold ─► projector ─► sqlite              one row an order, in a file of this process
                    └──► mongo_book ─► mongo   one document an order, on a cluster: `mongo_shape`
                                             spreads and indexes it, `bson_document` is its form,
                                             `mongo_faults` tells an outage from a refusal

The trap: a view that counts. Whoever adds each fill to a sum shows the wrong sum after the
first redelivery, and cannot say since when. Nothing here adds anything to what was there.
"""
