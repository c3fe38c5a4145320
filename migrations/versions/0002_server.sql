CREATE SEQUENCE accept_sequence;

CREATE TABLE attempts (
    broker_order_key TEXT NOT NULL,
    trade_date DATE NOT NULL,
    order_id TEXT NOT NULL,
    attempt_number BIGINT NOT NULL,
    broker_id TEXT NOT NULL,
    route_id TEXT NOT NULL,
    route_epoch BIGINT NOT NULL,
    owner_epoch BIGINT NOT NULL,
    rank BIGINT NOT NULL,
    claimed_at BIGINT NOT NULL,
    sent_ns BIGINT,
    send_count BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    settled_by TEXT,
    settled_at BIGINT,
    PRIMARY KEY (broker_order_key, trade_date)
)
 PARTITION BY RANGE (trade_date);

CREATE TABLE audit (
    sequence BIGINT NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    resource TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    reason TEXT NOT NULL,
    request_id TEXT NOT NULL,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (sequence)
);

CREATE TABLE broker_control (
    broker_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    tps BIGINT NOT NULL,
    dispatch TEXT NOT NULL,
    breaker TEXT NOT NULL,
    changed_by TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    reason TEXT NOT NULL,
    expires_at BIGINT,
    reverts_to TEXT,
    PRIMARY KEY (broker_id)
);

CREATE TABLE broker_leases (
    broker_id TEXT NOT NULL,
    holder TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (broker_id)
);

CREATE TABLE cancel_requests (
    order_id TEXT NOT NULL,
    trade_date DATE NOT NULL,
    accept_sequence BIGINT NOT NULL,
    PRIMARY KEY (order_id)
)
 WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE dispatch_inflight (
    order_id TEXT NOT NULL,
    broker_order_key TEXT NOT NULL,
    trade_date DATE NOT NULL,
    broker_id TEXT NOT NULL,
    outcome TEXT NOT NULL,
    claim BIGINT NOT NULL,
    PRIMARY KEY (order_id)
)
 WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX inflight_by_broker ON dispatch_inflight (broker_id);

CREATE TABLE dispatch_ready (
    route_id TEXT NOT NULL,
    rank BIGINT NOT NULL,
    accept_sequence BIGINT NOT NULL,
    trade_date DATE NOT NULL,
    account_id TEXT NOT NULL,
    symbol TEXT NOT NULL,
    trading_session_id TEXT NOT NULL,
    PRIMARY KEY (route_id, rank, accept_sequence)
)
 WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX ready_by_account ON dispatch_ready (account_id, route_id, accept_sequence);

CREATE TABLE executions (
    execution_id TEXT NOT NULL,
    broker_id TEXT NOT NULL,
    execution_date TEXT NOT NULL,
    trade_date DATE NOT NULL,
    order_id TEXT NOT NULL,
    referenced_execution_id TEXT,
    report TEXT NOT NULL,
    applied_at BIGINT NOT NULL,
    PRIMARY KEY (execution_id, broker_id, execution_date, trade_date)
)
 PARTITION BY RANGE (trade_date);

CREATE INDEX executions_by_order ON executions (order_id);

CREATE TABLE halts (
    scope TEXT NOT NULL,
    target TEXT NOT NULL,
    halted_by TEXT NOT NULL,
    halted_at BIGINT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (scope, target)
);

CREATE TABLE lanes (
    broker_id TEXT NOT NULL,
    status TEXT NOT NULL,
    shown_at BIGINT NOT NULL,
    PRIMARY KEY (broker_id)
);

CREATE TABLE order_events (
    order_id TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    trade_date DATE NOT NULL,
    type TEXT NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    cause TEXT NOT NULL,
    PRIMARY KEY (order_id, sequence, trade_date)
)
 PARTITION BY RANGE (trade_date);

CREATE TABLE order_keys (
    account_id TEXT NOT NULL,
    client_order_id TEXT NOT NULL,
    order_id TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    accepted_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, client_order_id)
)
 PARTITION BY HASH (account_id);

CREATE TABLE orders (
    accept_sequence BIGINT NOT NULL,
    trade_date DATE NOT NULL,
    order_id TEXT NOT NULL,
    session_date DATE NOT NULL,
    trading_session_id TEXT NOT NULL,
    account_id TEXT NOT NULL,
    client_order_id TEXT NOT NULL,
    list_id TEXT,
    symbol TEXT NOT NULL,
    market TEXT NOT NULL,
    side TEXT NOT NULL,
    order_type TEXT NOT NULL,
    quantity NUMERIC NOT NULL,
    limit_price NUMERIC,
    currency TEXT NOT NULL,
    time_in_force TEXT NOT NULL,
    text TEXT,
    accepted_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    status TEXT NOT NULL,
    pending_request TEXT NOT NULL,
    filled_quantity NUMERIC NOT NULL,
    overfilled_quantity NUMERIC NOT NULL,
    filled_value NUMERIC NOT NULL,
    average_price NUMERIC,
    broker_id TEXT,
    broker_order_id TEXT,
    reason_code TEXT,
    cancel_origin TEXT,
    done_for_day BIGINT NOT NULL,
    released_at BIGINT,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (accept_sequence, trade_date)
)
 PARTITION BY RANGE (trade_date);

CREATE INDEX orders_by_account ON orders (account_id, accept_sequence);

CREATE UNIQUE INDEX orders_by_id ON orders (order_id, trade_date);

CREATE TABLE outbox (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    event_id TEXT NOT NULL,
    aggregatetype TEXT NOT NULL,
    aggregateid TEXT NOT NULL,
    type TEXT NOT NULL,
    payload TEXT NOT NULL,
    shard SMALLINT GENERATED ALWAYS AS ((hashtext(aggregateid) & 15)::smallint) STORED NOT NULL,
    PRIMARY KEY (id)
)
 WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE quarantine (
    broker_id TEXT NOT NULL,
    broker_order_key TEXT NOT NULL,
    execution_id TEXT NOT NULL,
    cause TEXT NOT NULL,
    report TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (broker_id, broker_order_key, execution_id)
);

CREATE TABLE questions (
    broker_order_key TEXT NOT NULL,
    answer TEXT,
    PRIMARY KEY (broker_order_key)
);

CREATE TABLE reserved_book (
    trading_session_id TEXT NOT NULL,
    accept_sequence BIGINT NOT NULL,
    trade_date DATE NOT NULL,
    route_id TEXT NOT NULL,
    PRIMARY KEY (trading_session_id, accept_sequence)
)
 WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE routes (
    route_id TEXT NOT NULL,
    active_broker TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    PRIMARY KEY (route_id)
);

CREATE TABLE session_overrides (
    trading_session_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    opens_at BIGINT NOT NULL,
    closes_at BIGINT NOT NULL,
    changed_by TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (trading_session_id)
);
