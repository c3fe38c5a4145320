"""What every door has in common that changes a broker's row: its rate, schedule, breaker, dispatch.

One row, one version, one reason, one undo. The trap is a door that was written beside the others
and forgot one of their rules: so none of them is written out, each says what it has besides.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from app.domain.errors import Code
from app.web.brokers.told import DialTold
from app.web.operator_schemas import Preview
from app.web.spec import Call, Reader, Reply, Spec
from app.web.told import Told, WouldTold

SEE: Final = "admin:read"
TUNE: Final = "admin:tune"
BROKER: Final = "/admin/v1/brokers/{broker_id}"
CHANGED: Final = (
    Code.MALFORMED_REQUEST,
    Code.NOT_FOUND,
    Code.STALE_VERSION,
    Code.VALIDATION_FAILED,
    Code.IF_MATCH_REQUIRED,
)


def turning(  # noqa: PLR0913 - what a door is
    method: str,
    path: str,
    name: str,
    handler: Callable[[Call[Any, Any]], Awaitable[Reply]],
    reads: Reader[Any],
    *,
    beyond: Sequence[Code] = (),
    would: type[Told] = WouldTold,
    **more: Any,
) -> Spec[Any, Any]:
    """Return a door that changes a broker's row: whichever it is, the same rules hold.

    `beyond` are refusals of its own, `would` is what its dry run tells, and `more` is what `Spec`
    knows besides.
    """
    return Spec(
        method=method,
        path=path,
        name=name,
        scope=TUNE,
        handler=handler,
        reads=reads,
        asks=Preview,
        answers={200: DialTold | would},
        shows=("ETag",),
        refuses=(*CHANGED, *beyond),
        if_match="required",
        audited=True,
        **more,
    )
