"""Where people stop the house, settle what it doubts, and hold, let go or cancel many orders.

The trap: a stop that waits for agreement, and a start that does not. Whoever halts asks nobody;
whoever halted does not resume, and a doubt is settled by two.
"""
