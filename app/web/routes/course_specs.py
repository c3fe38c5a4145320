"""The doors of routes and failovers: what each reads, asks, answers and refuses."""

from collections.abc import Sequence
from typing import Any, Final

from app.domain.errors import Code
from app.web.house import House
from app.web.operator_schemas import (
    FailbackWanted,
    FailoversAsked,
    FailoverWanted,
    PolicyChange,
    Preview,
    Reasoned,
    RouteLocked,
)
from app.web.routes.course_told import (
    FailoversTold,
    FailoverTold,
    RouteChangedTold,
    RoutesTold,
    RouteTold,
    SwitchPreviewTold,
)
from app.web.routes.courses import MOVE, SEE, Courses
from app.web.spec import Call, Spec, json_of
from app.web.told import WouldTold
from app.web.undoing import undo_spec

ROUTES: Final = "/admin/v1/routes"
ROUTE: Final = f"{ROUTES}/{{route_id}}"
FAILOVERS: Final = "/admin/v1/failovers"
FAILOVER: Final = f"{FAILOVERS}/{{failover_id}}"
CHANGED: Final = (
    Code.MALFORMED_REQUEST,
    Code.NOT_FOUND,
    Code.STALE_VERSION,
    Code.VALIDATION_FAILED,
    Code.IF_MATCH_REQUIRED,
)
MOVED: Final = (
    Code.MALFORMED_REQUEST,
    Code.NOT_FOUND,
    Code.FAILOVER_RUNNING,
    Code.STALE_EPOCH,
    Code.STALE_VERSION,
    Code.PRECHECKS_FAILED,
    Code.VALIDATION_FAILED,
    Code.CONFIRM_REQUIRED,
)
SAID: Final = (
    Code.MALFORMED_REQUEST,
    Code.NOT_FOUND,
    Code.FAILOVER_FENCED,
    Code.STALE_VERSION,
    Code.VALIDATION_FAILED,
    Code.IF_MATCH_REQUIRED,
)


def course_specs(house: House) -> Sequence[Spec[Any, Any]]:
    courses = Courses(house)
    return (
        *_shown(courses),
        *_allowed(courses),
        undo_spec(f"{ROUTE}/undo", "undo_route_change", MOVE, courses.undo, RouteChangedTold),
        *_moved(courses),
        *_said(courses),
    )


def _shown(courses: Courses) -> Sequence[Spec[Any, Any]]:
    return [
        Spec(
            method="GET",
            path=path,
            name=name,
            scope=SEE,
            handler=handler,
            asks=asks,
            answers={200: told},
            refuses=(Code.NOT_FOUND,) if path.endswith("}") else (),
            shows=("ETag",) if path in {ROUTE, FAILOVER} else (),
        )
        for path, name, handler, asks, told in (
            (ROUTES, "list_routes", courses.routes, None, RoutesTold),
            (ROUTE, "get_route", courses.route, None, RouteTold),
            (FAILOVERS, "list_failovers", courses.failovers, FailoversAsked, FailoversTold),
            (FAILOVER, "get_failover", courses.failover, None, FailoverTold),
        )
    ]


def _allowed(courses: Courses) -> Sequence[Spec[Any, Any]]:
    return [
        Spec(
            method=method,
            path=f"{ROUTE}/{part}",
            name=name,
            scope=MOVE,
            handler=handler,
            reads=json_of(model),
            asks=Preview,
            answers={200: RouteChangedTold | WouldTold},
            shows=("ETag",),
            refuses=CHANGED,
            if_match="required",
            audited=True,
        )
        for method, part, name, handler, model in (
            ("PATCH", "policy", "set_route_policy", courses.policy, PolicyChange),
            ("PUT", "lock", "lock_route", courses.lock, RouteLocked),
            ("DELETE", "lock", "unlock_route", courses.unlock, Reasoned),
        )
    ]


def _to(call: Call[FailoverWanted, Preview]) -> str:
    return call.body.to


def _route(call: Call[FailbackWanted, Preview]) -> str:
    return call.part("route_id")  # it names no broker: home is where the policy says


def _moved(courses: Courses) -> Sequence[Spec[Any, Any]]:
    return [
        Spec(
            method="POST",
            path=f"{ROUTE}/{part}",
            name=name,
            scope=MOVE,
            handler=handler,
            reads=json_of(model),
            asks=Preview,
            answers={200: SwitchPreviewTold, 202: FailoverTold},
            shows=("ETag", "Location"),
            refuses=MOVED,
            names=named,
            audited=True,
        )
        for part, name, handler, model, named in (
            ("failover", "fail_over", courses.switch, FailoverWanted, _to),
            ("failback", "fail_back", courses.failback, FailbackWanted, _route),
        )
    ]


def _said(courses: Courses) -> Sequence[Spec[Any, Any]]:
    return [
        Spec(
            method="POST",
            path=f"{FAILOVER}/{part}",
            name=name,
            scope=MOVE,
            handler=handler,
            reads=json_of(Reasoned),
            answers={200: FailoverTold},
            shows=("ETag",),
            refuses=SAID,
            if_match="required",
            audited=True,
        )
        for part, name, handler in (
            ("abort", "abort_failover", courses.abort),
            ("ack", "acknowledge_failover", courses.acknowledge),
        )
    ]
