"""Plots as SVG that belongs into a page: its colours are the page's, in light and in dark, and it needs no script.

Every plot has a title and a description for those who do not see it; the page puts a table beside it.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

WIDTH, HEIGHT = 480, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 16, 14, 46
_MOST_POINTS = 400
_BAR, _NAME = 22, 190


def short(value: float) -> str:
    """A number to three significant digits, thousands apart."""
    if not math.isfinite(value):
        return "–"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{min(max(2 - math.floor(math.log10(abs(value))), 0), 6)}f}".rstrip("0").rstrip(".")


def percent(value: float) -> str:
    """A share in per cent."""
    return f"{short(100 * value)} %" if math.isfinite(value) else "–"


@dataclass(frozen=True)
class Axis:
    """One axis of a plot.

    Attributes:
        label: What it shows, with its unit.
        low, high: Where it begins and ends.
        shown: How a value is written.
    """

    label: str
    low: float = 0.0
    high: float = 1.0
    shown: Callable[[float], str] = short

    @property
    def span(self) -> float:
        """How much lies between its ends."""
        return self.high - self.low

    def ticks(self) -> list[float]:
        """Three to seven round values within the axis."""
        step = 10.0 ** math.floor(math.log10(self.span / 4))
        step *= next(factor for factor in (1, 2, 5, 10) if self.span / (step * factor) <= 6)
        first = math.ceil(self.low / step - 1e-9)
        return [place * step for place in range(first, math.floor(self.high / step + 1e-9) + 1)]


def axis_over(label: str, *values: Floats, shown: Callable[[float], str] = short, zero: bool = False) -> Axis:
    """An axis on which all of the values have room."""
    known = np.concatenate([each[np.isfinite(each)] for each in values])
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    low = min(low, 0.0) if zero else low
    return Axis(label, low, high if high > low else low + 1.0, shown)


@dataclass
class Plot:
    """Lines, points and marks over two axes.

    Attributes:
        title: What is shown.
        x, y: The axes.
        about: What is to be seen in it, for those who do not see it.
        legend_low: Whether there is more room for the legend below than above.
    """

    title: str
    x: Axis
    y: Axis
    about: str
    legend_low: bool = False
    _parts: list[str] = field(default_factory=list)
    _names: list[tuple[str, str]] = field(default_factory=list)

    def line(self, xs: Floats, ys: Floats, series: int = 1, name: str = "", *, faint: bool = False) -> None:
        """A line through points in their order, thinned to what can be seen."""
        way = np.cumsum(np.hypot(np.diff(xs / self.x.span * WIDTH), np.diff(ys / self.y.span * HEIGHT)))
        steps = np.linspace(0, way[-1] if len(way) else 0, _MOST_POINTS)
        places = np.unique(np.append(np.searchsorted(way, steps), len(xs) - 1))
        points = " ".join(f"{self._x(float(xs[i])):.1f},{self._y(float(ys[i])):.1f}" for i in places.tolist())
        look = f"line s{series}{' faint' if faint else ''}"
        self._parts.append(f'<polyline class="{look}" points="{points}"/>')
        if name:
            self._names.append((look, name))

    def points(self, xs: Floats, ys: Floats, series: int = 1, labels: Sequence[str] = ()) -> None:
        """Dots, each with a text that appears under the pointer."""
        for place, (x, y) in enumerate(zip(xs.tolist(), ys.tolist(), strict=True)):
            said = f"<title>{escape(labels[place])}</title>" if labels else ""
            dot = f'<circle class="dot s{series}" cx="{self._x(x):.1f}" cy="{self._y(y):.1f}" r="3.5">{said}</circle>'
            self._parts.append(dot)

    def columns(self, edges: Floats, heights: Floats, series: int, name: str) -> None:
        """Columns between edges, as of a histogram."""
        for left, right, height in zip(edges[:-1].tolist(), edges[1:].tolist(), heights.tolist(), strict=True):
            x, y = self._x(left), self._y(height)
            size = f'width="{max(self._x(right) - x - 1, 0.5):.1f}" height="{max(self._y(self.y.low) - y, 0):.1f}"'
            self._parts.append(f'<rect class="column s{series}" x="{x:.1f}" y="{y:.1f}" {size}/>')
        self._names.append((f"column s{series}", name))

    def mark(self, x: float, label: str) -> None:
        """A vertical line at a value, with its name."""
        at = self._x(x)
        side = 'text-anchor="end" dx="-4"' if at > WIDTH / 2 else 'dx="4"'
        self._parts.append(f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>')
        self._parts.append(f'<text class="small" x="{at:.1f}" y="{_TOP + 10}" {side}>{escape(label)}</text>')

    def diagonal(self, name: str) -> None:
        """The line on which both axes say the same."""
        ends = np.array([max(self.x.low, self.y.low), min(self.x.high, self.y.high)])
        points = " ".join(f"{self._x(each):.1f},{self._y(each):.1f}" for each in ends.tolist())
        self._parts.append(f'<polyline class="line reference" points="{points}"/>')
        self._names.append(("line reference", name))

    def svg(self) -> str:
        """The plot."""
        body = [*self._grid(), *self._parts, *self._legend()]
        return _svg(self.title, self.about, WIDTH, HEIGHT, body)

    def _x(self, value: float) -> float:
        share = (min(max(value, self.x.low), self.x.high) - self.x.low) / self.x.span
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def _y(self, value: float) -> float:
        share = (min(max(value, self.y.low), self.y.high) - self.y.low) / self.y.span
        return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)

    def _grid(self) -> list[str]:
        parts = []
        bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
        for tick in self.y.ticks():
            y = self._y(tick)
            parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(
                f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{self.y.shown(tick)}</text>'
            )
        for tick in self.x.ticks():
            x = self._x(tick)
            parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}"/>')
            parts.append(
                f'<text class="tick" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{self.x.shown(tick)}</text>'
            )
        middle = (_LEFT + right) / 2
        parts.append(
            f'<text class="label" x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(self.x.label)}</text>'
        )
        turned = f'transform="translate(14 {(_TOP + bottom) / 2}) rotate(-90)"'
        parts.append(f'<text class="label" text-anchor="middle" {turned}>{escape(self.y.label)}</text>')
        return parts

    def _legend(self) -> list[str]:
        if len(self._names) < 2:
            return []
        parts = []
        top = HEIGHT - _BOTTOM - 8 - 16 * (len(self._names) - 1) if self.legend_low else _TOP + 14
        for place, (look, name) in enumerate(self._names):
            y = top + 16 * place
            x = WIDTH - _RIGHT - 150
            parts.append(
                f'<line class="{look.replace("column", "line")}" x1="{x}" x2="{x + 18}" y1="{y - 4}" y2="{y - 4}"/>'
            )
            parts.append(f'<text class="small halo" x="{x + 24}" y="{y}">{escape(name)}</text>')
        return parts


def bars(title: str, about: str, names: Sequence[str], values: Sequence[float], shown: Callable[[float], str]) -> str:
    """Horizontal bars from zero, one a name; what is below zero goes to the left."""
    low, high = min(0.0, *values), max(0.0, *values)
    span = (high - low) or 1.0
    room = WIDTH - _NAME - 60
    zero = _NAME + (0.0 - low) / span * room
    parts = []
    for place, (name, value) in enumerate(zip(names, values, strict=True)):
        y = 6 + _BAR * place
        length = abs(value) / span * room
        x = zero if value >= 0 else zero - length
        cut = name if len(name) <= 28 else f"{name[:27]}…"
        parts.append(
            f'<text class="tick" x="{_NAME - 6}" y="{y + 13}" text-anchor="end"><title>{escape(name)}</title>'
            f"{escape(cut)}</text>"
        )
        parts.append(
            f'<rect class="column s1" x="{x:.1f}" y="{y + 2}" width="{max(length, 0.5):.1f}" height="{_BAR - 7}"/>'
        )
        parts.append(f'<text class="tick" x="{x + length + 5:.1f}" y="{y + 13}">{escape(shown(value))}</text>')
    return _svg(title, about, WIDTH, 12 + _BAR * len(names), parts)


def _svg(title: str, about: str, width: int, height: int, body: Sequence[str]) -> str:
    number = zlib.crc32(f"{title}\n{about}".encode())  # the same page again has the same bytes
    named = f'role="img" aria-labelledby="t{number} d{number}"'
    head = f'<title id="t{number}">{escape(title)}</title><desc id="d{number}">{escape(about)}</desc>'
    return f'<svg viewBox="0 0 {width} {height}" {named}>{head}{"".join(body)}</svg>'
