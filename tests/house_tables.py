"""The tables behind the rules of the house: where things live, and the few exceptions.

To change the house, change a row here, in the same commit as the code, and say why. A row that
excuses something carries its reason.
"""

import re

# Imports only ever point down; neighbours on a floor never import each other.
FLOORS = (
    {"__init__", "clock", "crash", "domain", "ending", "sdk"},
    {"codec", "ports", "reference", "settings", "sql"},
    {"consuming", "effective", "letters", "mishaps", "postgres", "sqlite"},
    {"intake", "dispatch", "failover", "diagnostics", "quotes"}
    | {"ledger", "bus", "accounts", "brokers", "alarms", "webhooks"},
    {"stores"},
    {"sending", "watching"},
    {"gateway"},
    {"wiring"},
    {"web"},
    {"main"},
    {"cli"},
    {"__main__"},
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# It plays strangers, so it shares no code with the house, not even the words.
STRANGER = "app/brokers/sim/"

# Every package has its homes, so that swapping it touches them alone. A package without a row
# may not be imported: a new dependency is a visible decision.
HOMES: dict[str, set[str]] = {
    "aiohttp": {"app/alarms/", "app/brokers/", "app/cli/", "app/sdk/", "app/webhooks/"}
    | {"app/web/access/issuer_keys.py"},
    # A bench holds the house beside what its clients do alone.
    "aiokafka": {"app/bus/", "app/cli/bench/raw.py"},
    "alembic": {"app/ledger/"},
    "bson": {"app/accounts/"},
    "exchange_calendars": {"app/cli/"},
    "fastapi": {"app/web/"},
    "jwt": {"app/web/access/tokens.py"},
    "limits": {"app/dispatch/", "app/web/"},
    # The dialect of a broker and the requests of a client are shapes of their own rooms.
    "msgspec": {"app/accounts/", "app/brokers/", "app/bus/", "app/codec.py", "app/web/"},
    "motor": {"app/accounts/mongo.py"},
    "prometheus_client": {"app/diagnostics/", "app/main.py", "app/web/"},
    "pybreaker": {"app/dispatch/"},
    "pydantic": {"app/settings.py", "app/web/"},
    "pydantic_core": {"app/web/"},  # pydantic's own errors are named there
    "pydantic_settings": {"app/settings.py"},
    "psycopg": {"app/cli/", "app/ledger/"},
    "pyarrow": {"app/accounts/history/"},
    "pymongo": {"app/accounts/", "app/cli/bench/raw.py"},
    # pytest finds the plug-in by its entry point; nothing of ours imports either.
    "pytest": {"app/brokers/conformance/pytest_plugin.py", "app/cli/check_broker/pytest_items.py"},
    "redis": {"app/quotes/", "app/web/"},
    "rich": {"app/cli/"},
    "simplefix": {"app/brokers/", "app/cli/bench/fix.py"},
    "sqlalchemy": {"app/accounts/", "app/bus/", "app/ledger/"}
    | {"app/postgres.py", "app/sql.py", "app/sqlite.py"},
    "starlette": {"app/web/"},
    "structlog": {"app/cli/", "app/diagnostics/"},
    "typer": {"app/cli/"},
    "uvicorn": {"app/cli/", "app/main.py"},
    "uvloop": {"app/cli/", STRANGER},
}

# Deciding code: values and `now` in, a decision out. The loop around it is thin and dull.
PURE = {
    "app/alarms/digest.py",
    "app/alarms/message.py",
    "app/alarms/news.py",
    "app/alarms/payload.py",
    "app/alarms/waiting.py",
    "app/accounts/bson_document.py",
    "app/accounts/fold.py",
    "app/accounts/history/fields.py",
    "app/accounts/history/findings.py",
    "app/accounts/history/mapping.py",
    "app/accounts/history/pace.py",
    "app/accounts/history/readings.py",
    "app/accounts/history/report.py",
    "app/accounts/history/totals.py",
    "app/accounts/history/zone.py",
    "app/accounts/sharding.py",
    "app/brokers/alpaca/shapes.py",
    "app/brokers/alpaca/words.py",
    "app/brokers/conformance/talk.py",
    "app/brokers/fix/chains.py",
    "app/brokers/fix/checks.py",
    "app/brokers/fix/commands.py",
    "app/brokers/fix/executions.py",
    "app/brokers/fix/frame.py",
    "app/brokers/fix/gap.py",
    "app/brokers/fix/hearing.py",
    "app/brokers/fix/late.py",
    "app/brokers/fix/listing.py",
    "app/brokers/fix/lists.py",
    "app/brokers/fix/logon.py",
    "app/brokers/fix/machine.py",
    "app/brokers/fix/mass.py",
    "app/brokers/fix/proof.py",
    "app/brokers/fix/refusals.py",
    "app/brokers/fix/said.py",
    "app/brokers/fix/sayings.py",
    "app/brokers/fix/stamps.py",
    "app/brokers/fix/standing.py",
    "app/brokers/fix/tags.py",
    "app/brokers/fix/too_fast.py",
    "app/brokers/fix/turns.py",
    "app/brokers/fix/unread.py",
    "app/brokers/fix/words.py",
    "app/diagnostics/baselines.py",
    "app/diagnostics/outlook.py",
    "app/diagnostics/rules.py",
    "app/diagnostics/shipped.py",
    "app/diagnostics/signals.py",
    "app/diagnostics/tally.py",
    "app/diagnostics/tripwires.py",
    "app/dispatch/adaptive.py",
    "app/dispatch/gaps.py",
    "app/dispatch/pacer.py",
    "app/dispatch/plan.py",
    "app/dispatch/rounds.py",
    "app/dispatch/verdict.py",
    "app/domain/",
    "app/ledger/partitions/plan.py",
    "app/failover/policy.py",
    "app/failover/prechecks.py",
    "app/failover/sights.py",
    "app/failover/watch.py",
    "app/intake/checks.py",
    "app/quotes/frame.py",
    "app/quotes/selector.py",
    "app/web/access/networks.py",
    "app/web/access/tokens.py",
    "app/webhooks/guard.py",
    "app/webhooks/making.py",
}
IMPURE_IMPORTS = {"asyncio", "os", "random", "secrets", "socket", "sqlite3", "threading", "time"}

CLOCK_READERS = {
    "app/clock.py": "it is the clock",
    "app/cli/": "it measures the gateway from outside, and tells a person how long it took",
    "app/sdk/": "it runs in a client's process, and waits there",
    STRANGER: "a stranger's process has a clock and a chance of its own",
}
CLOCKS = {
    "datetime.date.today",
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
    "os.getrandom",
    "os.urandom",
    "uuid.uuid1",
    "uuid.uuid4",
}
CLOCK_MODULES = ("random.", "secrets.", "time.")

ENVIRONMENT = {"os.environ", "os.environb", "os.getenv", "os.getenvb", "os.putenv"}
ENVIRONMENT_READERS = {"app/settings.py": "every knob stands there, and is read once"}

# What a screen or two can show. A longer one gets a row: its lines, and why it is longer.
LINES_PER_MODULE_MAX = 300
# A suite is a list of laws, read by their names and not from top to bottom.
LINES_PER_SUITE_MAX = 600
LINES_PER_FUNCTION_MAX = 60
LONGER = {
    "tests/scenarios/floor.py": (320, "the verbs of every story, found by their names"),
    "app/settings.py": (320, "every knob, on one page"),
    "app/dispatch/circuit.py": (
        340,
        "one state machine: split, its edges would stand in two places",
    ),
}

# They promise nothing, so anything fits into them.
REFUSED_NAMES = {"base", "helper", "helpers", "manager", "managers", "util", "utils"}

# The suite that holds every implementation of a port to its contract, where it is not simply
# tests/contracts/test_<port>.py; or the reason why it needs none.
CONTRACTS = {
    "AlertStore": "tests/contracts/test_anomaly_store.py",
    "ControlStore": "tests/contracts/test_ledger.py",
    "Desk": "one room's own door, handed to web: its room's tests hold it",
    "DispatchStore": "tests/contracts/test_ledger.py",
    "FailoverStore": "tests/contracts/test_failovers.py",
    "DrillStore": "tests/contracts/test_drills.py",
    "FaultLine": "tests/brokers/test_fault_line.py",
    "Floor": "one room's own door, handed to web: its room's tests hold it",
    "Helm": "one room's own door, handed to web: its room's tests hold it",
    "HeedingBroker": "tests/brokers/test_last_look.py",
    "HoldStore": "tests/contracts/test_holding.py",
    "LiveBroker": "tests/brokers/fix/test_fix_broker.py",
    "MassBroker": "tests/brokers/fix/test_fix_mass.py",
    "OrderStore": "tests/contracts/test_ledger.py",
    "ProposalStore": "tests/contracts/test_proposals.py",
    "Rehearsals": "one room's own door, handed to web: its room's tests hold it",
    "ReplaceStore": "tests/contracts/test_replaces.py",
    "RuleStore": "tests/contracts/test_anomaly_store.py",
    "Rulebook": "one room's own door, handed to web: its room's tests hold it",
    "SweepStore": "tests/contracts/test_sweeps.py",
    "TicketStore": "tests/contracts/test_tickets.py",
    "TopicBroker": "tests/dispatch/test_inbound.py",
    "Witness": "its room's tests hold the one that counts; the other one does nothing",
}

CHANGELOG_SECTIONS = ["Safety", "Added", "Changed", "Fixed"]

# In pieces, so that this file does not name what it forbids.
REGISTRIES = [
    ".".join(host)
    for host in (
        ("crates", "io"),
        ("npmjs", "org"),
        ("proxy", "golang", "org"),
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("rubygems", "org"),
        ("yarnpkg", "com"),
    )
]
# A path on the machine of whoever wrote it; the same word deep in another path says nothing.
WORKPLACES = re.compile(r"(?<![\w.*}/-])/(?:work|root)/")
