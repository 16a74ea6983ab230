"""The parts of a page: tables, figures with their numbers, sections, and the page, which asks nobody for anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Literal

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""A browser loads nothing from anywhere, whatever a text on the page may hold."""


@dataclass(frozen=True)
class Cell:
    """What stands in a table beside plain text.

    Attributes:
        text: The text, or several, one below another.
        look: How good it is, or that it is words, which begin at the left.
    """

    text: str | tuple[str, ...]
    look: Literal["good", "warn", "bad", "words"]

    def html(self) -> str:
        """The cell."""
        if isinstance(self.text, str):
            return f'<td class="{self.look}">{escape(self.text)}</td>'
        items = "".join(f"<li>{escape(each)}</li>" for each in self.text)
        return f'<td class="{self.look}"><ul>{items}</ul></td>'


@dataclass(frozen=True)
class Section:
    """A part of the page with its own heading: HTML that this package made."""

    name: str
    title: str
    body: str


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str | Cell]]) -> str:
    """A table whose first column names its rows."""
    words = {place for row in rows for place, cell in enumerate(row) if isinstance(cell, Cell) and cell.look == "words"}
    looks = [' class="words"' if place in words else "" for place in range(len(heads))]
    head = "".join(f'<th scope="col"{look}>{escape(each)}</th>' for look, each in zip(looks, heads, strict=True))
    body = []
    for first, *rest in rows:
        name = first.html() if isinstance(first, Cell) else f'<th scope="row">{escape(first)}</th>'
        cells = "".join(each.html() if isinstance(each, Cell) else f"<td>{escape(each)}</td>" for each in rest)
        body.append(f"<tr>{name}{cells}</tr>")
    return (
        f'<div class="scroll" tabindex="0"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def figure(title: str, svg: str, caption: str, numbers: str = "") -> str:
    """A plot with what it says in words, and its numbers to unfold."""
    more = f"<details><summary>The numbers</summary>{numbers}</details>" if numbers else ""
    return f"<figure><h3>{escape(title)}</h3>{svg}<figcaption>{escape(caption)}</figcaption>{more}</figure>"


def figures(*each: str) -> str:
    """Figures side by side, as many as there is room for."""
    return f'<div class="figures">{"".join(each)}</div>'


def tiles(values: Sequence[tuple[str, str, str]]) -> str:
    """The few numbers that matter most: name, value, and what stands small beside it."""
    each = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)} <small>{escape(small)}</small></dd></div>"
        for name, value, small in values
    )
    return f'<dl class="tiles">{each}</dl>'


def page(title: str, about: str, sections: Sequence[Section], foot: str) -> str:
    """A whole page in one file, without a script and without an address."""
    css = files("fraudstream.report").joinpath("page.css").read_text(encoding="utf-8")
    links = "".join(f'<li><a href="#{each.name}">{escape(each.title)}</a></li>' for each in sections)
    body = "".join(
        f'<section id="{each.name}" aria-labelledby="h-{each.name}"><h2 id="h-{each.name}">{escape(each.title)}</h2>'
        f"{each.body}</section>"
        for each in sections
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{css}</style></head><body>"
        f'<header><h1>{escape(title)}</h1><p class="quiet">{escape(about)}</p>'
        f'<nav aria-label="Sections"><ul>{links}</ul></nav></header>'
        f"<main>{body}</main><footer>{escape(foot)}</footer></body></html>\n"
    )
