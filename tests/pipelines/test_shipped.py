"""The reference pipelines: clean, as their table says, right by their case files, and found by name or file."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from fraudstream.define.pipeline import Form, Selection
from fraudstream.errors import DefinitionError, UsageError
from fraudstream.pipelines import SHIPPED, find_path, find_pipeline, find_plan, names
from fraudstream.plan.plan import LABEL_KINDS
from fraudstream.testing.cases import LabelRow, load_case
from fraudstream.testing.compare import differences
from fraudstream.testing.decide import decide
from fraudstream.testing.oracle import Oracle

PAGES = Path(__file__).parents[2] / "docs" / "pipelines"
NAMES = ("account-transfers", "card-payments", "retail", "terminal-payments", "user-activity")


def test_five_are_shipped() -> None:
    """Each with a file, a page and a case file."""
    assert names() == NAMES
    for folder, ending in ((SHIPPED, "yaml"), (SHIPPED / "cases", "yaml"), (PAGES, "md")):
        assert set(NAMES) <= {path.stem for path in folder.glob(f"*.{ending}")}


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_pipeline_checks_clean_under_its_own_name(name: str) -> None:
    """Whatever the environment of the tests."""
    assert find_plan(name, environ={}).pipeline.name == name


@pytest.mark.parametrize("name", NAMES)
def test_a_case_file_holds(name: str) -> None:
    """Features by the oracle and decisions by the policy are what was written down by hand."""
    case = load_case(SHIPPED / "cases" / f"{name}.yaml")
    oracle, wrong, expected = Oracle(case.plan), [], 0
    for row in case.rows:
        if isinstance(row, LabelRow):
            oracle.label(row.event_id, row.is_fraud, row.labelled_at)
            continue
        answer = oracle.event(row.fields, row.event_at, row.partition, row.offset)
        verdict = decide(case.plan, {**row.fields, **answer.features}, row.model_score)
        wrong += differences(case.plan, row, answer, verdict)
        expected += len(row.expect)
    assert not wrong
    assert expected > 20


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_hits_somewhere_in_the_case_file(name: str) -> None:
    """A rule no example reaches may as well be wrong."""
    text = (SHIPPED / "cases" / f"{name}.yaml").read_text()
    hit = set(re.findall(r"[A-Z][A-Z0-9_]+", " ".join(re.findall(r"rules: \[(.*?)\]", text, re.DOTALL))))
    needs_a_list = {"BLOCKED_CARD", "BLOCKED_USER"}  # the shipped lists are empty
    assert hit == {rule.code for rule in find_pipeline(name, environ={}).rules} - needs_a_list


def test_card_payments_has_the_topics_of_its_table() -> None:
    """Six partitions in and out, three for alerts; a critical score blocks, a high one is reviewed."""
    pipeline = find_pipeline("card-payments", environ={})
    assert pipeline.event.key == "card_hash"
    assert dict(pipeline.topics_to_create()) == {
        "transactions": 6,
        "fraud-scores": 6,
        "fraud-alerts": 3,
        "fraud-dead-letters": 1,
        "fraud-control": 1,
        "fraud-shadow": 1,
    }
    assert pipeline.model is not None
    assert {f"V{i}" for i in range(1, 29)} <= set(pipeline.model.features)
    assert pipeline.policy.block_threshold == pipeline.policy.critical
    assert pipeline.policy.review_threshold == pipeline.policy.high


def test_account_transfers_takes_its_topics_from_the_environment() -> None:
    """And writes legitimate and fraudulent transfers apart, in flat form."""
    usual = find_pipeline("account-transfers", environ={})
    assert usual.input.name == "queueing.transactions"
    assert [(route.topic, route.carries, route.form) for route in usual.routes] == [
        ("streaming.transactions.legit", Selection.APPROVED, Form.FLAT),
        ("streaming.transactions.fraud", Selection.FLAGGED, Form.FLAT),
    ]
    given = {"TRANSACTIONS_TOPIC": "in", "LEGIT_TOPIC": "good", "FRAUD_TOPIC": "bad"}
    other = find_pipeline("account-transfers", environ=given)
    assert [other.input.name, *(route.topic for route in other.routes)] == ["in", "good", "bad"]


def test_retail_has_tokens_for_what_names_a_person() -> None:
    """Names and email, and a model that needs no labels."""
    pipeline = find_pipeline("retail", environ={})
    assert {field.name for field in pipeline.event.fields if field.sensitive} == {"first_name", "last_name", "email"}
    assert pipeline.model is not None
    assert pipeline.model.trainer == "isolation_forest"


def test_terminal_payments_has_twenty_windows_and_delayed_labels() -> None:
    """Over customer and terminal; labels count a week later."""
    plan = find_plan("terminal-payments", environ={})
    windowed = [feature for log in plan.logs for feature in log.features]
    assert len(windowed) >= 20
    assert {log.by for log in plan.logs} == {("CUSTOMER_ID",), ("TERMINAL_ID",)}
    assert {f.definition.delay for f in windowed if f.kind in LABEL_KINDS} == {"7d"}


def test_a_name_is_looked_for_among_ones_own_first(tmp_path: Path) -> None:
    """Then among the shipped; a file is given by its path."""
    own = tmp_path / "retail.yaml"
    own.write_text((SHIPPED / "retail.yaml").read_text())
    assert find_path("retail", tmp_path) == own
    assert find_path("card-payments", tmp_path) == SHIPPED / "card-payments.yaml"
    assert find_path(str(own)) == own
    assert find_pipeline(own).name == "retail"


@pytest.mark.parametrize("name", ["retial", "", "../retail", "x/y", "..", "no-such.yaml"])
def test_a_pipeline_that_is_not_there_is_an_error_to_act_on(name: str, tmp_path: Path) -> None:
    """By name with the nearest one, by path with the reason."""
    with pytest.raises((UsageError, DefinitionError)) as caught:
        find_pipeline(name, tmp_path)
    assert caught.value.exit_code == 2
    if name == "retial":
        assert "Did you mean 'retail'?" in str(caught.value)


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_the_generated_parts_of_a_page_are_what_the_code_says(page: Path) -> None:
    """Else run `python docs/pipelines/generate.py`."""
    generated = runpy.run_path(str(PAGES / "generate.py"))["generated"]
    assert generated(page.read_text()) == page.read_text()


@pytest.mark.parametrize("name", NAMES)
def test_the_example_on_a_page_is_an_event_of_the_pipeline(name: str) -> None:
    """It has every field, and nothing else."""
    text = (PAGES / f"{name}.md").read_text()
    found = re.search(r"```json\n(.*?)```", text, re.DOTALL)
    assert found is not None
    assert json.loads(found[1]).keys() == {field.name for field in find_pipeline(name, environ={}).event.fields}
    for command in ("topics create", "simulate", "run"):
        assert f"$ fraudstream {command} {name}" in text


def test_the_file_on_the_format_page_is_a_good_pipeline(tmp_path: Path) -> None:
    """What a reader copies must work."""
    found = re.search(r"```yaml\n(.*?)```", (PAGES / "README.md").read_text(), re.DOTALL)
    assert found is not None
    (tmp_path / "watched.txt").write_text("card-1\n")
    (tmp_path / "p.yaml").write_text(found[1])
    assert find_plan(tmp_path / "p.yaml", environ={}).lists[1].values == ("card-1",)


def test_importing_the_package_is_light() -> None:
    """It loads no numbers, no SQL, no Kafka; planning loads SQL only."""
    script = (
        "import sys, time; begin = time.perf_counter(); import fraudstream; took = time.perf_counter() - begin\n"
        "heavy = {'numpy', 'sqlglot', 'confluent_kafka', 'numba', 'polars', 'yaml', 'onnxruntime'}\n"
        "first = sorted(heavy & sys.modules.keys())\n"
        "fraudstream.plan_of(fraudstream.find_pipeline('retail'))\n"
        "print(took < 0.15, first, sorted(heavy & sys.modules.keys()))"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown == "True [] ['sqlglot', 'yaml']\n"


def test_every_public_name_is_there() -> None:
    """And an unknown one is an ordinary AttributeError."""
    import fraudstream

    for name in dir(fraudstream):
        assert getattr(fraudstream, name) is not None
    assert {"Pipeline", "plan_of", "explain", "diff", "find_pipeline", "load_pipeline"} <= set(dir(fraudstream))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        fraudstream.nothing  # noqa: B018
