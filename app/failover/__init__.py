"""The course changes within seconds, once, and never resends doubt.

    what is seen ─► watch ─► policy ─► switch ─► fence in SQL ─► the other broker's claims

`watch` remembers how each broker has done, `policy` decides from that alone, `switch` acts: one
leader by a lease, and every write of it names the lease. `helm` is the same course in a person's
hand. The trap is a switch that believes itself: a breaker that opened is no reason yet, a
process that slept must not decide, and two sick brokers are no place to go to and fro between.
What was claimed for the old broker stays with it, as doubt if need be; only what was never sent
goes the new way.
"""
