"""From SQL text to sqlglot's syntax tree, for text that may be hostile: bounded first, parsed second, never run."""

from __future__ import annotations

from functools import cache
from typing import Any

MAX_CHARACTERS = 4_000
MAX_PARENTHESES = 30
"""Open parentheses at one place. sqlglot uses some 20 Python frames for each, and Python allows 1,000."""

_LANGUAGE = "Allowed are comparisons, and/or/not, arithmetic, is null, in (…), between, case and a few functions."


class ExpressionError(ValueError):
    """An expression that is not allowed.

    Attributes:
        message: What is wrong, quoting what was found.
        advice: What is allowed and what to do.
        position: Where in the text it starts, counted in characters from 0, or None where that is unknown.
    """

    def __init__(self, message: str, advice: str = "", position: int | None = None) -> None:
        self.message = message
        self.advice = advice
        self.position = position
        super().__init__(f"{message} {advice}".strip())


def syntax_tree(text: str) -> Any:
    """The syntax tree of one SQL scalar expression.

    Every function call is an `Anonymous` node: sqlglot's own knowledge of functions is switched off.

    Raises:
        ExpressionError: The text is empty, too long, nested too deeply, more than one expression, or no expression.
    """
    _check_characters(text)
    from sqlglot import exp
    from sqlglot.errors import ParseError, TokenError
    from sqlglot.tokens import Tokenizer

    try:
        tokens = Tokenizer().tokenize(text)
        _check_tokens(tokens)
        trees = _parser_class()().parse_into(exp.Condition, tokens, text)
    except ExpressionError:
        raise
    except TokenError:
        raise ExpressionError("the text cannot be read: a quote is not closed or a character is unknown.") from None
    except ParseError as error:
        details: dict[str, Any] = error.errors[0] if error.errors else {}
        near = str(details.get("highlight") or "").strip()
        found = f"the text cannot be read near {near[:40]!r}." if near else "the text cannot be read."
        raise ExpressionError(found, f"One SQL expression is expected. {_LANGUAGE}", _offset(text, details)) from None
    except RecursionError:
        raise ExpressionError("the expression is nested too deeply.", "Split it into features.") from None
    except Exception as error:  # whatever a foreign parser does with hostile text, the text is what is wrong
        raise ExpressionError(f"the text cannot be read ({type(error).__name__}).", _LANGUAGE) from None
    if len(trees) != 1 or trees[0] is None:
        raise ExpressionError("the text is not one expression.", _LANGUAGE)
    return trees[0]


def _check_characters(text: str) -> None:
    if not text.strip():
        raise ExpressionError("the expression is empty.", "Write a SQL expression such as amount > 100.")
    if len(text) > MAX_CHARACTERS:
        raise ExpressionError(
            f"the expression has {len(text):,} characters; {MAX_CHARACTERS:,} are allowed.",
            "Use a list for many values, and features for parts.",
        )
    for position, character in enumerate(text):
        if (character < " " and character not in "\t\n\r") or character == "\x7f" or "\ud800" <= character <= "\udfff":
            raise ExpressionError(f"the character {character!r} is not allowed.", "Remove it.", position)


def _check_tokens(tokens: list[Any]) -> None:
    depth = 0
    for token in tokens:
        if token.comments:
            raise ExpressionError("comments are not allowed.", "Use the description or reason instead.", token.start)
        if token.text == ";" and token.token_type.name == "SEMICOLON":
            raise ExpressionError("`;` is not allowed.", "Write one expression without it.", token.start)
        depth += (token.token_type.name == "L_PAREN") - (token.token_type.name == "R_PAREN")
        if depth > MAX_PARENTHESES:
            raise ExpressionError(
                f"more than {MAX_PARENTHESES} parentheses are open at once.", "Split it into features.", token.start
            )


def _offset(text: str, details: dict[str, Any]) -> int | None:
    """Where sqlglot's error stands; its column points at the end of the token it could not place."""
    highlight, line, column = details.get("highlight"), details.get("line"), details.get("col")
    if not highlight or line is None or column is None:
        return None
    before = sum(len(part) + 1 for part in text.split("\n")[: line - 1])
    return max(0, before + int(column) - len(str(highlight)))


@cache
def _parser_class() -> Any:
    from sqlglot.parser import Parser

    class ScalarParser(Parser):  # type: ignore[misc, unused-ignore]
        """sqlglot's parser without its functions, so that a call is a call and a field may be named `current_date`."""

        FUNCTIONS: dict[str, Any] = {}  # noqa: RUF012
        FUNCTION_PARSERS: dict[str, Any] = {}  # noqa: RUF012
        NO_PAREN_FUNCTIONS: dict[Any, Any] = {}  # noqa: RUF012
        NO_PAREN_FUNCTION_PARSERS: dict[str, Any] = {  # noqa: RUF012
            name: parse for name, parse in Parser.NO_PAREN_FUNCTION_PARSERS.items() if name == "CASE"
        }

    return ScalarParser
