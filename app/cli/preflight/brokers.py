"""Brokers, routes and the next bell, half an hour before it: documents in, checks out.

The trap is a plan that fits at the rate of now: an override that ends before the bell, a release
that somebody paused this morning, and a schedule are looked at as they will be when it rings.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from app.cli.preflight.checks import Check, Document, Heard, Looks, State, instant, unseen, worst

# In the lane's own words: why it takes nothing now, although all is well.
RESTS: Final = frozenset({"no session is open", "at its rate", "too many unanswered"})
# A FIX heartbeat is thirty seconds: after two of them and their test request, nobody is there.
HEARD_OLD: Final = timedelta(seconds=90)
# The gateway measures each second; older than this, nobody measures.
HEALTH_OLD: Final = timedelta(seconds=15)
Finding = tuple[State, str]


def sessions_of(overview: Document, market: str | None) -> list[Document]:
    """Return what is open and what comes next, of one market or of all."""
    both = [*overview["sessions_open"], *overview["sessions_next"]]
    return [session for session in both if market in {None, session["market"]}]


def brokers_of(overview: Document, market: str | None) -> list[str]:
    """Return the brokers that matter: of one market those that its route names, else all."""
    if market is None:
        return sorted(control["broker_id"] for control in overview["controls"])
    routes = overview["routes"]
    return sorted({r["active_broker"] for r in routes if r["route_id"] == market})


def _brokers(heard: Heard) -> Iterator[Check]:
    overview = heard.documents["overview"]
    lanes = {lane["broker_id"]: lane for lane in overview["lanes"]}
    controls = {control["broker_id"]: control for control in overview["controls"]}
    for name in brokers_of(overview, heard.market):
        control, lane = controls[name], lanes.get(name)
        found = [*_set(control), *_lane(lane, heard.at), *_session(heard, name)]
        state = worst([one for one, _ in found])
        says = "; ".join(text for one, text in found if state == "ok" or one != "ok")
        yield Check(f"broker {name}", state, says, _next(name, control, state))


def _next(name: str, control: Document, state: State) -> str:
    if state == "ok":
        return ""
    if control["dispatch"] != "running":
        return f'openbell broker resume {name} --reason "…"'
    if control["breaker"] == "forced_open":
        return f'openbell broker breaker {name} auto --reason "…"'
    return f"openbell broker get {name}"


def _set(control: Document) -> Iterator[Finding]:
    """Say what people have set."""
    by = f"by {control['changed_by']}: {control['reason']}"
    if control["dispatch"] != "running":
        yield "fail", f"{control['dispatch']} {by}"
    if control["breaker"] == "forced_open":
        yield "fail", f"breaker forced open {by}"
    elif control["breaker"] != "auto":
        yield "warn", f"breaker {control['breaker'].replace('_', ' ')} {by}"


def _lane(lane: Document | None, now: datetime) -> Iterator[Finding]:
    """Say what its owner measures."""
    if lane is None:
        yield "fail", "no process has its lane"
        return
    if lane["circuit"] == "open":
        yield "fail", f"breaker open: {lane['circuit_reason'] or 'it failed too often'}"
    elif lane["circuit"] != "closed":
        yield "warn", "breaker half open: it is being tried"
    else:
        yield (
            "ok",
            f"breaker closed, {lane['tps_effective']:,} of {lane['tps_contract']:,} a second",
        )
    if not lane["running"] and lane["why_not"] not in RESTS:
        yield "fail", f"not sending: {lane['why_not'] or 'stopped'}"
    yield from _health(lane["health"], now)


def _health(health: Document | None, now: datetime) -> Iterator[Finding]:
    """Say what its orders and its pings were answered."""
    if health is None:
        yield "warn", "nobody has measured it yet"
        return
    if now - instant(health["at"]) > HEALTH_OLD:
        yield "warn", f"last measured at {health['at']}"
    if health["bad_since"] is not None:
        yield "fail", f"both witnesses call it bad since {health['bad_since']}"
    if health["ping"] is not True:
        yield (
            ("warn", "not pinged yet") if health["ping"] is None else ("fail", "no answer to pings")
        )
    else:
        yield "ok", "answers pings"
    if not health["session_up"]:
        yield "fail", "its session is down"


def _session(heard: Heard, name: str) -> Iterator[Finding]:
    """Say how a session stands; most brokers live without one."""
    session = heard.documents.get(f"session {name}")
    if session is None:
        return
    state, why = session["state"], session["why"] or "no reason told"
    if state != "logged_on":
        yield ("warn" if state == "closed" else "fail"), f"session {state}: {why}"
        return
    if session["alarm"]:
        yield "warn", f"session: {session['alarm']}"
    last = session["last_in_at"]
    if last is None or heard.at - instant(last) > HEARD_OLD:
        yield "fail", f"session logged on, but last heard of {last or 'never'}"
    else:
        ago = (heard.at - instant(last)).total_seconds()
        yield "ok", f"session logged on, heard {max(0.0, ago):.0f} s ago"


def _routes(heard: Heard) -> Iterator[Check]:
    """Say where each market goes, and where else if its broker dies."""
    for route in heard.documents["routes"]["data"]:
        name, broker, policy = route["route_id"], route["active_broker"], route["policy"]
        if heard.market not in {None, name}:
            continue
        others = [one for one in policy["candidates"] if one != broker]
        check = f"route {name}"
        if route["lock"] is not None:
            says = f"locked at {broker} by {route['lock']['locked_by']}: {route['lock']['reason']}"
            yield Check(check, "warn", says, f'openbell route unlock {name} --reason "…"')
        elif policy["automation"] != "auto":
            says = f"to {broker}; automation is {policy['automation']}"
            yield Check(check, "warn", says, f"openbell route get {name}")
        elif not others:
            says = f"to {broker}, and to nobody else if it dies"
            advice = f'openbell route policy {name} --candidates {broker},… --reason "…"'
            yield Check(check, "warn", says, advice)
        else:
            yield Check(check, "ok", f"to {broker}, else to {', '.join(others)}")


def _bells(heard: Heard) -> Iterator[Check]:
    overview = heard.documents["overview"]
    sessions = sessions_of(overview, heard.market)
    if not sessions:
        what = heard.market or "any market"
        yield Check("calendar", "fail", f"no session of {what} is known", "openbell calendar build")
    for session in sessions:
        name = session["trading_session_id"]
        check = f"session {session['market']}"
        yield _bell(session, heard.at)
        for door in ("plan", "release"):
            failure = heard.silent.get(f"{door} {name}")
            if failure is not None:
                yield unseen(f"{door} {session['market']}", failure)
        release = heard.documents.get(f"release {name}", {}).get("release")
        if release is not None and release["paused"]:
            says = f"paused by {release['changed_by']}: {release['reason']}"
            yield Check(check, "fail", says, f"openbell api GET /admin/v1/sessions/{name}")
        plan = heard.documents.get(f"plan {name}")
        if plan is not None:
            yield from _plan(heard, plan)


def _bell(session: Document, now: datetime) -> Check:
    is_open = session["state"] == "open"
    rings = session["closes_at"] if is_open else session["opens_at"]
    left = str(max(timedelta(), instant(rings) - now)).partition(".")[0]
    word = "closes" if is_open else "opens"
    return Check(f"session {session['market']}", "ok", f"{word} at {rings}, in {left}")


def _plan(heard: Heard, plan: Document) -> Iterator[Check]:
    session = plan["session"]
    name, market = session["trading_session_id"], session["market"]
    advice = f"openbell session plan {name}"
    if not plan["conservation"]["balanced"]:
        says = "the orders that wait are counted twice, and differ"
        yield Check(f"conservation {market}", "fail", says, advice)
    if not plan["brokers"]:
        yield Check(f"plan {market}", "fail", "no route leads anywhere", "openbell route list")
    for line in plan["brokers"]:
        yield _line(session, line, advice)
        yield _schedule(heard, session, line)


def _line(session: Document, line: Document, advice: str) -> Check:
    check, broker, waiting = f"plan {session['market']}", line["broker_id"], line["backlog"]
    ends = line["expected_end"]
    if line["will_miss_cut_off"]:
        says = (
            f"{line['will_miss_cut_off']:,} of {waiting:,} will not have left {broker} by the close"
        )
        return Check(check, "fail", says, f'openbell broker rate set {broker} N --reason "…"')
    if ends is None:
        says = f"{waiting:,} wait for {broker}, and nothing may ever leave"
        return Check(check, "fail", says, advice)
    spare = instant(session["closes_at"]) - instant(ends)
    says = f"{waiting:,} wait for {broker}; the last leaves at {ends}"
    return Check(check, "ok", f"{says}, {str(spare).partition('.')[0]} before the close")


def _schedule(heard: Heard, session: Document, line: Document) -> Check:
    """Say at which rate the bell will find the broker, and what that will become."""
    broker, check = line["broker_id"], f"rate {session['market']}"
    control = _control(heard, broker)
    ends = control["expires_at"]
    told = [f"{one['tps']:,} from {one['at']} ({one['source']})" for one in line["schedule"]]
    says = f"{broker}: {', then '.join(told) or 'nothing is planned'}"
    before = ends is not None and instant(ends) <= instant(session["opens_at"])
    if before:
        says += f"; what {control['changed_by']} has set ends at {ends}, before the bell"
    state: State = "warn" if before or not told or not line["tps"] else "ok"
    return Check(check, state, says, "" if state == "ok" else f"openbell broker rate get {broker}")


def _control(heard: Heard, broker: str) -> Mapping[str, Any]:
    controls = heard.documents["overview"]["controls"]
    return next(control for control in controls if control["broker_id"] == broker)


NIGHT: Final[Looks] = (
    ("brokers", ("overview",), _brokers),
    ("routes", ("routes",), _routes),
    ("sessions", ("overview",), _bells),
)
