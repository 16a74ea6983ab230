"""Writes the generated parts of these pages again: run `python docs/pipelines/generate.py` after changing a pipeline.

A generated part stands between `<!-- NAME: … -->` and `<!-- end -->`. `tests/pipelines/test_shipped.py` fails where one
is not what the code says.
"""

from __future__ import annotations

import re
from pathlib import Path

from fraudstream.define.feature import FeatureKind
from fraudstream.pipelines import SHIPPED, find_plan
from fraudstream.plan.explain import explain
from fraudstream.plan.kinds import TRAITS
from fraudstream.simulate.patterns import terminal_compromise
from fraudstream.simulate.patterns.catalog import FITS, NAMES, PATTERNS

FOLDER = Path(__file__).parent
_PART = re.compile(r"<!-- (\w+): ([\w-]+) -->\n.*?<!-- end -->", re.DOTALL)


def generated(text: str) -> str:
    """A page with its generated parts made from the code as it is now."""
    return _PART.sub(lambda found: f"<!-- {found[1]}: {found[2]} -->\n{_PARTS[found[1]](found[2])}<!-- end -->", text)


def _explained(name: str) -> str:
    shown = explain(find_plan(SHIPPED / f"{name}.yaml", environ={}))
    # Versions are hashes; they say nothing to a reader of a page.
    return f"```text\n{shown.partition('Versions')[0].rstrip()}\n```\n"


def _kinds(_: str) -> str:
    lines = ["| kind | needs | may have | gives |", "|---|---|---|---|"]
    for kind in FeatureKind:
        traits = TRAITS[kind]
        result = str(traits.result) if traits.result else "the type of its field or expression"
        needs, takes = (", ".join(f"`{name}`" for name in sorted(names)) for names in (traits.needs, traits.takes))
        lines.append(f"| `{kind}` | {needs} | {takes} | {result} |")
    return "\n".join(lines) + "\n"


def _patterns(_: str) -> str:
    lines = ["| pattern | what happens | in, with its share unless said |", "|---|---|---|"]
    for name in filter(None, NAMES):
        what = PATTERNS[name].what if name in PATTERNS else terminal_compromise.WHAT
        fitting = (f"{form} {shares[name]:g}" for form, shares in FITS.items() if name in shares)
        lines.append(f"| `{name}` | {what} | {', '.join(fitting)} |")
    return "\n".join(lines) + "\n"


_PARTS = {"explained": _explained, "kinds": _kinds, "patterns": _patterns}


if __name__ == "__main__":
    for page in sorted(FOLDER.glob("*.md")):
        before = page.read_text(encoding="utf-8")
        after = generated(before)
        if after != before:
            page.write_text(after, encoding="utf-8")
            print(f"wrote {page.name}")
