"""Tells a store that is away from a document that it will not have.

Away: no connection, no primary, no majority, no rights, no disk. It is nobody's document's fault,
and the same write succeeds when somebody has mended it. Refused: the store answers, stores the
documents beside it, and will never have this one (its validator, its types, its limits).

The trap is to take one for the other: a document that is tried for ever stops every account, and
an outage that is called a refusal empties the topic into the dead letters. So what we do not know
counts against the document only as long as the store takes others: a whole bulk of refusals is
the store's fault.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from pymongo.errors import (
    ConnectionFailure,
    CursorNotFound,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)

from app.ports.accounts import BookUnfit
from app.ports.away import StoreAway

# Servers name their troubles by number. These pass, or somebody can make them pass.
AWAY: Final = frozenset(
    {
        6,  # HostUnreachable
        7,  # HostNotFound
        13,  # Unauthorized
        18,  # AuthenticationFailed
        24,  # LockTimeout
        43,  # CursorNotFound
        46,  # LockBusy
        50,  # MaxTimeMSExpired
        63,  # StaleShardVersion
        64,  # WriteConcernTimeout
        70,  # ShardNotFound
        89,  # NetworkTimeout
        91,  # ShutdownInProgress
        100,  # UnsatisfiableWriteConcern
        112,  # WriteConflict
        117,  # ConflictingOperationInProgress
        133,  # FailedToSatisfyReadPreference
        134,  # ReadConcernMajorityNotAvailableYet
        150,  # StaleEpoch
        189,  # PrimarySteppedDown
        202,  # NetworkInterfaceExceededTimeLimit
        237,  # CursorKilled
        249,  # StaleDbVersion
        262,  # ExceededTimeLimit
        317,  # ConnectionPoolExpired
        391,  # ReauthenticationRequired
        462,  # IngressRequestRateLimitExceeded
        9001,  # SocketException
        10058,  # not primary, in its old number
        10107,  # NotWritablePrimary
        11600,  # InterruptedAtShutdown
        11601,  # Interrupted
        11602,  # InterruptedDueToReplStateChange
        13388,  # StaleConfig
        13435,  # NotPrimaryNoSecondaryOk
        13436,  # NotPrimaryOrSecondary
        14031,  # OutOfDiskSpace
    }
)
# A hundred documents that have nothing in common but the store: it is not they who are wrong.
REFUSALS_MAX: Final = 100


@contextmanager
def away_by_its_name() -> Iterator[None]:
    """Raise `StoreAway` for what the libraries raise while a store is away; pass all else on."""
    try:
        yield
    except (ConnectionFailure, CursorNotFound, ExecutionTimeout, WriteConcernError) as e:
        raise StoreAway(_sentence(e)) from e
    except OperationFailure as e:
        if e.code in AWAY:
            raise StoreAway(_sentence(e)) from e
        raise


@contextmanager
def unfit_by_its_name() -> Iterator[None]:
    """At start, name every other answer of the server too: somebody waits for a clear error."""
    try:
        with away_by_its_name():
            yield
    except PyMongoError as e:
        raise BookUnfit(f"MongoDB cannot be used as it stands: {e}") from e


def refusals(failed: Mapping[str, Any]) -> dict[int, str]:
    """Return why a bulk's operations were refused, by their place, or raise `StoreAway`."""
    for error in failed.get("writeConcernErrors", []):
        raise StoreAway(f"MongoDB did not keep its promise: {_told(error)}")
    errors = failed.get("writeErrors", [])
    for error in errors:
        if error["code"] in AWAY:
            raise StoreAway(f"MongoDB is away: {_told(error)}")
    return {error["index"]: _told(error) for error in errors}


def _told(error: Mapping[str, Any]) -> str:
    return f"{error.get('errmsg', 'no reason given')} (code {error.get('code')})"


def _sentence(e: PyMongoError) -> str:
    """Return what happened and where, without the topology that the library adds to it."""
    said = str(e).partition(" (configured timeouts:")[0].partition(", Timeout:")[0]
    return f"MongoDB is away: {said}"
