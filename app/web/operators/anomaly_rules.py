"""The rules that find anomalies, as operators read, try and change them.

A change names the version that was seen, has a reason, and is whole: what makes a document a
rule is decided by the `Rulebook` before it is kept, so that no broker at the open meets a rule
which is none. To try one changes nothing. The trap is a number that looks harmless: try it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.domain.errors import Code, Refused
from app.domain.reverting import FOR_GOOD, Spell, spelled
from app.domain.values import rfc3339
from app.ports.trouble import Rulebook, RuleKept
from app.web.access.keys import not_there
from app.web.house import House
from app.web.operator_schemas import Preview, Reasoned, RuleChange, RuleTried, Undo
from app.web.operators.anomaly_told import RuleChangedTold, RulesTold, RuleTold, RuleTriedTold
from app.web.shapes import instant
from app.web.spec import Call, Reply, Spec, etag, json_of, ok
from app.web.told import WouldTold
from app.web.undoing import Undoing, undo_spec, would

SEE: Final = "admin:read"
TUNE: Final = "admin:tune"
ELSEWHERE: Final = "this process watches nothing: ask one that dispatches"
Document = Mapping[str, object]


class _NoRules:
    """A house that watches nothing knows no rules."""

    def shipped(self) -> Mapping[str, Document]:
        return {}

    def checked(self, document: Document) -> Document:
        return document

    def rehearsed(self, document: Document) -> None:  # noqa: ARG002 - whole ports
        return None


class Rules:
    """The rules in force."""

    def __init__(self, house: House) -> None:
        self._store = house.trouble
        self._clock = house.clock
        self._undoing = Undoing(house)
        self._book: Rulebook = house.rulebook or _NoRules()

    async def list(self, call: Call[None, None]) -> Reply:  # noqa: ARG002 - doors are alike
        """List every rule as it is in force."""
        kept = {rule.rule_id: rule for rule in await self._store.rules()}
        shipped = self._book.shipped()
        names = sorted({*kept, *shipped})
        return ok({"data": [_shape(name, kept.get(name), shipped.get(name)) for name in names]})

    async def get(self, call: Call[None, None]) -> Reply:
        """Show one rule; its ETag is the version that a change must name."""
        shape = await self._rule(call)
        return ok(shape, etag(shape["version"]))

    async def put(self, call: Call[RuleChange, Preview]) -> Reply:
        """Put a whole document in the place of the rule, for good or for a time."""
        shape = await self._rule(call)
        if call.version != shape["version"]:
            raise _stale(shape)
        checked = self._book.checked({**call.body.document, "rule_id": shape["rule_id"]})
        ttl_s = call.body.ttl_s
        until = None if ttl_s is None else self._clock.now() + ttl_s * 1_000
        spell = spelled(_spell(shape), {"document": shape["document"]}, until)
        if call.query.dry_run:
            return ok(would(shape["document"], checked))
        return await self._put(call, shape, checked, spell)

    async def undo(self, call: Call[Reasoned, Undo]) -> Reply:
        """Take a change of a rule back, if it is still the last one."""
        shape = await self._rule(call)
        name = shape["rule_id"]
        before = await self._undoing.before(
            call, f"anomaly-rule/{name}", shape["version"], lambda: _stale(shape)
        )
        if before is None:
            return await self._put(call, shape, self._book.shipped()[name], FOR_GOOD)
        spell, document = Spell(before["expires_at"], before["reverts_to"]), before["document"]
        if spell.is_over(self._clock.now()):
            spell, document = FOR_GOOD, spell.back["document"]
        return await self._put(call, shape, document, spell)

    async def _put(
        self, call: Call[Any, Any], shape: dict[str, Any], document: Document, spell: Spell
    ) -> Reply:
        name, actor = shape["rule_id"], call.actor(call.body.reason)
        since = await self._undoing.here()
        kept = await self._store.put_rule(name, document, shape["version"], actor, spell)
        told = _shape(name, kept, self._book.shipped().get(name))
        told |= await self._undoing.told(call, since, f"{PATH}/{name}")
        return ok(told, etag(kept.version))

    async def test(self, call: Call[RuleTried, None]) -> Reply:
        """Say how often a rule would have raised in the last minutes; change nothing."""
        shape = await self._rule(call)
        wanted = shape["document"] if call.body.document is None else call.body.document
        checked = self._book.checked({**wanted, "rule_id": shape["rule_id"]})
        found = self._book.rehearsed(checked)
        if found is None:
            return ok({"fired": None, "seconds": None, "firings": [], "why_not": ELSEWHERE})
        told = {"fired": len(found.firings), "seconds": found.seconds, "firings": found.firings}
        return ok(told | {"why_not": None})

    async def _rule(self, call: Call[Any, Any]) -> dict[str, Any]:
        name = call.part("rule_id")
        kept = {rule.rule_id: rule for rule in await self._store.rules()}
        shipped = self._book.shipped()
        if name not in shipped:
            raise not_there()
        return _shape(name, kept.get(name), shipped[name])


def _shape(name: str, kept: RuleKept | None, shipped: Document | None) -> dict[str, Any]:
    if kept is None:
        assert shipped is not None, "a rule stands somewhere"
        return {
            "rule_id": name,
            "version": shipped.get("version", 1),
            "document": shipped,
            "shipped": True,
            "changed_by": "openbell",
            "changed_at": None,
            "reason": "as shipped",
            "expires_at": None,
            "reverts_to": None,
        }
    return {
        "rule_id": name,
        "version": kept.version,
        "document": kept.document,
        "shipped": False,
        "changed_by": kept.changed_by,
        "changed_at": rfc3339(kept.changed_at),
        "reason": kept.reason,
        "expires_at": instant(kept.expires_at),
        "reverts_to": kept.reverts_to,
    }


def _spell(shape: dict[str, Any]) -> Spell:
    """Return what is temporary in a rule as it was shown."""
    return Spell(None, shape["reverts_to"])


def _stale(shape: dict[str, Any]) -> Refused:
    return Refused(
        Code.STALE_VERSION,
        f"{shape['changed_by']} changed this: the version is {shape['version']}",
        current=shape,
        changed_by=shape["changed_by"],
        changed_at=shape["changed_at"],
    )


PATH: Final = "/admin/v1/anomaly-rules"
ONE: Final = f"{PATH}/{{rule_id}}"


def rule_specs(house: House) -> Sequence[Spec[Any, Any]]:
    rules = Rules(house)
    return (
        Spec(
            method="GET",
            path=PATH,
            name="list_anomaly_rules",
            scope=SEE,
            handler=rules.list,
            answers={200: RulesTold},
        ),
        Spec(
            method="GET",
            path=ONE,
            name="get_anomaly_rule",
            scope=SEE,
            handler=rules.get,
            answers={200: RuleTold},
            shows=("ETag",),
            refuses=(Code.NOT_FOUND,),
        ),
        Spec(
            method="PUT",
            path=ONE,
            name="set_anomaly_rule",
            scope=TUNE,
            handler=rules.put,
            reads=json_of(RuleChange),
            asks=Preview,
            answers={200: RuleChangedTold | WouldTold},
            shows=("ETag",),
            refuses=(
                Code.MALFORMED_REQUEST,
                Code.NOT_FOUND,
                Code.STALE_VERSION,
                Code.VALIDATION_FAILED,
                Code.IF_MATCH_REQUIRED,
            ),
            if_match="required",
            audited=True,
        ),
        undo_spec(f"{ONE}/undo", "undo_anomaly_rule_change", TUNE, rules.undo, RuleChangedTold),
        Spec(
            method="POST",
            path=f"{ONE}/test",
            name="test_anomaly_rule",
            scope=TUNE,
            handler=rules.test,
            reads=json_of(RuleTried),
            answers={200: RuleTriedTold},
            refuses=(Code.MALFORMED_REQUEST, Code.NOT_FOUND, Code.VALIDATION_FAILED),
            audited=True,
        ),
    )
