"""Sensitive fields can be keys, be counted, looked up and compared with one another, and nothing else."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from card_watch import pipeline_of, planned

from fraudstream.engine.column import Column
from fraudstream.engine.kernels.fingerprint import fingerprints
from fraudstream.engine.lists import Lists
from fraudstream.plan.compile import try_plan
from fraudstream.plan.identity import digest
from fraudstream.schema.types import STRING
from fraudstream.tokens.held import use_keys
from fraudstream.tokens.keys import TokenKeys
from fraudstream.tokens.secret import Secret

SENSITIVE = ("card: string", "card: {type: string, sensitive: true}")
DEVICE = ("device: string?", "device: {type: string?, sensitive: true}")
CARD = "4111111111111111"
RULE = "when: share > 0.5 and amount > 100"


@pytest.mark.parametrize(
    ("when", "name"),
    [
        (f"card = '{CARD}'", "card"),
        (f"card in ('{CARD}', 'x')", "card"),
        ("amount > 1 and card <> device", "card"),
    ],
)
def test_a_token_is_not_compared_with_what_is_none(when: str, name: str) -> None:
    pipeline = pipeline_of(SENSITIVE, (RULE, f'when: "{when}"'))
    plan, problems = try_plan(pipeline)
    assert plan is None
    assert [problem.found for problem in problems] == [f"{name!r} is sensitive."]
    assert "list" in problems[0].advice and CARD not in problems[0].advice


@pytest.mark.parametrize("when", ["card = device", "card <> device or card is null", "not (device is not null)"])
def test_tokens_are_compared_with_each_other_and_null(when: str) -> None:
    assert planned(SENSITIVE, DEVICE, (RULE, f'when: "{when}"')).rules


def test_only_texts_and_integers_can_be_sensitive_and_each_value_once() -> None:
    plan, problems = try_plan(pipeline_of(("amount: decimal(2)", "amount: {type: decimal, sensitive: true}")))
    assert plan is None
    assert any(each.found == "decimal cannot be sensitive." for each in problems)
    twin = ("    card: string\n", "    card: {type: string, sensitive: true}\n    again: {type: string?, path: card}\n")
    plan, problems = try_plan(pipeline_of(twin))
    assert plan is None
    assert [(each.path, each.found) for each in problems] == [
        ("event.fields.card.sensitive", "'again' reads the same value.")
    ]


def test_a_sensitive_integer_is_a_text_to_everything_behind_the_decoder() -> None:
    plan = planned(("card: string", "card: {type: integer, sensitive: true}"))
    assert plan.types["card"] == STRING


def test_a_list_is_known_by_tokens(token_keys: TokenKeys) -> None:
    """In its version, and to the engine; another key gives another version."""
    plan = planned(SENSITIVE, ("[c1]", f"['{CARD}', x]"))
    tokens = sorted(token_keys.token(value) for value in (CARD.encode(), b"x"))
    assert [each.values for each in plan.kept_lists] == [tuple(tokens)]
    assert plan.versions.lists == digest({plan.lists[0].name: tokens})
    feature = next(each for each in plan.features if each.definition.list)
    low, high = fingerprints([tokens[0].encode(), tokens[1].encode(), CARD.encode()])
    assert Lists(plan).contains(feature, {"card": Column(STRING, low, None, high)}).values.tolist() == [
        True,
        True,
        False,
    ]
    use_keys(lambda: TokenKeys("other", {"other": Secret.of(bytes(32))}))
    assert planned(SENSITIVE, ("[c1]", f"['{CARD}', x]")).versions.lists != plan.versions.lists


def test_a_list_is_of_sensitive_values_or_of_none() -> None:
    both = ("  devices:", "  again: {in_list: device, list: LIST}\n  devices:")
    pipeline = pipeline_of(SENSITIVE)
    name = pipeline.lists[0].name
    plan, problems = try_plan(pipeline_of(SENSITIVE, (both[0], both[1].replace("LIST", name))))
    assert plan is None
    assert [(each.path, "'device' are looked up" in each.found) for each in problems] == [(f"lists.{name}", True)]


def test_a_pipeline_without_sensitive_fields_needs_no_keys() -> None:
    use_keys(None)
    assert planned().kept_lists == planned().lists
    assert np.size(planned().rules) and msgspec.structs.asdict(planned().versions)
