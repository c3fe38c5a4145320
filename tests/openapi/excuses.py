"""What the play may find and is no fault: one row each, with its reason.

Everything else that it finds is mended, in the gateway or in its document.
"""

from typing import Final

# --- answers --------------------------------------------------------------------------------

# Statuses that a request may get although it fits its schema. That it was read is asked by a
# check of ours; what the order itself is refused for has a code of its own.
FITTING: Final[dict[str, str]] = {
    "2xx": "done",
    "401": "the key of the run is withheld on purpose, or the callback's is another",
    "403": "the run with a key that lacks the scope",
    "404": "no such thing, or not the caller's",
    "409": "the thing stands otherwise",
    "412": "an old version was named",
    "422": "read, and refused for what it wants: no such market, off the tick, above the contract",
    "423": "a halt covers it, for halts are played as well",
    "428": "so large a step must be confirmed",
}
# And one that does not fit: what is decided from the path or a header comes before the body.
UNFIT: Final = ("400", "401", "403", "404", "405", "409", "412", "413", "422", "423", "428")
# If-Match that is missing has a status of its own.
HEADER_MISSING: Final = ("400", "401", "403", "422", "428")

# Fields whose schema cannot say what fits, of one operation or of any (*).
FIELDS: Final[dict[tuple[str, str], str]] = {
    ("*", "cursor"): "it must have been given for this very listing",
    ("*", "Idempotency-Key"): "it is read without the blanks around it, which HTTP drops",
    **{
        (name, field): why
        for name in ("mass_cancel_as_operator", "hold_orders", "release_orders")
        for field, why in (
            ("selection_id", "it must have been given for this very scope"),
            ("everything", "either that, or something is named"),
            ("expected_count", "only a dry run needs none"),
        )
    },
    ("propose", "*"): "what it proposes is read as the operation that it names reads it",
    ("kill", "id"): "only a kill of all names nothing",
    ("mass_cancel", "account_id"): "what a key that sees every account must name depends on it",
    ("halt", "id"): "only a halt of all names nothing",
    ("resume", "id"): "only a halt of all names nothing",
    ("amend_order", "quantity"): "one of two fields, whichever",
    ("set_broker_rate", "tps"): "at least one of several fields",
    ("set_broker_rate", "revert_to"): "only beside tps and ttl_s",
    ("set_breaker_config", "failures_max"): "at least one of several fields",
    ("set_breaker_config", "open_s"): "not above the longest wait",
    ("set_breaker_config", "trials_in_flight_max"): "no more at once than there are trials",
    ("override_session", "opens_at"): "months have their days, and a session its order of bells",
    ("override_session", "closes_at"): "months have their days",
    ("list_orders", "trade_date"): "months have their days",
    ("list_orders", "updated_after"): "months have their days",
    ("list_orders", "created.gte"): "months have their days",
    ("list_orders", "created.lt"): "months have their days",
    ("resolve_doubt", "price"): "only of a fill",
    ("settle_stray", "price"): "only of a fill",
    ("set_route_policy", "candidates"): "they must be brokers here",
    ("create_webhook", "url"): "whether a host is public is not seen by its name",
    ("change_webhook", "url"): "whether a host is public is not seen by its name",
    ("create_webhook", "accounts"): "an account has so many endpoints, and the gateway",
    ("change_webhook", "accounts"): "an account has so many endpoints, and the gateway",
    ("replay_webhook", "since"): "months have their days",
    **dict.fromkeys(
        ((name, "rule") for name in ("set_anomaly_rule", "test_anomaly_rule")),
        "what a rule may say depends on the rule: GET shows all that it can",
    ),
    ("resolve_anomaly", "anomaly_id"): "only what people have raised is ended by people",
}
# Words of the reader by which every operation refuses what JSON Schema allows.
WORDS: Final[dict[str, str]] = {
    "int_type": "JSON Schema counts 5.0 as an integer; a rate of 5.0 is a slip to us",
}

# --- checks ---------------------------------------------------------------------------------

# Checks that an operation is spared, and why.
SPARED: Final[dict[tuple[str, str], str]] = {
    ("create_orders", "negative_data_rejection"): "each item is answered by itself, under one 200",
    **dict.fromkeys(
        (
            (name, "negative_data_rejection")
            for name in (
                *("take_alertmanager_alerts", "take_grafana_alerts"),
                *("put_grafana_alerts", "take_alerts"),
            )
        ),
        "a sender does not repeat what was refused, so all that has an alert in it is read",
    ),
    ("get_order", "use_after_free"): "DELETE cancels an order; it stays, and can be read for ever",
}
