"""A dashboard as a page in Grafana's layout: places from its JSON, contents from the answers to its queries."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

import grafana_charts as charts

from dashboards.grafana import Answer, Rows, View

WIDTH = 1440
CELL, GAP, EDGE = 30, 8, 16
"""Grafana's rows are 30 pixels high, with 8 between panels."""
_HEAD, _LEGEND = 30, 26
_STYLE = """
* { box-sizing: border-box; }
body { margin: 0; background: #111217; color: #ccccdc; font: 13px/1.4 Inter, Roboto, "DejaVu Sans", sans-serif; }
header { display: flex; align-items: center; gap: 8px; height: 48px; padding: 0 16px; background: #181b1f;
  border-bottom: 1px solid #2b2e35; font-size: 14px; }
header b { font-weight: 500; } header i { color: #6e6e7e; font-style: normal; } header span { margin-left: auto; }
header span, .chosen b { border: 1px solid #3a3d45; border-radius: 2px; padding: 3px 10px; background: #111217; }
.chosen { display: flex; gap: 16px; padding: 12px 16px 4px; } .chosen div { display: flex; align-items: center; }
.chosen i { font-style: normal; border: 1px solid #3a3d45; border-right: 0; padding: 3px 10px; background: #181b1f; }
.chosen b { font-weight: 400; }
main { position: relative; margin: 8px 16px; }
h2 { position: absolute; margin: 0; font-size: 15px; font-weight: 500; line-height: 30px; }
h2::before { content: "⌄"; padding: 0 8px 0 4px; color: #8e8ea0; }
section { position: absolute; background: #181b1f; border: 1px solid #25282f; border-radius: 2px; overflow: hidden; }
h3 { margin: 0; padding: 6px 10px 0; font-size: 13.5px; font-weight: 500; height: 30px; white-space: nowrap; }
ul { display: flex; flex-wrap: wrap; gap: 0 14px; list-style: none; margin: 0; padding: 2px 12px; font-size: 12px; }
li { white-space: nowrap; }
li::before { content: ""; display: inline-block; width: 14px; height: 4px; border-radius: 2px; background: var(--c);
  margin-right: 6px; vertical-align: 3px; }
.number { position: absolute; inset: 30px 0 0; display: flex; align-items: center; justify-content: center;
  font-weight: 500; text-shadow: 0 0 6px #181b1f; }
.number + svg { position: absolute; left: 0; bottom: 0; } svg { display: block; }
svg text { font-size: 11.5px; } .grid { stroke: #ccccdc; stroke-opacity: .09; }
table { border-collapse: collapse; width: 100%; font-size: 12.5px; }
th { text-align: left; font-weight: 500; color: #6e9fff; } th, td { padding: 5px 10px; border-bottom: 1px solid #25282f;
  white-space: nowrap; max-width: 330px; overflow: hidden; text-overflow: ellipsis; }
.right { text-align: right; } .empty { display: grid; place-items: center; height: 70%; color: #8e8ea0; }
footer { color: #6e6e7e; font-size: 12px; padding: 0 16px 12px; }
"""


def page(dashboard: Mapping[str, Any], view: View, answers: Mapping[int, Sequence[Answer]]) -> tuple[str, int]:
    """The page and its height in pixels; `answers` are those to the queries of each panel, by its id."""
    bottom = max(_box(panel)[1] + _box(panel)[3] for panel in dashboard["panels"])
    body = [_panel(panel, view, answers.get(panel["id"], [])) for panel in dashboard["panels"]]
    chosen = ""
    for each in dashboard["templating"]["list"]:
        value = "All" if each["includeAll"] else str(view.chosen[each["name"]])
        chosen += f"<div><i>{escape(each['label'])}</i><b>{escape(value)}</b></div>"
    begin, end = (datetime.fromtimestamp(each) for each in (view.begin_s, view.end_s))
    head = (
        f"<header><i>Home › Dashboards › fraudstream ›</i><b>{escape(dashboard['title'])}</b>"
        f"<span>{begin:%Y-%m-%d %H:%M:%S} to {end:%H:%M:%S}</span></header>"
    )
    foot = "Drawn by docs/images/draw_dashboards.py from the dashboard's own queries and layout, not by Grafana."
    html = (
        f'<!doctype html><meta charset="utf-8"><style>{_STYLE}</style>{head}<div class="chosen">{chosen}</div>'
        f'<main style="height:{bottom}px">{"".join(body)}</main><footer>{foot}</footer>'
    )
    return html, bottom + 48 + 44 + 16 + 32


def _box(panel: Mapping[str, Any]) -> tuple[int, int, int, int]:
    """Left, top, width and height in pixels."""
    place = panel["gridPos"]
    column = (WIDTH - 2 * EDGE + GAP) / 24
    return (
        round(place["x"] * column),
        place["y"] * (CELL + GAP),
        round(place["w"] * column) - GAP,
        place["h"] * (CELL + GAP) - GAP,
    )


def _panel(panel: Mapping[str, Any], view: View, answers: Sequence[Answer]) -> str:
    left, top, width, height = _box(panel)
    if panel["type"] == "row":
        return f'<h2 style="left:{left}px;top:{top}px">{escape(panel["title"])}</h2>'
    draw = {
        "timeseries": _series, "stat": _stat, "table": _table, "barchart": _bars, "piechart": _shares, "heatmap": _heat,
    }[panel["type"]]  # fmt: skip
    found = any(answer.rows if isinstance(answer, Rows) else answer for answer in answers)
    inside = (
        draw(panel, view, answers, (width - 2, height - _HEAD - 2)) if found else '<div class="empty">No data</div>'
    )
    box = f"left:{left}px;top:{top}px;width:{width}px;height:{height}px"
    return f'<section style="{box}"><h3>{escape(view.text(panel["title"]))}</h3>{inside}</section>'


def _series(panel: Mapping[str, Any], view: View, answers: Sequence[Answer], room: tuple[int, int]) -> str:
    field, custom = panel["fieldConfig"], panel["fieldConfig"]["defaults"]["custom"]
    lines = [line for answer in answers if not isinstance(answer, Rows) for line in answer]
    colours = [charts.colour_of(line.name, place, field["overrides"]) for place, line in enumerate(lines)]
    rows = _legend_rows([line.name for line in lines], room[0])
    steps = field["defaults"].get("thresholds", {"steps": [{}]})["steps"]
    chart = charts.series(
        [(line.name, colour, _finite(line.points)) for line, colour in zip(lines, colours, strict=True)],
        (room[0], room[1] - 6 - 20 * rows), (view.begin_s, view.end_s), view.interval_s,
        field["defaults"]["unit"],
        stacked=custom["stacking"]["mode"] == "normal", bars=custom["drawStyle"] == "bars", fill=custom["fillOpacity"],
        top=field["defaults"].get("max"), line_at=steps[1]["value"] if len(steps) > 1 else None,
        gaps=panel["datasource"]["type"] == "prometheus",
    )  # fmt: skip
    return chart + _legend([line.name for line in lines], colours)


def _stat(panel: Mapping[str, Any], view: View, answers: Sequence[Answer], room: tuple[int, int]) -> str:
    defaults, (answer,) = panel["fieldConfig"]["defaults"], answers
    points: list[tuple[float, float]] = []
    if isinstance(answer, Rows):
        value = answer.rows[0][0]
        value = math.nan if value is None else float(value)
    else:
        points = _finite(max(answer, key=lambda line: line.points[-1][0]).points)
        value = points[-1][1] if points else math.nan
    colour = "blue"
    for step in defaults["thresholds"]["steps"]:
        if step["value"] is None or value >= step["value"]:
            colour = step["color"]
    text = charts.shown_as(defaults["unit"], defaults.get("decimals"))(value) if math.isfinite(value) else "–"
    if panel["options"]["textMode"] == "name":
        assert not isinstance(answer, Rows)
        text = answer[0].name
    size = min(room[0] / max(len(text), 3) / 0.7, 44)
    number = f'<div class="number" style="color:{charts.NAMED[colour]};font-size:{size:.0f}px">{escape(text)}</div>'
    graph = panel["options"]["graphMode"] == "area" and panel["options"]["textMode"] != "name"
    return number + (charts.spark(points, charts.NAMED[colour], (room[0], room[1] // 2)) if graph else "")


def _table(panel: Mapping[str, Any], view: View, answers: Sequence[Answer], room: tuple[int, int]) -> str:
    (answer,) = answers
    assert isinstance(answer, Rows)
    settings = {
        each["matcher"]["options"]: {one["id"]: one["value"] for one in each["properties"]}
        for each in panel["fieldConfig"]["overrides"]
    }
    numbers = [any(isinstance(row[place], int | float) or hasattr(row[place], "as_tuple") for row in answer.rows)
               for place in range(len(answer.columns))]  # fmt: skip
    head = "".join(
        f'<th class="{"right" * number}">{escape(name)}</th>'
        for name, number in zip(answer.columns, numbers, strict=True)
    )
    most = int((room[1] - 28) / 28.5)
    body = "".join(
        "<tr>"
        + "".join(
            _cell(value, settings.get(name, {}), right=number)
            for name, value, number in zip(answer.columns, row, numbers, strict=True)
        )
        + "</tr>"
        for row in answer.rows[:most]
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _cell(value: Any, settings: Mapping[str, Any], *, right: bool) -> str:
    if value is None:
        text = ""
    elif isinstance(value, datetime):
        text = f"{value.astimezone():%Y-%m-%d %H:%M:%S}"
    elif "decimals" in settings:
        text = f"{value:,.{settings['decimals']}f}"
    else:
        text = str(value)
    options = settings["mappings"][0]["options"] if "mappings" in settings else {}
    colour = f' style="color:{charts.NAMED[options[text]["color"]]}"' if text in options else ""
    return f'<td class="{"right" * right}"{colour}>{escape(text)}</td>'


def _bars(panel: Mapping[str, Any], view: View, answers: Sequence[Answer], room: tuple[int, int]) -> str:
    (answer,) = answers
    assert isinstance(answer, Rows)
    names = answer.columns[1:]
    colours = [charts.colour_of(name, place, panel["fieldConfig"]["overrides"]) for place, name in enumerate(names)]
    rows = [(str(row[0]), [float(value or 0) for value in row[1:]]) for row in answer.rows]
    legend = panel["options"]["legend"]["showLegend"]
    size = (room[0], room[1] - (_LEGEND if legend else 6))
    unit, options = panel["fieldConfig"]["defaults"]["unit"], panel["options"]
    if options["orientation"] == "horizontal":
        percent = options["stacking"] == "percent"
        chart = charts.lying_bars(rows, colours, size, charts.shown_as(unit), percent=percent)
    else:
        chart = charts.standing_bars(rows, colours, size, unit)
    return chart + (_legend(names, colours) if legend else "")


def _shares(panel: Mapping[str, Any], view: View, answers: Sequence[Answer], room: tuple[int, int]) -> str:
    found: list[tuple[str, float]] = []
    for answer in answers:
        if isinstance(answer, Rows):
            found += [(name, float(value)) for name, value in zip(answer.columns, answer.rows[0], strict=True)]
        else:
            found += [(line.name, line.points[-1][1]) for line in answer]
    overrides = panel["fieldConfig"]["overrides"]
    parts = [
        (name, value, charts.colour_of(name, place, overrides)) for place, (name, value) in enumerate(found) if value
    ]
    shown = charts.shown_as(panel["fieldConfig"]["defaults"]["unit"])
    names = [f"{name}  {shown(value)}" for name, value, _ in parts]
    rows = _legend_rows(names, room[0])
    return charts.donut(parts, (room[0], room[1] - 8 - 20 * rows)) + _legend(names, [colour for *_, colour in parts])


def _heat(panel: Mapping[str, Any], view: View, answers: Sequence[Answer], room: tuple[int, int]) -> str:
    (answer,) = answers
    assert not isinstance(answer, Rows)
    buckets = [(float(line.name), line.points) for line in answer]
    return charts.heat(buckets, room, (view.begin_s, view.end_s), view.interval_s)


def _legend(names: Sequence[str], colours: Sequence[str]) -> str:
    items = (f'<li style="--c:{colour}">{escape(name)}</li>' for name, colour in zip(names, colours, strict=True))
    return f"<ul>{''.join(items)}</ul>"


def _legend_rows(names: Sequence[str], width: int) -> int:
    """How many lines the legend takes."""
    rows, x = 1, 0.0
    for name in names:
        wide = len(name) * 6.6 + 36
        if x + wide > width - 24 and x:
            rows, x = rows + 1, 0.0
        x += wide
    return rows


def _finite(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [point for point in points if math.isfinite(point[1])]
