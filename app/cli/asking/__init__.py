"""How every command asks the gateway, changes it, and says what came back.

`command` declares one, `target` finds which gateway and key it means, `client` asks, `change`
and `deed` read, show, agree and send what changes something, `output` and `problems` speak to a
person or to a script.

The trap: verbs that each have their own flags, exit codes and idea of a time-out. Whoever is on
call learns the first one and guesses the others at 22:30; so a verb brings its words, never its
own way of asking.
"""
