"""Hangs the doors: `create_app(house)`.

The hot doors hang first, because routes are tried in order.
"""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.types import ASGIApp

from app.web.access.denials import Denials
from app.web.brokers.breakers import breaker_specs
from app.web.brokers.contracts import contract_specs
from app.web.brokers.dials import dial_specs
from app.web.brokers.rates import rate_specs
from app.web.brokers.sessions import broker_session_specs
from app.web.clients.batch import batch_specs
from app.web.clients.orders import order_specs
from app.web.clients.reads import read_specs
from app.web.clients.replays import Replays
from app.web.clients.stream import stream_specs
from app.web.console.doors import console_specs
from app.web.door import Door, hung
from app.web.halts.holds import hold_specs
from app.web.halts.kills import kill_specs
from app.web.halts.proposals import proposal_specs
from app.web.halts.releases import release_specs
from app.web.halts.safety import safety_specs
from app.web.halts.strays import stray_specs
from app.web.halts.sweeps import sweep_specs
from app.web.hooks.alerts import alert_hook_specs
from app.web.hooks.brokers import hook_specs
from app.web.house import House
from app.web.listeners import Listeners
from app.web.metrics import Meters
from app.web.openapi.description import described
from app.web.openapi.document import EXAMPLE_MARKET, finished, for_today
from app.web.operators.anomalies import anomaly_specs
from app.web.operators.anomaly_rules import rule_specs
from app.web.operators.audits import audit_specs
from app.web.operators.bells import bell_specs
from app.web.operators.configuration import configuration_specs
from app.web.operators.daybook import daybook_specs
from app.web.operators.key_doors import key_specs
from app.web.operators.outflow import outflow_specs
from app.web.operators.overview import overview_specs
from app.web.operators.plans import plan_specs
from app.web.operators.stream import operator_stream_specs
from app.web.porch import Porch
from app.web.probes import probe_specs
from app.web.quotas.toll import Toll
from app.web.routes.course_specs import course_specs
from app.web.routes.drills import drill_specs
from app.web.tickets import ticket_specs
from app.web.webhooks.admin import webhook_admin_specs
from app.web.webhooks.specs import webhook_specs

ABOUT = (
    "A 201 means that the order is on disk. Ask again with the same client_order_id when no"
    " answer came: it is the same order for ever. To cancel and resubmit takes a new id."
)


class Gateway(FastAPI):
    """A FastAPI application with one porch in the place of its stack of middleware."""

    def __init__(self, house: House, admin_port: int | None = None) -> None:
        super().__init__(
            title="openbell",
            version="1",
            description=ABOUT,
            openapi_url=None,
            redirect_slashes=False,
            # Its spans and histograms of every request would cost each order 5 µs to find out
            # that nobody listens; `diagnostics` measures what we promise.
            telemetry={"tracing": False, "metrics": False, "logs": False},
        )
        self._house = house
        self._admin_port = admin_port
        self._shown: tuple[str | None, dict[str, Any]] = (None, {})

    def build_middleware_stack(self) -> ASGIApp:
        if self._admin_port is None:
            return Porch(self.router, self._house.clock)
        return Porch(Listeners(self.router, self._admin_port), self._house.clock)

    def openapi(self) -> dict[str, Any]:
        """Return the document, with what the doors only refer to and a session to come."""
        if self.openapi_schema is None:
            specs = [route.spec for route in self.router.routes if isinstance(route, Door)]
            document = get_openapi(
                title=self.title,
                version=self.version,
                description=self.description,
                routes=[described(spec) for spec in specs],
            )
            self.openapi_schema = finished(document, specs)
        following = self._house.reference().calendar.next(EXAMPLE_MARKET, self._house.clock.now())
        session_id = following and following.trading_session_id
        if session_id != self._shown[0]:  # once a session: it takes milliseconds of the loop
            self._shown = (session_id, for_today(self.openapi_schema, session_id))
        return self._shown[1] or self.openapi_schema


def create_app(
    house: House, *, watched_only: bool = False, admin_port: int | None = None
) -> FastAPI:
    """Return the application, ready to be served; `watched_only` has the probes and no more.

    With `admin_port`, what is the operators' answers at the listener of that port alone.
    """
    app = Gateway(house, admin_port)
    meters, toll = Meters(house.registry), Toll(house)
    watched = probe_specs(house, app.openapi)
    if watched_only:
        app.router.routes.extend(Door(spec, house, toll) for spec in watched)
        return app
    specs = (
        *order_specs(house, meters, toll),
        *batch_specs(house, meters, toll),
        *read_specs(house),
        *sweep_specs(house),
        *hold_specs(house),
        *stray_specs(house),
        *stream_specs(house),
        *ticket_specs(house),
        *webhook_specs(house, toll),
        *webhook_admin_specs(house),
        *hook_specs(house),
        *alert_hook_specs(house),
        *dial_specs(house),
        *breaker_specs(house),
        *contract_specs(house),
        *broker_session_specs(house),
        *course_specs(house),
        *drill_specs(house),
        *rate_specs(house),
        *safety_specs(house),
        *kill_specs(house),
        *anomaly_specs(house),
        *rule_specs(house),
        *plan_specs(house),
        *bell_specs(house),
        *release_specs(house),
        *overview_specs(house),
        *outflow_specs(house),
        *configuration_specs(house),
        *daybook_specs(house),
        *audit_specs(house),
        *operator_stream_specs(house),
        *key_specs(house),
        *console_specs(house),
        *watched,
    )
    specs = (*specs, *proposal_specs(house, specs))
    kept = Replays(house.clock), Denials(house.clock)
    app.router.routes.extend(hung([Door(spec, house, toll, *kept) for spec in specs]))
    return app
