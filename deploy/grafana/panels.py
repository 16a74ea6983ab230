"""Grafana's dashboards in a few words: what a dashboard of ours is made of, as the JSON that Grafana reads.

A panel says what it shows and how wide it is; `dashboard` finds its place. A test holds the result against the models
that Grafana itself publishes, those of `grafana-foundation-sdk`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Json = dict[str, Any]

PROMETHEUS: Json = {"type": "prometheus", "uid": "fraudstream-prometheus"}
POSTGRES: Json = {"type": "postgres", "uid": "fraudstream-postgres"}
COLUMNS = 24
"""Grafana's grid is so wide; heights are in rows of 38 pixels."""

GREEN, YELLOW, ORANGE, RED, BLUE, PURPLE = "green", "yellow", "orange", "red", "blue", "purple"
COLOURS = {
    "approve": GREEN, "review": ORANGE, "block": RED,
    "legitimate": GREEN, "fraud": RED, "flagged": RED,
    "LOW": GREEN, "MEDIUM": YELLOW, "HIGH": ORANGE, "CRITICAL": RED,
    "open": BLUE, "working": PURPLE,
}  # fmt: skip
"""Wherever a series has one of these names, it has this colour."""


def prom(expression: str, legend: str = "", *, instant: bool = False, form: str = "time_series") -> Json:
    """A query to Prometheus, over the dashboard's time or at its end."""
    kind = {"instant": True, "range": False} if instant else {"instant": False, "range": True}
    return {"datasource": PROMETHEUS, "expr": _one_line(expression), "legendFormat": legend, "format": form, **kind}


def sql(statement: str, form: str = "table") -> Json:
    """A query to the operational store; `time_series` where it gives `time`, `metric` and `value`."""
    text = "\n".join(line.rstrip() for line in statement.strip().splitlines())
    return {"datasource": POSTGRES, "rawSql": text, "format": form, "rawQuery": True, "editorMode": "code"}


def series(
    title: str, *targets: Json, unit: str = "short", about: str = "", width: int = 8, height: int = 8,
    stacked: bool = False, bars: bool = False, line_at: float | None = None, top: float | None = None,
) -> Json:  # fmt: skip
    """Values over time.

    Args:
        title, about: What is shown; `about` is what the panel's i says.
        targets: The queries.
        unit: Grafana's id of the unit.
        width, height: In the grid's columns and rows.
        stacked: On top of each other.
        bars: In place of lines.
        line_at: Where a line says that it begins to be too much.
        top: The greatest value that is possible.
    """
    custom: Json = {
        "drawStyle": "bars" if bars else "line",
        "lineWidth": 0 if bars else 1,
        "fillOpacity": 80 if bars else 25 if stacked else 10,
        "showPoints": "auto",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    defaults: Json = {"unit": unit, "min": 0, "custom": custom, "color": {"mode": "palette-classic"}}
    if top is not None:
        defaults["max"] = top
    if line_at is not None:
        custom["thresholdsStyle"] = {"mode": "dashed"}
        defaults["thresholds"] = _thresholds([(None, "transparent"), (line_at, RED)])
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return _panel("timeseries", title, about, width, height, targets, defaults, options, _coloured(targets))


def stat(
    title: str, target: Json, *, unit: str = "short", about: str = "", width: int = 4, height: int = 4,
    steps: Sequence[tuple[float | None, str]] = ((None, BLUE),), decimals: int | None = None, name: bool = False,
) -> Json:  # fmt: skip
    """One number, the latest; `steps` are the values from which on it has a colour.

    Args:
        title, target, unit, about, width, height: As of `series`.
        steps: The first one's value is None.
        decimals: How many are shown; as many as fit unless said.
        name: Show the series' name in place of its value.
    """
    defaults: Json = {"unit": unit, "color": {"mode": "thresholds"}, "thresholds": _thresholds(steps)}
    if decimals is not None:
        defaults["decimals"] = decimals
    options = {
        "colorMode": "value",
        "graphMode": "area" if target.get("range") else "none",
        "textMode": "name" if name else "value",
        "justifyMode": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    return _panel("stat", title, about, width, height, [target], defaults, options)


def table(
    title: str, target: Json, *, about: str = "", width: int = 24, height: int = 9,
    columns: Mapping[str, Json] | None = None,
) -> Json:  # fmt: skip
    """Rows; `columns` are field settings by column, such as `{"amount": {"unit": "short"}}`."""
    overrides = [_override(name, settings) for name, settings in (columns or {}).items()]
    options = {"showHeader": True, "cellHeight": "sm"}
    defaults = {"custom": {"align": "auto", "cellOptions": {"type": "auto"}}}
    return _panel("table", title, about, width, height, [target], defaults, options, overrides)


def ranks(
    title: str, target: Json, *, unit: str = "short", about: str = "", width: int = 8, height: int = 9,
    lying: bool = True, stacking: str = "none",
) -> Json:  # fmt: skip
    """A bar for each row of a table whose first column is a name and whose others are numbers.

    Args:
        title, target, unit, about, width, height: As of `series`.
        lying: Whether bars go to the right.
        stacking: How those of a row are put together: `none`, `normal` or `percent`.
    """
    defaults = {
        "unit": unit,
        "min": 0,
        "color": {"mode": "palette-classic"},
        "custom": {"fillOpacity": 80, "lineWidth": 0},
    }
    options = {
        "orientation": "horizontal" if lying else "vertical",
        "stacking": stacking,
        "showValue": "auto" if lying else "never",
        "barWidth": 0.8,
        "groupWidth": 0.8,
        "legend": {
            "displayMode": "list",
            "placement": "bottom",
            "showLegend": stacking != "none" or not lying,
            "calcs": [],
        },
        "tooltip": {"mode": "multi", "sort": "none"},
    }
    return _panel("barchart", title, about, width, height, [target], defaults, options, _coloured([target]))


def shares(title: str, *targets: Json, about: str = "", width: int = 4, height: int = 8) -> Json:
    """What part of the whole each number is: the columns of a table that has one row, or what targets give."""
    defaults = {"unit": "short", "color": {"mode": "palette-classic"}}
    options = {
        "pieType": "donut",
        "displayLabels": ["percent"],
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "values": ["value"]},
    }
    return _panel("piechart", title, about, width, height, targets, defaults, options, _coloured(targets))


def heat(title: str, target: Json, *, unit: str = "short", about: str = "", width: int = 12, height: int = 8) -> Json:
    """How the values of a histogram are distributed over time."""
    options = {
        "calculate": False,
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5, "fill": "dark-orange"},
        "cellGap": 1,
        "yAxis": {"unit": unit, "axisPlacement": "left"},
        "legend": {"show": True},
    }
    return _panel("heatmap", title, about, width, height, [target], {}, options)


def choice(name: str, label: str, query: str, *, every: bool = False) -> Json:
    """A variable that is chosen from what a query to Prometheus gives; `every`: all at once may be chosen, and are."""
    asked = {"query": query, "refId": "variable"}
    return _variable(name, label, PROMETHEUS, asked, every=every, order=1)


def sql_choice(name: str, label: str, statement: str) -> Json:
    """A variable that is chosen from what a query to the store gives, in its order: the first is the default."""
    return _variable(name, label, POSTGRES, " ".join(statement.split()), every=False, order=0)


def dashboard(
    uid: str, title: str, about: str, since: str, variables: Sequence[Json], rows: Sequence[tuple[str, Sequence[Json]]]
) -> Json:
    """A dashboard; each row is a heading and its panels, which are put beside each other as long as there is room."""
    placed: list[Json] = []
    y = 0
    for heading, panels in rows:
        line = {"type": "row", "title": heading, "collapsed": False, "panels": [], "gridPos": _place(0, y, COLUMNS, 1)}
        placed.append(line)
        x, y, tallest = 0, y + 1, 0
        for panel in panels:
            width, height = panel["gridPos"]["w"], panel["gridPos"]["h"]
            if x + width > COLUMNS:
                x, y, tallest = 0, y + tallest, 0
            placed.append(panel | {"gridPos": _place(x, y, width, height)})
            x, tallest = x + width, max(tallest, height)
        y += tallest
    return {
        "uid": f"fraudstream-{uid}",
        "title": title,
        "description": about,
        "tags": ["fraudstream"],
        "schemaVersion": 38,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "time": {"from": f"now-{since}", "to": "now"},
        "refresh": "30s",
        "links": [_link_to_others()],
        "templating": {"list": list(variables)},
        "annotations": {"list": []},
        "panels": [panel | {"id": number} for number, panel in enumerate(placed, 1)],
    }


def _panel(
    kind: str, title: str, about: str, width: int, height: int, targets: Sequence[Json], defaults: Json, options: Json,
    overrides: Sequence[Json] = (),
) -> Json:  # fmt: skip
    named = [target | {"refId": chr(ord("A") + place)} for place, target in enumerate(targets)]
    return {
        "type": kind,
        "title": title,
        "description": about,
        "datasource": targets[0]["datasource"],
        "gridPos": _place(0, 0, width, height),
        "targets": named,
        "fieldConfig": {"defaults": defaults, "overrides": list(overrides)},
        "options": options,
    }


def _variable(name: str, label: str, source: Json, query: Any, *, every: bool, order: int) -> Json:
    found: Json = {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": source,
        "query": query,
        "refresh": 2,  # whenever the time changes
        "sort": order,
        "multi": every,
        "includeAll": every,
    }
    if every:
        found |= {"allValue": ".*", "current": {"selected": True, "text": ["All"], "value": ["$__all"]}}
    return found


def _override(name: str, settings: Mapping[str, Any]) -> Json:
    properties = [{"id": key, "value": value} for key, value in settings.items()]
    return {"matcher": {"id": "byName", "options": name}, "properties": properties}


def _coloured(targets: Sequence[Json]) -> list[Json]:
    legends = {target.get("legendFormat", "{{outcome}}") for target in targets}  # a query to the store has none
    if not legends & {"{{outcome}}", *COLOURS}:
        return []
    return [_override(name, {"color": {"mode": "fixed", "fixedColor": colour}}) for name, colour in COLOURS.items()]


def _thresholds(steps: Sequence[tuple[float | None, str]]) -> Json:
    return {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in steps]}


def _place(x: int, y: int, width: int, height: int) -> Json:
    return {"x": x, "y": y, "w": width, "h": height}


def _link_to_others() -> Json:
    return {
        "type": "dashboards",
        "title": "fraudstream",
        "tags": ["fraudstream"],
        "asDropdown": False,
        "includeVars": True,
        "keepTime": True,
    }


def _one_line(expression: str) -> str:
    return " ".join(expression.split())
