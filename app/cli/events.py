"""`openbell events`: what stands in the topics, for whoever builds a reader of them.

The document is AsyncAPI 3 as JSON, made from the code that runs; it needs no gateway and no
Kafka. The trap it avoids is a copy in a wiki.
"""

from app.cli.asking.output import print_out


def events() -> None:
    """Print the events that leave and enter by the bus, as AsyncAPI 3.

    \b
    Examples:
      openbell events
      openbell events > asyncapi.json
    """  # noqa: D301 - the mark must be the character, it keeps the lines below as they are
    import json
    from importlib.metadata import version

    from app.bus.asyncapi import document

    print_out(json.dumps(document(version("openbell")), indent=2))
