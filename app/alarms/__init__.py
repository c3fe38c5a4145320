"""People are told once, with what the gateway did and what is left to do.

    bus ─► news ─► digest ─► waiting ─► message ─► slack   one message an incident, updated
                                           │  └──► log     one line a message: the default
                                           └─► memory      what was told: a restart goes on there

A subscriber like any other, with a group of its own: nothing waits for it. `news` reads events,
`digest` folds them into incidents and says which are worth a person's attention, `waiting` lets
the news of one incident gather and puts the worst first, `message` finds the words; all of that
is pure. `alarms` is the loop: an event is committed when somebody was told or its letter is dead.

The trap: an alarm that is part of what it watches. A switch that waits for Slack is late by
Slack's outage, and an alarm for each event is read by nobody at the open.
"""
