"""What a person's text may do: a pipeline's YAML and an expression either mean something, or are refused in words."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator
from typing import Any

from fraudstream.define.load import parse_definition
from fraudstream.errors import FraudstreamError
from fraudstream.pipelines import SHIPPED
from fraudstream.plan.expression import canonical
from fraudstream.plan.expression_sql import to_sql
from fraudstream.plan.load import plan_definition
from fraudstream.plan.parse import ExpressionError, parse
from fraudstream.schema.types import BOOLEAN, FLOAT, INTEGER, STRING, TIMESTAMP, ValueType, decimal

TYPES: dict[str, ValueType] = {
    "flag": BOOLEAN, "count": INTEGER, "amount": decimal(2), "score": FLOAT, "country": STRING, "at": TIMESTAMP,
    "location.lat": FLOAT,
}  # fmt: skip
_LANGUAGE = """
    flag count amount score country at location.lat ( ) ( ) , and or not = <> < > <= >= + - * / % is null in between
    case when then else end 1 2.5 1e5 'DE' '2026-01-01' true false abs coalesce nullif least round hour ratio zscore
    ; -- /* */ select from cast :: -> [ ] { } ? @ : . "order" over filter distinct eval __import__ exec open lambda
    9e999
"""
WORDS = (*_LANGUAGE.split(), "\u0660", "\ufeff", "\x00", "\U0001f600")
_FORBIDDEN = {
    "compile",
    "exec",
    "os.system",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "subprocess.Popen",
    "socket.connect",
}
_watching = False


class TextExecuted(BaseException):
    """A text of a user's reached the interpreter; no Exception, so that nothing swallows it."""


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event in _FORBIDDEN:
        raise TextExecuted(f"{event}{arguments!r}"[:200])


@functools.cache
def _prepare() -> None:
    """Import what is imported on first use, then watch this process: a hook cannot be taken away again."""
    plan_definition(parse_definition((SHIPPED / "terminal-payments.yaml").read_text(), environ={}))
    with contextlib.suppress(ExpressionError, FraudstreamError):
        parse("amount > '", TYPES)
    sys.addaudithook(_audit)


@contextlib.contextmanager
def nothing_is_executed() -> Iterator[None]:
    """Within it no Python code is compiled or executed from text, and no program is started."""
    global _watching
    _prepare()
    _watching = True
    try:
        yield
    finally:
        _watching = False


def check_expression(text: str) -> bool:
    """Whether an expression is accepted; what is accepted can be written down and as SQL."""
    with nothing_is_executed():
        try:
            node = parse(text, TYPES)
        except ExpressionError as error:
            return _is_said(error)
        to_sql(node, lambda name: f'"{name}"')
        assert canonical(node)
    return True


def check_pipeline(text: str) -> bool:
    """Whether a pipeline's text is accepted."""
    with nothing_is_executed():
        try:
            plan_definition(parse_definition(text, environ={}))
        except FraudstreamError as error:
            return _is_said(error)
    return True


def _is_said(error: Exception) -> bool:
    """False, for a refusal that says something."""
    assert str(error)
    return False
