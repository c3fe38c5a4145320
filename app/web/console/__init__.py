"""The operators' one screen: at 22:29 it says within three seconds whether the night is well.

`lookout` looks at the house once a tick for everybody, `judge` says what that means, `panels`
and `cards` write it as HTML, and the stream sends those very words again. A change is a call of
the operator API, made by the browser with the session's cookie: the console has no power that
an operator's key has not, and no door of its own through which anything changes.

The trap it avoids: a screen that lies. One that draws a number twice, once at the server and
once in a script, shows two truths; one that keeps its last numbers when the line is dead shows
a night that is over. So only the server draws, and whatever is old says how old.
"""
