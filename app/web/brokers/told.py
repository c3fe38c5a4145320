"""What operators are told of brokers, as OpenAPI describes it: dials, rates, lanes, sessions.

These models describe and read nothing: a reply is made by its door. That both agree is seen by
the test that plays the whole document against a running gateway, and by nothing else.
"""

from pydantic import Field

from app.web.told import At, AuditId, BrokerId, Person, Told, Tps, Version, Why


class EdgeTold(Told):
    """From an instant of each session on, a number."""

    at: str = Field(examples=["open+10m"])
    tps: Tps


class TuningTold(Told):
    """How a broker's rate is found."""

    mode: str = Field(examples=["manual"])
    floor: int | None
    ceiling: int | None
    target_ms: int = Field(examples=[500])
    ramp_s: int = Field(examples=[0])
    schedule: list[EdgeTold]
    held: bool = Field(description="A person's number stands above the schedule.")
    circuit: dict[str, float] = Field(
        description="The breaker's numbers that people have turned.", examples=[{"open_s": 10.0}]
    )
    reset_version: int = Field(description="Which version reset the breaker; 0: none.")
    reset_to: str = Field(examples=["half_open"])


class ControlTold(Told):
    """What operators have set for a broker."""

    broker_id: BrokerId
    version: Version
    tps: Tps = Field(description="Messages a second, cluster-wide.")
    dispatch: str = Field(description="running or paused.", examples=["running"])
    breaker: str = Field(
        description="auto, forced_open, forced_closed or metrics_only.", examples=["auto"]
    )
    changed_by: Person
    changed_at: At
    reason: Why
    expires_at: At | None
    reverts_to: str | None = Field(description="JSON of what comes back then.")
    tuning: TuningTold


class HealthTold(Told):
    """How a broker does, measured over the last ten seconds."""

    broker_id: BrokerId
    at: At
    sent: int = Field(description="Answers that say something of the broker.")
    error_ratio: float
    p95_ms: float | None
    silent: bool = Field(description="Orders went out, and nothing at all came back.")
    session_up: bool
    ping: bool | None
    bad_since: At | None
    good_since: At | None


class RefusalTold(Told):
    """How often a broker rejected an order for one reason."""

    code: str = Field(description="The broker's own, cut to 40 letters.", examples=["price"])
    count: int


class AnswersTold(Told):
    """What a broker's answers say beyond its health."""

    p99_ms: float | None = Field(description="Of the last ten seconds.")
    refusals: list[RefusalTold] = Field(
        description="The three most frequent since its lane's process began."
    )


class LaneTold(Told):
    """What a broker's lane does at this moment."""

    broker_id: BrokerId
    owner_epoch: int
    running: bool
    why_not: str | None
    tps_configured: Tps
    tps_effective: Tps = Field(description="What acts now.")
    applied_version: int
    in_flight: int
    sent_total: int
    sent_last_second: int
    answers: dict[str, int]
    circuit: str = Field(examples=["closed"])
    circuit_reason: str
    next_trial_s: float | None
    tps_contract: Tps
    health: HealthTold | None
    tps_in_force: Tps
    tps_source: str = Field(examples=["operator"])
    tps_advised: int | None
    throttle_wish_s: float | None
    open_to_send_p50_ms: int | None = Field(
        description="From the bell to the write, of the orders that waited for the latest one."
    )
    open_to_send_p99_ms: int | None
    heard: AnswersTold | None


class BrokerTold(ControlTold):
    """One broker: what is set, what waits for it, what its lane does."""

    contract: Tps = Field(description="The most that the broker allows.")
    backlog: int = Field(description="Orders that wait for it.")
    in_doubt: int = Field(description="Orders that it has not answered.")
    lane: LaneTold | None


class BreakerTold(Told):
    """A broker's breaker; nothing is known of one whose lane no process has shown."""

    broker_id: BrokerId
    version: Version
    mode: str = Field(examples=["auto"])
    expires_at: At | None
    circuit: str | None = Field(examples=["closed"])
    circuit_reason: str | None
    next_trial_s: float | None


class BrokersTold(Told):
    """Every broker."""

    data: list[BrokerTold]


class AppliedTold(Told):
    """Who acts on the change, and since when."""

    epoch: int
    version: Version
    at: At


class DialTold(Told):
    """What a change has made of a broker's dials, and how to take it back."""

    broker_id: BrokerId
    version: Version
    configured: Tps
    effective: int | None
    source: str | None
    mode: str = Field(examples=["manual"])
    breaker: str = Field(examples=["auto"])
    dispatch: str = Field(examples=["running"])
    applied: AppliedTold | None = Field(description="null: no lane has said that it acts on it.")
    expires_at: At | None
    audit_id: AuditId | None
    undo_url: str = Field(examples=["/admin/v1/brokers/north/undo?audit_id=17"])


class RatePreviewTold(Told):
    """What a rate would mean: a dry run."""

    dry_run: bool = Field(examples=[True])
    orders_affected: int
    eta_before: str | None = Field(examples=["00:05:12"])
    eta_after: str | None = Field(examples=["00:03:15"])
    warnings: list[str]


class InForceTold(Told):
    """The number that counts now, and by whose word."""

    tps: Tps
    source: str = Field(examples=["schedule"])


class TurnTold(Told):
    """The next change of the number."""

    at: At
    acts_at: At
    tps: Tps


class ScheduleTold(Told):
    """A broker's profile."""

    broker_id: BrokerId
    version: Version
    schedule: list[EdgeTold]
    in_force: InForceTold
    next_change: TurnTold | None


class BrokerSessionTold(Told):
    """A broker's session."""

    broker_id: BrokerId
    session_id: str
    state: str
    why: str | None
    host: str | None
    since: At
    numbering: Version
    next_out: int = Field(description="Tag 34 of our next message.")
    next_in: int = Field(description="Tag 34 of theirs.")
    last_out_at: At | None
    last_in_at: At | None
    alarm: str | None


class BrokerSessionResetTold(Told):
    """A numbering that has begun anew."""

    broker_id: BrokerId
    session_id: str
    numbering: Version
    next_out: int
    next_in: int
    connection: str
    audit_id: AuditId | None


class BrokerSessionEndedTold(Told):
    """What became of the connection."""

    broker_id: BrokerId
    connection: str
    audit_id: AuditId | None
