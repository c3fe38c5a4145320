"""A broker of our own: it answers, fills, throttles, lies and dies on command, and keeps record.

Its audit file is the second witness of every promise about sending: written and fsynced
before an answer leaves, by a process that imports nothing from the gateway. The trap it
avoids: a double that shares code with what it judges, so that both are wrong together.

Start it with `python -m app.brokers.sim --help`. All of it is JSON over HTTP/1.1; amounts
are decimal strings. Every call but `GET /sim/stats` wants `Authorization: Bearer <secret>`.

    POST /v1/orders   {"orders": [{client_order_id, account, symbol, market, side: buy|sell,
                       type: market|limit, quantity, limit_price|null, currency,
                       time_in_force}]}
      200 {"results": [{client_order_id, status: accepted|rejected|throttled, order_id?, code?,
                        detail?, retry_after?}]}, one each, in order. 429 with Retry-After
      refuses the whole request, 400 {code, detail} one that cannot be read, 401 the caller.
    POST /v1/cancels  {"orders": [{client_order_id}]}
      200 {"results": [...]}: accepted, or rejected with code too-late, unknown-order or
      already-pending; or throttled.
    POST /v1/replaces {"orders": [{client_order_id, original_client_order_id, quantity,
                       limit_price|null}]}
      200 as of cancels. The order is one before and after; it is called by the new id from
      then on, and is found by each. A quantity below what has traded becomes what has traded.
    POST /v1/lookups  {"client_order_ids": [...]}
      200 {"results": [{client_order_id, found: false} or {client_order_id, found: true,
                        order_id, status: new|partially_filled|filled|canceled|expired|
                        rejected, filled, reason, pending, quantity, limit_price,
                        executions: [report, ...]}]}; pending: the id is that of a replace
                        which is not decided yet; one that was refused is not found
    GET  /v1/ping     200 {"broker": name}

Reports are pushed: POST to the callback URL, `X-Callback-Id` (the same for each repetition),
`X-Signature: t=<unix s>,v1=<hex HMAC-SHA256(secret, "<t>." + body)>`, body {"broker": name,
"reports": [{client_order_id, order_id, execution_id, type, trade_date, at_ms, last_quantity,
last_price, referenced_execution_id, reason, possible_duplicate, quantity, limit_price}]}, at
most 500, repeated with back-off until a 2xx, in order unless `disorder` is on. `type` is new,
trade, canceled, expired, done_for_day, trade_cancel, trade_correct, replaced (with the terms as
they stand) or replace_rejected.

The control plane: GET /sim/stats · POST /sim/faults {name: {probability, count, for_s, d, k,
bytes_per_s, on} or null, "*": null} (names in `faults.py`; one request: header `X-Sim-Fault:
name;d=0.5;k=3`) · POST /sim/tps {"tps": N|null} · POST /sim/fill {client_order_id, type?,
last_quantity?, last_price?, referenced_execution_id?} · POST /sim/flush {"timeout_s": 10}
(what is planned happens now; returns when it is told) · POST /sim/session-end (day orders
expire).

The audit file has one JSON object a line; `messages.AuditLine` names every field.
"""
