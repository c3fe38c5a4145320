"""Customers' endpoints and what is on its way to them: `WebhookStore` of the ports.

The trap: a delivery that is claimed by a process that dies. A claim ends by itself, and what was
not confirmed is told again under the same id.
"""
