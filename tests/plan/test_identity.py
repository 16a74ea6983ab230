"""The hashes that name definitions: what must not change them, and what must."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from card_watch import TEXT, pipeline_of, planned, replaced

from fraudstream.define.decision import ValueList
from fraudstream.define.load import parse_definition
from fraudstream.define.monitoring import Limits
from fraudstream.define.retention import Retention
from fraudstream.define.write import to_yaml
from fraudstream.pipelines import find_pipeline, names
from fraudstream.plan.compile import plan_of

SAME_STATE = {
    "formatting": [("amount > 100}", "  (AMOUNT)>100.0 }".replace("AMOUNT", "amount"))],
    "comments": [("features:\n", "features: # what we know\n  # sums\n")],
    "description": [("Watches cards.", "Looks after cards.")],
    "a rule": [("share > 0.5", "share > 0.7")],
    "a list's values": [("[c1]", "[c1, c2]")],
    "the model": [("[amount, share, rate]", "[amount]")],
    "an expression": [("share * 2", "share * 3")],
    "a shorter window of what is stored": [("  devices:", "  sum_1h: {sum: amount, by: card, over: 1h}\n  devices:")],
    "a count, readable from places": [("  devices:", "  n: {count: , by: card, over: 2d}\n  devices:")],
    "a feature left out of the event itself": [("over: 1d}\n  big", "over: 1d, prior: true}\n  big")],
    "a topic": [("input: tx", "input: other")],
    "order of features": [("  sum_1d: {sum: amount, by: card, over: 1d}\n", ""),
                          ("  devices:", "  sum_1d: {sum: amount, by: card, over: 1d}\n  devices:")],
}  # fmt: skip
OTHER_STATE = {
    "sensitivity": [("card: string", "card: {type: string, sensitive: true}")],
    "the longest window": [("over: 7d, where", "over: 8d, where")],
    "a filter": [("where: amount > 100", "where: amount > 101")],
    "a label's delay": [("delay: 3d", "delay: 4d")],
    "a key": [("distinct: device, by: card", "distinct: device, by: [card, device]")],
    "what is summed": [("  devices:", "  top: {max: amount, by: card, over: 1d}\n  devices:")],
    "a step": [("amount < 2", "amount < 3")],
    "a field's type": [("id: integer", "id: string")],
    "a field's digits": [("decimal(2)", "decimal(3)")],
    "whether a field is required": [("device: string?", "device: string")],
    "a new field": [("    card: string\n", "    card: string\n    more: string?\n")],
    "event time": [("  time: at\n", "")],
    "the dedup horizon": [("  time: at\n", "  time: at\n  dedup: 1h\n")],
    "the longest record": [("  time: at\n", "  time: at\n  max_bytes: 100\n")],
    "a cap on keys": [("features:\n", "max_keys: 1000\nfeatures:\n")],
    "how far ahead time may be": [("  time: at\n", "  time: at\n  max_future: 1h\n")],
}


@pytest.mark.parametrize("changes", SAME_STATE.values(), ids=SAME_STATE.keys())
def test_what_changes_nothing_stored_keeps_the_state(changes: list[tuple[str, str]]) -> None:
    """Formatting, comments, words, decisions, and features readable from what is stored."""
    assert planned(*changes).state_identity == planned().state_identity


@pytest.mark.parametrize("changes", OTHER_STATE.values(), ids=OTHER_STATE.keys())
def test_what_changes_what_is_stored_changes_the_state(changes: list[tuple[str, str]]) -> None:
    """Retention, what is kept, keys, and everything that decides which record is a dead letter."""
    assert planned(*changes).state_identity != planned().state_identity


def test_versions_follow_meaning_each_its_own() -> None:
    """Rules and lists have hashes apart from the pipeline's."""
    base = planned().versions
    listed = planned(("[c1]", "[c1, c2]")).versions
    assert (listed.pipeline, listed.rules) == (base.pipeline, base.rules)
    assert listed.lists != base.lists
    ruled = planned(("share > 0.5", "share > 0.7")).versions
    assert ruled.lists == base.lists
    assert base.rules != ruled.rules
    assert base.pipeline != ruled.pipeline
    spaced = planned(("share > 0.5 and amount > 100", "share>0.5 AND amount>100")).versions
    assert spaced.rules == base.rules


def test_where_a_lists_file_lies_is_in_no_version(tmp_path: Path) -> None:
    """Two machines with the same definitions have the same versions."""
    found = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "list.txt"
        path.write_text("c7\n")
        found.append(plan_of(replaced(pipeline_of(), lists=(ValueList(name="blocked", file=str(path)),))).versions)
    assert found[0] == found[1]


def test_when_to_raise_an_alarm_is_in_no_version() -> None:
    assert plan_of(replaced(pipeline_of(), monitor=Limits(psi=0.1))).versions == planned().versions
    assert plan_of(replaced(pipeline_of(), retention=Retention(alerts="9d"))).versions == planned().versions


@pytest.mark.parametrize("name", names())
def test_python_and_yaml_have_one_identity(name: str) -> None:
    """Written as YAML and read again, or with its defaults written out: a pipeline has the same hashes."""
    pipeline = find_pipeline(name)
    defaults = {part: msgspec.structs.replace(getattr(pipeline, part)) for part in ("policy", "monitor", "control")}
    in_full = msgspec.structs.replace(pipeline, **defaults)
    again = parse_definition(to_yaml(pipeline), environ={}).pipeline
    assert again is not None
    found = [plan_of(each).versions for each in (pipeline, in_full, again)]
    assert found[0] == found[1] == found[2]


def test_identities_are_the_same_in_every_process() -> None:
    """Whatever the seed of Python's own hashes."""
    script = (
        "import sys; from fraudstream.define.load import parse_definition as p; from fraudstream import plan_of\n"
        "plan = plan_of(p(sys.stdin.read()).pipeline)\n"
        "print(plan.state_identity, plan.versions, [f.name for f in plan.features])"
    )
    shown = {
        subprocess.run(
            [sys.executable, "-c", script], input=TEXT, capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(shown) == 1
    assert planned().state_identity in shown.pop()
