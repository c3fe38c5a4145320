"""The rules that find anomalies: read them, try a change on the last minutes, put it in force.

A rule is a whole JSON document, and a change names the version that was seen. The trap is a
number that looks harmless: `test` says first how often it would have raised.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from app.cli.asking.change import Hand, changes
from app.cli.asking.client import segment
from app.cli.asking.command import Call, Reason, verb
from app.cli.asking.complete import offer
from app.cli.asking.deed import Thing, declare, undo_of
from app.cli.asking.output import Ends, Failure

rule_app = typer.Typer(no_args_is_help=True, help="The rules that find anomalies.")

RULES: Final = "/admin/v1/anomaly-rules"
COLUMNS: Final = ("rule_id", "version", "shipped", "changed_by", "changed_at", "reason")
RuleId = Annotated[
    str,
    typer.Argument(help="The rule.", metavar="RULE_ID", autocompletion=offer(RULES, "rule_id")),
]


def _path(rule_id: str) -> str:
    return f"{RULES}/{segment(rule_id)}"


@verb(
    rule_app,
    "list",
    role="operator",
    examples=("anomaly rule list", "anomaly rule list --json"),
)
def list_(call: Call) -> None:
    """List the rules in force, and who changed them."""
    call.show(call.get(RULES)["data"], *COLUMNS)


@verb(
    rule_app,
    "get",
    role="operator",
    examples=(
        "anomaly rule get broker.error_rate",
        "anomaly rule get broker.error_rate --json > rule.json",
    ),
)
def get(call: Call, *, rule_id: RuleId) -> None:
    """Show one rule, whole."""
    call.show(call.get(_path(rule_id)))


@verb(
    rule_app,
    "test",
    role="operator",
    examples=(
        "anomaly rule test broker.error_rate",
        "anomaly rule test broker.error_rate --file rule.json",
    ),
)
def try_(
    call: Call,
    *,
    rule_id: RuleId,
    file: Annotated[
        Path | None, typer.Option(help="The rule to try, - for stdin; else the one in force.")
    ] = None,
) -> None:
    """Say how often a rule would have raised in the last minutes; change nothing."""
    body = {} if file is None else {"document": _document(file)}
    call.show(call.client.call("POST", f"{_path(rule_id)}/test", body).document)


@changes(
    rule_app,
    "set",
    tries=True,
    examples=(
        'anomaly rule set broker.error_rate rule.json --reason "too loud at the open"',
        'anomaly rule set broker.error_rate - --reason "OPS-12" --json < rule.json',
    ),
)
def set_(
    hand: Hand,
    *,
    rule_id: RuleId,
    file: Annotated[Path, typer.Argument(help="The whole rule as JSON, - for stdin.")],
    reason: Reason,
) -> None:
    """Put a whole rule in the place of the one that was seen."""
    body = {"document": _document(file), "reason": reason}
    seen = _path(rule_id)
    hand.turn("PUT", seen, body, seen=seen, name=rule_id)


def _document(file: Path) -> Any:
    """Return the rule in a file: the document alone, or as `get` shows it around."""
    try:
        raw = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
        read = json.loads(raw)
    except (OSError, ValueError) as e:
        raise Failure(Ends.USAGE, f"cannot read a rule in {file}", why=str(e)) from e
    if not isinstance(read, dict):
        raise Failure(Ends.USAGE, f"expected a JSON object in {file}")
    return read.get("document", read)


RULE: Final = Thing("anomaly rule", "rule_id", RuleId, lambda _, n: _path(n), "broker.error_rate")
declare(rule_app, RULE, undo_of("a rule"))
