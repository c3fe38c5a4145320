"""Every knob, read once. Names carry their units; what is unknown or contradictory is refused.

`OPENBELL_…` variables set the fields below (`OPENBELL_PORT=8081`); structures are JSON. This is
the only file that reads the environment.
"""

import os
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.crash import POINTS

PREFIX: Final = "OPENBELL_"
# These belong to the command line's own options, and to the tests, not to the gateway.
CLI_ONLY: Final = frozenset(
    {"OPENBELL_URL", "OPENBELL_ADMIN_URL", "OPENBELL_CONTEXT"}
    | {"OPENBELL_KEY", "OPENBELL_APPROVER_KEY"}
)
TESTS_ONLY: Final = "OPENBELL_REQUIRE"


# Below this, somebody guesses it.
HOOK_SECRET_MIN: Final = 16
Role = Literal["all", "api", "dispatcher", "relay", "projector", "failover", "throttle", "alarms"]

OperatorRole = Literal["viewer", "operator", "approver"]


class BrokerSettings(BaseModel):
    """One broker: which adapter speaks to it, how fast, and the adapter's own options."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    adapter: str = "http"
    orders_per_second: int = Field(default=200, ge=1, description="the number at first start")
    options: dict[str, Any] = {}
    drill_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s/]+",
        description="a simulated broker's control address: drills may make it ill",
    )


class KafkaSettings(BaseModel):
    """The cluster that carries events, where it is not the embedded log."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bootstrap: str = Field(description="host:port, several by comma")
    partitions: int = Field(default=16, ge=1, description="of each topic, for ever: keys map to it")
    replication: int = Field(default=3, ge=1, description="copies of each partition")
    min_insync: int = Field(default=2, ge=1, description="copies that acknowledge a write")
    tls: bool = Field(default=False, description="encrypt, and verify the cluster's certificate")
    tls_ca_file: Path | None = Field(default=None, description="who vouches; default the system's")
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    sasl_username: str | None = Field(default=None, description="without it, no log-on")
    sasl_password: SecretStr | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.min_insync > self.replication:
            raise ValueError(
                f"min_insync {self.min_insync} needs more copies than replication"
                f" {self.replication} keeps"
            )
        if (self.sasl_username is None) != (self.sasl_password is None):
            raise ValueError("sasl_username and sasl_password go together")
        return self


class MongoSettings(BaseModel):
    """The account store, where it is not the embedded one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(description="mongodb://…")
    database: str = Field(default="openbell", description="its name there")
    driver: Literal["motor", "pymongo"] = Field(default="motor", description="the client library")


class QuotaSettings(BaseModel):
    """What callers may ask for in a second; null lifts one. A shared `redis_url` counts for all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # A loader brings a million orders under one key in a minute or two; an account is a person,
    # and a person's program. What the machine cannot do is shed by intake itself.
    key_orders_per_second: int | None = Field(default=20_000, ge=1, description="of one API key")
    account_orders_per_second: int | None = Field(default=1_000, ge=1, description="for an account")
    global_orders_per_second: int | None = Field(default=None, ge=1, description="of all callers")
    key_reads_per_second: int | None = Field(default=2_000, ge=1, description="of one API key")
    # A budget of its own: whoever has spent his orders must still get out of the market, and a
    # program gone wild that cancels in a circle must not hold the writer.
    key_cancels_per_second: int | None = Field(default=20_000, ge=1, description="of one API key")


class SlackSettings(BaseModel):
    """Where people are told: by an incoming webhook, or by a bot that can edit its messages."""

    # Whoever has the webhook's address can post: an error must not print it.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    webhook_url: SecretStr | None = Field(default=None, description="https://hooks.slack.com/…")
    bot_token: SecretStr | None = Field(default=None, description="xoxb-…, with `chat:write`")
    channel: str | None = Field(default=None, description="the bot's channel: its id, or #name")
    console_url: str | None = Field(
        default=None, pattern=r"^https?://[^\s/]+", description="where links in messages lead"
    )
    api_url: str = Field(
        default="https://slack.com/api",
        pattern=r"^https?://[^\s/]+",
        description="Slack's Web API, or a relay to it",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.webhook_url is None) == (self.bot_token is None):
            raise ValueError("expected either webhook_url, or bot_token and channel")
        if (self.bot_token is None) != (self.channel is None):
            raise ValueError("bot_token and channel go together")
        if self.webhook_url is not None:
            scheme, _, rest = self.webhook_url.get_secret_value().partition("://")
            if scheme not in {"https", "http"} or not rest:
                raise ValueError("webhook_url: expected https://…")
        for secret in (self.webhook_url, self.bot_token):
            if secret is not None and not secret.get_secret_value().isprintable():
                raise ValueError("webhook_url and bot_token are one line each")
        return self


class HookSettings(BaseModel):
    """How a system that sends alerts proves who it is: by a token, or by signing what it sends."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: SecretStr | None = Field(default=None, description="Authorization: Bearer …")
    hmac_secret: SecretStr | None = Field(default=None, description="of HMAC-SHA256 over the body")
    hmac_header: str = Field(default="X-Grafana-Alerting-Signature", description="the signature")
    hmac_timestamp_header: str | None = Field(default=None, description="signed before the body")

    @model_validator(mode="after")
    def _locked(self) -> Self:
        secrets = [s for s in (self.token, self.hmac_secret) if s is not None]
        if not secrets or any(len(s.get_secret_value()) < HOOK_SECRET_MIN for s in secrets):
            raise ValueError(f"a hook needs a token or hmac_secret of {HOOK_SECRET_MIN} letters")
        return self


class OperatorSettings(BaseModel):
    """Who vouches for operators that carry a token (JWT) in the place of a key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field(min_length=1, description="`iss` of its tokens")
    audience: str = Field(
        min_length=1, description="`aud` of its tokens: this gateway's name there"
    )
    # Whoever can change what comes from there is every operator, so it comes by TLS, or from here.
    jwks_url: str | None = Field(
        default=None,
        pattern=r"^(https://[^\s/@]+|http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?)(/\S*)?$",
        description="its public keys: https, or this machine",
    )
    jwks_file: Path | None = Field(default=None, description="or a file with them")
    role_claim: str = Field(default="openbell_role", description="which claim names the roles")
    roles: dict[str, OperatorRole] = Field(
        default={"viewer": "viewer", "operator": "operator", "approver": "approver"},
        description="the claim's words, and what role each one is",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.jwks_url is None) == (self.jwks_file is None):
            raise ValueError("expected either jwks_url or jwks_file")
        return self


class WebhookSettings(BaseModel):
    """Where customers may want to be told of their orders."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hosts: list[str] = Field(
        default=[], description="these and what is below them; empty: every public host"
    )
    loopback: bool = Field(
        default=False, description="http to this machine as well: for development only"
    )


class Settings(BaseSettings):
    """What a gateway is started with."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="forbid",
        env_nested_delimiter="__",
        # What is wrong is told, what was given is not: it may be a password.
        hide_input_in_errors=True,
    )

    data_dir: Path = Field(default=Path("data"), description="where the embedded stores live")
    host: str = Field(default="127.0.0.1", description="address that the API listens on")
    port: int = Field(default=8080, ge=0, le=65535, description="its port; 0 picks a free one")
    admin_host: str = Field(default="127.0.0.1", description="address of the operators' own port")
    admin_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="operator API, console, alerts and metrics answer here alone; unset: at `port`",
    )
    brokers: dict[str, BrokerSettings] = Field(default={}, description="by broker id")
    routes: dict[str, str] = Field(default={}, description="market (MIC) to broker id, first start")
    role: Role = Field(default="all", description="which part of the gateway this process is")
    ledger_url: str | None = Field(
        default=None,
        pattern=r"^postgres(ql)?://",
        description="postgresql://…; without it, SQLite in data_dir",
    )
    kafka: KafkaSettings | None = Field(default=None, description="without it, a log in data_dir")
    mongo: MongoSettings | None = Field(default=None, description="without it, SQLite in data_dir")
    redis_url: str | None = Field(
        default=None,
        pattern=r"^redis(s|\+unix)?://",
        description="quotas shared by API processes; without it, each its own",
    )
    quotas: QuotaSettings | None = Field(
        default=None,
        description="orders and reads a second by key and account; `{}` or `redis_url`: generous",
    )
    slack: SlackSettings | None = Field(
        default=None, description="who is told of trouble; without it, the log"
    )
    hooks: dict[Literal["alertmanager", "grafana", "generic"], HookSettings] = Field(
        default={}, description="who may send alerts to /hooks, and their secrets"
    )
    webhooks: WebhookSettings = Field(
        default=WebhookSettings(), description="where customers' endpoints may be"
    )
    instruments_file: Path | None = Field(default=None, description="what we trade; JSON")
    keys_file: Path | None = Field(default=None, description="API keys; default in data_dir")
    operators: OperatorSettings | None = Field(
        default=None, description="whose tokens operators may carry; without it, keys alone"
    )
    environment: str = Field(
        default="", max_length=24, description="this house's name on the console: `prod-kr`"
    )
    docs: bool = Field(default=True, description="serve /docs, /openapi.json and /asyncapi.json")
    view: bool = Field(default=True, description="run the relay and the account view")
    unlimited: bool = Field(default=False, description="no pace at all: for benchmarks only")
    bus_keep_s: int = Field(default=600, ge=0, description="how long consumed events are kept")
    drain_s: int = Field(default=45, ge=0, description="how long a stop waits for answers")
    # Longer than a load balancer keeps one to us (60 s is usual): if we are the first to close it,
    # an order that is on its way at that moment is answered by nobody.
    keep_alive_s: int = Field(
        default=75, ge=1, le=3_600, description="how long a connection may rest before we close it"
    )
    crash_at: str | None = Field(default=None, description="`point:passes`: for tests only")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for market, broker in self.routes.items():
            if broker not in self.brokers:
                raise ValueError(f"routes: {market} leads to {broker!r}, which is no broker here")
        if self.role != "all" and not (self.ledger_url and self.kafka and self.mongo):
            raise ValueError(
                f"role {self.role}: a part of a gateway needs stores that parts can share"
                " (ledger_url, kafka, mongo)"
            )
        if self.admin_port and self.admin_port == self.port:
            raise ValueError(f"admin_port: expected another one than port, {self.port}")
        if self.crash_at is not None:
            name, _, passes = self.crash_at.partition(":")
            if name not in POINTS or not passes.isdigit():
                raise ValueError(f"crash_at: expected `point:passes`, was {self.crash_at!r}")
        return self

    @property
    def keys(self) -> Path:
        """Where the API keys stand."""
        return self.keys_file or self.data_dir / "keys.json"


def read_settings(**given: Any) -> Settings:
    """Read the environment under what the command line gave; refuse variables we do not know."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    strange = sorted(
        name
        for name in os.environ
        if name.startswith(PREFIX)
        and not name.startswith("OPENBELL_TEST_")
        and name not in CLI_ONLY
        and name != TESTS_ONLY
        and name.split("__")[0] not in known
    )
    if strange:
        raise ValueError(f"unknown settings {strange}; known: {sorted(known)}")
    return Settings(**given)


def environment() -> dict[str, str]:
    """Return our own part of the environment, for processes that are to have the same."""
    return {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}


def inherited() -> dict[str, str]:
    """Return the environment for a child process, without the settings that were meant for us."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
