"""What operators read and set of the house: overview, bells, anomalies, days, audit, keys.

The trap: a change that nobody can find again. Each goes through the audit log in the commit that
makes it, and is undone by the row that it wrote there.
"""
