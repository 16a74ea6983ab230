"""Charts as Grafana draws them, each an SVG of the size it has room for; in Grafana's dark colours."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

NAMED = {
    "green": "#73bf69", "yellow": "#f2cc0c", "orange": "#ff9830", "red": "#f2495c", "blue": "#5794f2",
    "purple": "#b877d9", "transparent": "#8e8e8e",
}  # fmt: skip
PALETTE = (
    "#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#705da0", "#37872d", "#fade2a",
    "#447ebc", "#c15c17", "#890f02", "#0a437c", "#6d1f62", "#584477",
)  # fmt: skip

Points = Sequence[tuple[float, float]]
"""Epoch seconds and values."""
Ranks = Sequence[tuple[str, Sequence[float]]]
"""A name and its values."""
Shown = Callable[[float], str]


def colour_of(name: str, place: int, overrides: Sequence[Mapping[str, Any]]) -> str:
    """The colour of a series: that which the panel gives its name, else the palette's next."""
    for override in overrides:
        if override["matcher"]["options"] == name:
            for each in override["properties"]:
                if each["id"] == "color":
                    return NAMED[each["value"]["fixedColor"]]
    return PALETTE[place % len(PALETTE)]


def shown_as(unit: str, decimals: int | None = None) -> Shown:
    """How values of a unit are written; as many decimals as say something, unless said."""

    def scaled(value: float, base: float, names: Sequence[str]) -> str:
        place = 0
        while abs(value) >= base and place < len(names) - 1:
            value, place = value / base, place + 1
        return f"{_digits(value, decimals)} {names[place]}".strip()

    def show(value: float) -> str:
        if unit == "s":
            if abs(value) < 1:
                return f"{_digits(value * 1_000, decimals)} ms"
            for seconds, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
                if abs(value) >= seconds:
                    return f"{_digits(value / seconds, decimals)} {name}"
            return f"{_digits(value, decimals)} s"
        if unit == "percentunit":
            return f"{_digits(value * 100, decimals)} %"
        if unit in ("bytes", "Bps"):
            names = ("B", "KiB", "MiB", "GiB") if unit == "bytes" else ("B/s", "kB/s", "MB/s", "GB/s")
            return scaled(value, 1_024 if unit == "bytes" else 1_000, names)
        return scaled(value, 1_000, ("", "K", "Mil", "Bil"))

    return show


def series(
    lines: Sequence[tuple[str, str, Points]], size: tuple[int, int], span: tuple[float, float], interval_s: float,
    unit: str, *, stacked: bool, bars: bool, fill: float, top: float | None, line_at: float | None, gaps: bool,
) -> str:  # fmt: skip
    """Values over time.

    Args:
        lines: Name, colour and points of each, epoch seconds and values.
        size: Width and height in pixels.
        span: Which time is shown, epoch seconds.
        interval_s: What time a point stands for.
        unit: Grafana's id of the values' unit.
        stacked, bars, fill, top, line_at: As the panel says.
        gaps: Whether a line breaks where points are missing.
    """
    shown = shown_as(unit)
    times = sorted({time for _, _, points in lines for time, _ in points})
    below = dict.fromkeys(times, 0.0)
    shapes: list[tuple[str, list[tuple[float, float, float]]]] = []
    for _, colour, points in lines:
        shape = []
        for time, value in points:
            low = below[time] if stacked else 0.0
            shape.append((time, low, low + value))
            if stacked:
                below[time] = low + value
        shapes.append((colour, shape))
    highest = max((high for _, shape in shapes for _, _, high in shape), default=1.0)
    if line_at is not None:
        highest = max(highest, line_at * 1.1)
    ticks, most = _ticks(min(highest * 1.05, top) if top else highest * 1.05, unit)
    frame = _Frame(size, span, most, max((len(shown(tick)) for tick in ticks), default=1))
    parts = frame.grid(ticks, shown)
    for colour, shape in shapes:
        if bars:
            width = max(frame.width * interval_s / (span[1] - span[0]) * 0.85, 1.5)
            for time, low, high in shape:
                y, foot = frame.y(high), frame.y(low)
                parts.append(
                    f'<rect x="{frame.x(time) - width / 2:.1f}" y="{y:.1f}" width="{width:.1f}" '
                    f'height="{max(foot - y, 0):.1f}" fill="{colour}" fill-opacity=".85"/>'
                )
            continue
        for piece in _pieces(shape, 2.5 * interval_s if gaps else math.inf):
            way = " ".join(f"{frame.x(time):.1f},{frame.y(high):.1f}" for time, _, high in piece)
            back = " ".join(f"{frame.x(time):.1f},{frame.y(low):.1f}" for time, low, _ in reversed(piece))
            parts.append(f'<polygon points="{way} {back}" fill="{colour}" fill-opacity="{fill / 100:.2f}"/>')
            parts.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="1.4"/>')
            if len(piece) == 1:
                parts.append(
                    f'<circle cx="{frame.x(piece[0][0]):.1f}" cy="{frame.y(piece[0][2]):.1f}" r="2" fill="{colour}"/>'
                )
    if line_at is not None:
        y = frame.y(line_at)
        parts.append(
            f'<line x1="{frame.left}" x2="{frame.left + frame.width}" y1="{y:.1f}" y2="{y:.1f}" '
            f'stroke="{NAMED["red"]}" stroke-dasharray="6 5" stroke-opacity=".9"/>'
        )
    return _svg(size, parts)


def heat(
    buckets: Sequence[tuple[float, Points]], size: tuple[int, int], span: tuple[float, float], step_s: float
) -> str:
    """A histogram over time: `buckets` are its edges, each with how many values were not above it."""
    ordered = sorted(buckets)
    counts: dict[tuple[int, float], float] = {}
    before: dict[float, float] = {}
    for row, (_, points) in enumerate(ordered):
        for time, value in points:
            counts[row, time] = max(value - before.get(time, 0.0), 0.0)
        before = dict(points)
    most = max(counts.values(), default=1.0) or 1.0
    rows = len(ordered)
    frame = _Frame(size, span, float(rows), 4)
    parts = frame.grid([], str)
    width, height = frame.width * step_s / (span[1] - span[0]), frame.height / rows
    for (row, time), count in counts.items():
        if count > 0:
            strength = (count / most) ** 0.5
            parts.append(
                f'<rect x="{frame.x(time) - width:.1f}" y="{frame.y(row + 1):.1f}" width="{max(width - 1, 1):.1f}" '
                f'height="{max(height - 1, 1):.1f}" fill="{_mixed((66, 40, 20), (255, 190, 120), strength)}"/>'
            )
    for row, (edge, _) in enumerate(ordered):
        if math.isfinite(edge) and row % 4 == 3:
            parts.append(_text(frame.left - 6, frame.y(row + 1) + 4, f"{edge:g}", "end"))
    return _svg(size, parts)


def lying_bars(
    rows: Ranks, colours: Sequence[str], size: tuple[int, int], shown: Shown, *, percent: bool = False
) -> str:  # fmt: skip
    """Bars to the right, one a row, its values put together; `percent`: each row's as parts of its whole."""
    width, height = size
    left = min(max((_wide(name) for name, _ in rows), default=0) + 18, width * 0.55)
    most = max((sum(values) for _, values in rows), default=1.0) or 1.0
    room = width - left - 62
    pitch = min((height - 10) / max(len(rows), 1), 44)
    parts = []
    for place, (name, values) in enumerate(rows):
        y, x = 6 + place * pitch, left
        cut = name
        while _wide(cut) > left - 10:
            cut = f"{cut[:-2]}…"
        parts.append(_text(left - 8, y + pitch / 2 + 3, cut, "end"))
        for value, colour in zip(values, colours, strict=True):
            length = value / ((sum(values) if percent else most) or 1.0) * room
            parts.append(
                f'<rect x="{x:.1f}" y="{y + pitch * 0.12:.1f}" width="{max(length, 0):.1f}" '
                f'height="{pitch * 0.72:.1f}" fill="{colour}" fill-opacity=".85"/>'
            )
            if percent and length > 34:
                parts.append(
                    _text(x + length / 2, y + pitch / 2 + 3, f"{value / sum(values):.0%}", "middle", "#111217")
                )
            x += length
        parts.append(_text(x + 6, y + pitch / 2 + 3, shown(sum(values)), "start", "#ccccdc"))
    return _svg(size, parts)


def standing_bars(rows: Ranks, colours: Sequence[str], size: tuple[int, int], unit: str) -> str:
    """Bars upwards, those of a row beside each other."""
    shown = shown_as(unit)
    ticks, most = _ticks(max((max(values) for _, values in rows), default=1.0) * 1.05)
    frame = _Frame(size, (0, len(rows) or 1), most, max(len(shown(tick)) for tick in ticks))
    parts = frame.grid(ticks, shown, times=False)
    pitch = frame.width / max(len(rows), 1)
    every = max(1, math.ceil(34 / pitch))
    thick = pitch * 0.8 / max(len(colours), 1)
    for place, (name, values) in enumerate(rows):
        for number, (value, colour) in enumerate(zip(values, colours, strict=True)):
            y = frame.y(value)
            parts.append(
                f'<rect x="{frame.x(place) + pitch * 0.1 + number * thick:.1f}" y="{y:.1f}" width="{thick:.1f}" '
                f'height="{frame.y(0) - y:.1f}" fill="{colour}" fill-opacity=".85"/>'
            )
        if place % every == 0:
            parts.append(_text(frame.x(place) + pitch / 2, frame.y(0) + 16, name.strip(), "middle"))
    return _svg(size, parts)


def donut(parts_: Sequence[tuple[str, float, str]], size: tuple[int, int]) -> str:
    """Parts of a whole: name, value and colour of each."""
    whole = sum(value for _, value, _ in parts_) or 1.0
    x, y = size[0] / 2, size[1] / 2
    outer = min(x, y) - 6
    inner, turned = outer * 0.6, 0.0
    parts = []
    for _, value, colour in parts_:
        share = value / whole
        begin, end = turned * math.tau, (turned + min(share, 0.9999)) * math.tau
        corners = [
            (x + radius * math.sin(angle), y - radius * math.cos(angle))
            for radius, angle in ((outer, begin), (outer, end), (inner, end), (inner, begin))
        ]
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = corners
        wide = int(share > 0.5)
        parts.append(
            f'<path d="M{ax:.1f} {ay:.1f}A{outer:.1f} {outer:.1f} 0 {wide} 1 {bx:.1f} {by:.1f}L{cx:.1f} {cy:.1f}'
            f'A{inner:.1f} {inner:.1f} 0 {wide} 0 {dx:.1f} {dy:.1f}Z" fill="{colour}" stroke="#181b1f"/>'
        )
        if share > 0.06:
            angle, at = (turned + share / 2) * math.tau, (outer + inner) / 2
            label = _text(x + at * math.sin(angle), y - at * math.cos(angle) + 4, f"{share:.0%}", "middle", "#111217")
            parts.append(label.replace("<text", '<text font-weight="600"'))
        turned += share
    return _svg(size, parts)


def spark(points: Points, colour: str, size: tuple[int, int]) -> str:
    """The course of a number, without axes."""
    if len(points) < 2:
        return ""
    low, high = min(value for _, value in points), max(value for _, value in points)
    begin, end = points[0][0], points[-1][0]
    width, height = size

    def at(time: float, value: float) -> str:
        y = height - 2 - (value - low) / ((high - low) or 1) * (height - 4)
        return f"{(time - begin) / (end - begin) * width:.1f},{y:.1f}"

    way = " ".join(at(*point) for point in points)
    parts = [
        f'<polygon points="0,{height} {way} {width},{height}" fill="{colour}" fill-opacity=".22"/>',
        f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="1.3"/>',
    ]
    return _svg(size, parts)


class _Frame:
    """Where values and times are on a chart."""

    def __init__(self, size: tuple[int, int], span: tuple[float, float], most: float, letters: int) -> None:
        self.left = 14 + 6.3 * letters
        self.width = size[0] - self.left - 12
        self.height = size[1] - 30.0
        self._span = span
        self._most = most or 1.0

    def x(self, time: float) -> float:
        return self.left + (time - self._span[0]) / (self._span[1] - self._span[0]) * self.width

    def y(self, value: float) -> float:
        return 8 + self.height * (1 - value / self._most)

    def grid(self, ticks: Sequence[float], shown: Shown, *, times: bool = True) -> list[str]:
        parts = []
        right = self.left + self.width
        for tick in ticks:
            y = self.y(tick)
            parts.append(f'<line class="grid" x1="{self.left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(_text(self.left - 6, y + 4, shown(tick), "end"))
        if times:
            begin, end = self._span
            step = next(
                s for s in (5, 10, 15, 30, 60, 120, 300, 900, 3_600, 1e9) if (end - begin) / s <= self.width / 60
            )
            time = math.ceil(begin / step) * step
            while time <= end:
                x = self.x(time)
                parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="8" y2="{8 + self.height}"/>')
                if self.left + 18 < x < right - 12:
                    form = "%H:%M:%S" if step < 60 else "%H:%M"
                    parts.append(_text(x, self.height + 23, f"{datetime.fromtimestamp(time):{form}}", "middle"))
                time += step
        return parts


def _ticks(highest: float, unit: str = "short") -> tuple[list[float], float]:
    """Three to six round values from zero on, and where the axis ends."""
    highest = highest if highest > 0 else 1.0
    if unit == "s" and highest > 5:
        step = next((each for each in (2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800) if highest / each <= 5), 3_600.0)
    elif unit == "bytes":
        step = 2.0 ** math.floor(math.log2(highest / 3))
    else:
        step = 10.0 ** math.floor(math.log10(highest / 3))
        step *= next(factor for factor in (1, 2, 2.5, 5, 10) if highest / (step * factor) <= 5)
    return [place * step for place in range(math.floor(highest / step + 1e-9) + 1)], highest


def _wide(text: str) -> float:
    """About how wide a label is, in pixels."""
    return sum(8.2 if letter.isupper() or letter == "_" else 6.6 for letter in text)


def _pieces(shape: Sequence[tuple[float, float, float]], longest_s: float) -> list[list[tuple[float, float, float]]]:
    pieces: list[list[tuple[float, float, float]]] = []
    for point in shape:
        if not pieces or point[0] - pieces[-1][-1][0] > longest_s:
            pieces.append([])
        pieces[-1].append(point)
    return pieces


def _digits(value: float, decimals: int | None) -> str:
    if decimals is not None:
        return f"{value:,.{decimals}f}"
    if value == 0:
        return "0"
    places = min(max(2 - math.floor(math.log10(abs(value))), 0), 4)
    text = f"{value:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _mixed(low: tuple[int, int, int], high: tuple[int, int, int], share: float) -> str:
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(low, high, strict=True))


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#8e8ea0") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def _svg(size: tuple[int, int], parts: Sequence[str]) -> str:
    return f'<svg width="{size[0]}" height="{size[1]}" viewBox="0 0 {size[0]} {size[1]}">{"".join(parts)}</svg>'
