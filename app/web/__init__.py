"""The only code that knows HTTP: client API, operator API, callbacks, probes.

Every path is a `Door`: it says which scope it needs before it says what it does, so that a
door without a lock cannot be hung. A handler gets a caller who is known and may, a body that is
valid, and returns bytes; whatever goes wrong inside becomes one problem document in one place.

`spec` is a door, `door` the one way through it, `porch` what stands around all of them, `app` hangs
them. Who may pass is `access`, how often `quotas`. Behind the doors are clients (`clients`,
`webhooks`), other systems (`hooks`) and operators: `operators` for the house, `brokers`, `routes`
and `halts` for what they turn there, `console` for their screen. `openapi` tells of all.

The trap it avoids: a framework's own paths around that. Its validation errors, its 404, its
500 and its body reader each answer in a shape of their own, and an order that was refused in a
shape the client cannot read is sent again.
"""
