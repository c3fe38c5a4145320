"""What operators read and turn on one broker: rate, breaker, dispatch, session, contract.

The trap: a number that is turned by somebody who saw an older one. Every door that changes a
broker's row wants the version that its caller saw, and a large step wants the broker's name.
"""
