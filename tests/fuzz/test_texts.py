"""Any text as a pipeline or an expression is accepted or refused in words; none is ever executed."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fraudstream.errors import DefinitionError
from fraudstream.pipelines import SHIPPED
from fraudstream.plan.load import plan_file

from .texts import WORDS, TextExecuted, check_expression, check_pipeline, nothing_is_executed

FILES = sorted(SHIPPED.glob("*.yaml"))
TEXTS = [path.read_text() for path in FILES]


def test_every_shipped_pipeline_is_accepted() -> None:
    assert all(check_pipeline(text) for text in TEXTS)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_a_mutated_pipeline_is_accepted_or_refused(seed: int) -> None:
    """Lines swapped, doubled and dropped, words replaced, bytes of any kind put in."""
    source = random.Random(seed)
    lines = source.choice(TEXTS).splitlines(keepends=True)
    for _ in range(source.randrange(1, 5)):
        place, other = source.randrange(len(lines)), source.randrange(len(lines))
        action = source.randrange(5)
        if action == 0:
            lines[place] = lines[other]
        elif action == 1:
            lines[place], lines[other] = lines[other], lines[place]
        elif action == 2:
            lines[place] = lines[place].replace(" ", source.choice(["", "  ", "\t", ": ", "- "]), 1)
        else:
            at = source.randrange(len(lines[place]))
            junk = source.choice(
                ["*", "&a ", "!!x ", "{", "]", '"', "\x00", "\ud800", "é", ": ", "#", "${X}", "9" * 40]
            )
            lines[place] = lines[place][:at] + junk + lines[place][at + source.randrange(4) :]
    check_pipeline("".join(lines))


@given(st.text(st.characters(exclude_categories=()), max_size=60))
@settings(max_examples=200, deadline=None)
@example("a: \udc8e")
@example("[" * 5_000)
@example("{a: " * 5_000)
@example("- " * 5_000)
@example("x: &a [*a, *a]")
@example("!!python/object/apply:os.system [true]")
def test_any_text_is_no_pipeline(text: str) -> None:
    assert not check_pipeline(text)


@given(st.lists(st.sampled_from(WORDS), max_size=20).map(" ".join))
@settings(max_examples=300, deadline=None)
@example("__import__('os').system('true')")
@example("eval('1')")
@example("111111111111111192.5<>111111")
def test_any_words_are_an_expression_or_refused(text: str) -> None:
    check_expression(text)


def test_execution_would_be_noticed() -> None:
    """The watch works: a text that reaches `eval` is an error."""
    with pytest.raises(TextExecuted), nothing_is_executed():
        eval("1 + 1")
    assert eval("1 + 1") == 2


def test_a_list_file_that_never_ends_is_refused(tmp_path: Path) -> None:
    """A device or a pipe in the place of a list's file is a problem of the file, not a wait for ever."""
    os.mkfifo(tmp_path / "pipe")
    text = (SHIPPED / "retail.yaml").read_text() + "\nlists:\n  bad: {file: pipe}\n"
    path = tmp_path / "pipeline.yaml"
    path.write_text(text)
    with pytest.raises(DefinitionError, match="it is not a file"):
        plan_file(path)
