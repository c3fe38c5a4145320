"""Every reason to refuse, with its stable code. The README's table is generated from here."""

from collections.abc import Mapping
from enum import Enum
from typing import Self


class Code(Enum):
    """A stable kebab-case code, the HTTP status that carries it, and one plain sentence."""

    MALFORMED_REQUEST = ("malformed-request", 400, "The body is not what the route reads.")
    UNAUTHENTICATED = ("unauthenticated", 401, "The API key is missing, unknown or revoked.")
    SCOPE_MISSING = ("scope-missing", 403, "The API key lacks the scope for this call.")
    FORGED_REQUEST = (
        "forged-request",
        403,
        "A change by the console's cookie comes from the console's own page, or not at all.",
    )
    NOT_FOUND = ("not-found", 404, "No such resource, or it is not yours.")
    METHOD_NOT_ALLOWED = ("method-not-allowed", 405, "The route does not take this verb.")
    CLIENT_ORDER_ID_CONFLICT = (
        "client-order-id-conflict",
        409,
        "The account used this client_order_id for another order; ids are spent for ever.",
    )
    ORDER_TERMINAL = ("order-terminal", 409, "The order has ended; nothing can change it.")
    ORDER_NOT_EDITABLE = (
        "order-not-editable",
        409,
        "The order is on its way to a broker, or what was asked of it before is unanswered.",
    )
    NOT_HOLDABLE = (
        "not-holdable",
        409,
        "Only an order that never left can be held back; cancel what may be at a broker.",
    )
    NOT_RELEASABLE = (
        "not-releasable",
        409,
        "The order is not held, or it is for what no release can mend, or its session is over.",
    )
    NOT_STRAY = (
        "not-stray",
        409,
        "No copy at a broker is in question of this order, or what is said of it cannot be.",
    )
    REPLACE_UNSUPPORTED = (
        "replace-unsupported",
        409,
        "The order's broker cannot change an order; cancel it and place another.",
    )
    REQUEST_IN_PROGRESS = (
        "request-in-progress",
        409,
        "The first request under this key is not answered yet.",
    )
    DOUBT_SETTLED = ("doubt-settled", 409, "The attempt is no longer in doubt.")
    SECOND_PRINCIPAL_REQUIRED = (
        "second-principal-required",
        409,
        "This step needs another person than the one who took the first.",
    )
    PROPOSAL_CLOSED = (
        "proposal-closed",
        409,
        "The proposal was decided before, or its time is over; propose it again.",
    )
    FAILOVER_RUNNING = ("failover-running", 409, "Another failover of this route is not over yet.")
    FAILOVER_FENCED = (
        "failover-fenced",
        409,
        "The route leads to the other broker already; only another failover changes that.",
    )
    DRILL_RUNNING = ("drill-running", 409, "Another drill of this route or broker is not over yet.")
    ENDPOINT_NOT_READY = (
        "endpoint-not-ready",
        409,
        "The webhook's endpoint is disabled, or too much waits for it already.",
    )
    STALE_EPOCH = ("stale-epoch", 412, "The route has changed its broker since it was looked at.")
    STALE_VERSION = ("stale-version", 412, "If-Match names an older version.")
    SELECTION_GREW = ("selection-grew", 412, "More orders are in scope by now than you saw.")
    BODY_TOO_LARGE = ("body-too-large", 413, "The body is larger than the route takes.")
    VALIDATION_FAILED = ("validation-failed", 422, "A field is missing, unknown or malformed.")
    IDEMPOTENCY_KEY_REUSED = (
        "idempotency-key-reused",
        422,
        "The key came before with another request; a new request takes a new key.",
    )
    TOO_MANY_ORDERS = ("too-many-orders", 422, "A batch carries at most 1,000 orders.")
    UNKNOWN_MARKET = ("unknown-market", 422, "No such market here (tag 207 wants a MIC).")
    UNKNOWN_SYMBOL = ("unknown-symbol", 422, "The market does not list this symbol.")
    BAD_QUANTITY = ("bad-quantity", 422, "The quantity is not a positive multiple of the lot.")
    QUANTITY_TOO_LARGE = ("quantity-too-large", 422, "The quantity is above the limit.")
    NOTIONAL_TOO_LARGE = ("notional-too-large", 422, "Price times quantity is above the limit.")
    PRICE_REQUIRED = ("price-required", 422, "A limit order needs limit_price.")
    PRICE_NOT_ALLOWED = ("price-not-allowed", 422, "A market order takes no limit_price.")
    PRICE_OFF_TICK = ("price-off-tick", 422, "The price is not a multiple of the tick.")
    PRICE_OUT_OF_BAND = ("price-out-of-band", 422, "The price is outside the band.")
    BAD_CURRENCY = ("bad-currency", 422, "The market does not trade in this currency.")
    UNKNOWN_SESSION = ("unknown-session", 422, "The market has no such trading session.")
    SESSION_CLOSED = (
        "session-closed",
        422,
        "The market is closed; name a trading_session_id to reserve.",
    )
    SESSION_OVER = ("session-over", 422, "The session has ended.")
    RATE_OUT_OF_BOUNDS = (
        "rate-out-of-bounds",
        422,
        "A rate is a whole number from 1 to the broker's contract; a floor is below its ceiling.",
    )
    SCHEDULE_INVALID = (
        "schedule-invalid",
        422,
        "An edge names an instant such as open, open-60m or close-10m, each once.",
    )
    TRADING_HALTED = ("trading-halted", 423, "A halt covers this order.")
    PRECHECKS_FAILED = ("prechecks-failed", 422, "The other broker is not fit for this now.")
    DRILL_REFUSED = (
        "drill-refused",
        422,
        "A drill makes only a simulated broker ill, and in market hours only if it is told to.",
    )
    IF_MATCH_REQUIRED = ("if-match-required", 428, "This write needs If-Match.")
    CONFIRM_REQUIRED = (
        "confirm-required",
        428,
        "So large a step needs X-Confirm with the name of what it changes.",
    )
    QUOTA_EXCEEDED = ("quota-exceeded", 429, "The caller is over its quota.")
    INTERNAL = ("internal-error", 500, "A fault of ours; the request id finds it in the log.")
    OVERLOADED = ("overloaded", 503, "Too much at once: no order exists; try again later.")
    DRAINING = ("draining", 503, "The gateway is stopping: no order exists; try again.")
    COMMIT_OUTCOME_UNKNOWN = (
        "commit-outcome-unknown",
        503,
        "It may exist: ask again with the same client_order_id.",
    )
    STORE_AWAY = (
        "store-away",
        503,
        "A store cannot be reached. What was asked for may have happened: look, then ask again.",
    )
    ATTEMPTS_EXHAUSTED = ("attempts-exhausted", 0, "No broker took it in 99 attempts.")
    HELD_BY_OPERATOR = ("held-by-operator", 0, "An operator holds it back until one lets it go.")
    BROKER_LACKS = (
        "broker-lacks",
        0,
        "The broker of its route does not take such an order: its market, type or account.",
    )
    BROKER_REFUSED = ("broker-refused", 0, "The broker refused the order.")
    STRAY_EVIDENCE = (
        "stray-evidence",
        0,
        "A broker reported on an attempt that was settled as never received; a person decides.",
    )
    OPERATOR_VERDICT = ("operator-verdict", 0, "An operator settled the doubt.")

    def __init__(self, code: str, status: int, title: str) -> None:
        self.code = code
        self.status = status  # 0: stands on orders only, never in a problem reply
        self.title = title

    @classmethod
    def of(cls, code: str) -> Self:
        """Return the member with this code, or raise `KeyError`."""
        return {member.code: member for member in cls}[code]


class InvalidTransition(Exception):
    """A move that the law does not know. A bug of ours, or a stranger's impossible report."""


class Refused(Exception):
    """What the client did wrong: a 4xx, no order, nobody paged."""

    def __init__(self, code: Code, detail: str, **context: object) -> None:
        super().__init__(f"{code.code}: {detail}")
        self.code = code
        self.detail = detail
        self.context: Mapping[str, object] = context


class Busy(Exception):
    """What we cannot do now: 503 with `Retry-After`, and no order exists."""

    def __init__(self, code: Code, retry_after_s: float) -> None:
        super().__init__(code.code)
        self.code = code
        self.retry_after_s = retry_after_s
