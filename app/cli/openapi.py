"""`openbell openapi`: the API of the gateway that is asked, as OpenAPI for programs.

It is the gateway's own document, so a client that is generated from it fits what answers. A
gateway that serves no documents says 404; one started by hand with `docs` has it.
"""

from app.cli.asking.command import Call, asking


@asking(role="client")
def openapi(call: Call) -> None:
    """Print the API of a gateway, as OpenAPI.

    \b
    Examples:
      openbell openapi > openapi.json
      openbell openapi --url http://127.0.0.1:8080 > openapi.json
    """  # noqa: D301 - the mark must be the character, it keeps the lines below as they are
    import json

    from app.cli.asking.output import print_out

    print_out(json.dumps(call.get("/openapi.json"), indent=2, ensure_ascii=False))
