"""Writes the parts of the README that the code decides: `python -m app.cli.docs`.

The trap is a document that was true once: a table that is generated, and compared in a test,
cannot age.
"""

import json
import re
from pathlib import Path
from typing import Final

from app.domain.errors import Code

README: Final = Path(__file__).parents[2] / "README.md"
EXAMPLE: Final = "tests/brokers/example_package/acme_openbell.py"
BLOCK: Final = re.compile(r"(<!-- generated: ([a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def reason_code_table() -> str:
    """Return the reason codes as a table in Markdown, in the order of the enum."""
    rows = ["| Code | HTTP | Meaning |", "|---|---|---|"]
    # Some codes stand on an order only; no reply carries them, so they have no HTTP status.
    rows += [f"| `{code.code}` | {code.status or 'order'} | {code.title} |" for code in Code]
    return "\n".join(rows) + "\n"


def settings_table() -> str:
    """Return every setting with its variable, default and meaning."""
    from app.settings import PREFIX, Settings

    rows = ["| Variable | Default | Meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.default
        if hasattr(default, "model_dump_json"):
            default = default.model_dump_json()  # as one writes it
        if isinstance(default, bool):
            default = json.dumps(default)
        default = "-" if default is None or default == "" else f"`{default}`"
        rows.append(f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows) + "\n"


def example_adapter() -> str:
    """Return the example that the tests build, install and check, as it stands."""
    return f"```python\n{(README.parent / EXAMPLE).read_text()}```\n"


def rewritten(text: str) -> str:
    """Return the README with its generated blocks as the code has them now."""
    tables = {
        "reason codes": reason_code_table,
        "settings": settings_table,
        "example adapter": example_adapter,
    }
    return BLOCK.sub(lambda found: found[1] + tables[found[2]]() + found[3], text)


if __name__ == "__main__":
    README.write_text(rewritten(README.read_text()))
