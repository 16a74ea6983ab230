"""What Grafana does with a dashboard's queries: fills in variables and macros, asks, and makes series and tables of it.

Macros as in Grafana's documentation of its PostgreSQL and Prometheus data sources.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import psycopg
from project import ROOT

from prometheus import PrometheusServer

FOLDER = ROOT / "deploy" / "grafana" / "provisioning" / "dashboards"
DASHBOARDS: dict[str, Any] = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.json")}
"""The committed dashboards by their uid."""

Value = str | list[str]


class Line(NamedTuple):
    """Values over time.

    Attributes:
        name: What the legend says.
        points: Epoch seconds and value.
    """

    name: str
    points: list[tuple[float, float]]


class Rows(NamedTuple):
    """A table."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


Answer = list[Line] | Rows


@dataclass(frozen=True)
class View:
    """A dashboard as somebody looks at it.

    Attributes:
        begin_s, end_s: The time shown, epoch seconds.
        interval_s: What time a point stands for; Grafana finds it from the time shown and the panel's width.
        scrape_s: How often Prometheus scrapes, as the data source says.
        chosen: The variables' values; a list where several may be chosen.
    """

    begin_s: float
    end_s: float
    interval_s: int = 5
    scrape_s: int = 1
    chosen: Mapping[str, Value] = field(default_factory=dict)

    def text(self, text: str) -> str:
        """A title with its variables filled in."""
        return re.sub(r"\$(\w+)", lambda found: str(self.chosen.get(found[1], found[0])), text)

    def expression(self, text: str) -> str:
        """PromQL with everything filled in."""
        text = text.replace("$__rate_interval", f"{max(self.interval_s + self.scrape_s, 4 * self.scrape_s)}s")
        text = text.replace("$__interval", f"{self.interval_s}s").replace("$__range", f"{self._span_s:.0f}s")
        return _checked(re.sub(r"\$(\w+)", lambda found: _of_regex(self.chosen[found[1]]), text))

    def statement(self, text: str) -> str:
        """SQL with everything filled in."""
        text = re.sub(r"\$\{(\w+):sqlstring\}", lambda found: _quoted(self.chosen[found[1]]), text)
        text = text.replace("$__interval", f"{self.interval_s}s")
        between = f"BETWEEN '{_instant(self.begin_s)}' AND '{_instant(self.end_s)}'"
        text = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 {between}", text)
        grouped = r'floor(extract(epoch from \1)/\2)*\2 AS "time"'
        return _checked(re.sub(r"\$__timeGroupAlias\((\w+), (\d+)s\)", grouped, text))

    @property
    def _span_s(self) -> float:
        return self.end_s - self.begin_s


class Grafana:
    """Asks the two servers what a dashboard asks.

    Args:
        prometheus: One.
        store: A connection to the other, as the user of dashboards.
    """

    def __init__(self, prometheus: PrometheusServer, store: psycopg.Connection[Any]) -> None:
        self._prometheus = prometheus
        self._store = store

    def open(self, dashboard: Mapping[str, Any], view: View) -> View:
        """The view with the dashboard's variables at their defaults: the first value there is, or all."""
        for variable in dashboard["templating"]["list"]:
            values = self.choices(variable, view)
            assert values, f"{dashboard['title']}: nothing to choose for {variable['name']}"
            chosen = variable["allValue"] if variable["includeAll"] else values[0]
            view = replace(view, chosen={**view.chosen, variable["name"]: chosen})
        return view

    def choices(self, variable: Mapping[str, Any], view: View) -> list[str]:
        """What a variable offers."""
        if variable["datasource"]["type"] == "postgres":
            return [str(row[0]) for row in self._rows(view.statement(variable["query"])).rows]
        found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
        assert found, variable["query"]
        match = {"match[]": view.expression(found[1]), "start": view.begin_s, "end": view.end_s}
        return sorted(self._prometheus.get(f"label/{found[2]}/values", **match))

    def ask(self, target: Mapping[str, Any], view: View) -> Answer:
        """What one query of a panel gives."""
        if target["datasource"]["type"] == "postgres":
            rows = self._rows(view.statement(target["rawSql"]))
            return rows if target["format"] == "table" else _lines(rows)
        expression = view.expression(target["expr"])
        if target["instant"]:
            found = self._prometheus.get("query", query=expression, time=view.end_s)["result"]
            return [Line(_legend(each, target), [_point(*each["value"])]) for each in found]
        step = {"start": view.begin_s, "end": view.end_s, "step": view.interval_s}
        found = self._prometheus.get("query_range", query=expression, **step)["result"]
        return [Line(_legend(each, target), [_point(*pair) for pair in each["values"]]) for each in found]

    def _rows(self, statement: str) -> Rows:
        cursor = self._store.execute(statement.encode())
        return Rows([column.name for column in cursor.description or ()], cursor.fetchall())


def panels(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Its panels, without the headings."""
    return (panel for panel in dashboard["panels"] if panel["type"] != "row")


def _legend(found: Mapping[str, Any], target: Mapping[str, Any]) -> str:
    labels = found["metric"]
    return re.sub(r"\{\{(\w+)\}\}", lambda name: labels.get(name[1], ""), target["legendFormat"]).strip()


def _lines(table: Rows) -> list[Line]:
    assert table.columns == ["time", "metric", "value"], table.columns
    found: dict[str, list[tuple[float, float]]] = {}
    for time_s, metric, value in table.rows:
        found.setdefault(metric, []).append(_point(time_s, value))
    return [Line(name, points) for name, points in found.items()]


def _point(time_s: Any, value: Any) -> tuple[float, float]:
    return float(time_s), float(value)


def _of_regex(value: Value) -> str:
    """As Grafana fills variables into PromQL: several become alternatives."""
    if isinstance(value, list):
        return f"({'|'.join(re.escape(each) for each in value)})"
    return value


def _quoted(value: Value) -> str:
    values = [value] if isinstance(value, str) else value
    return ",".join("'" + each.replace("'", "''") + "'" for each in values)


def _instant(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).isoformat().replace("+00:00", "Z")


def _checked(text: str) -> str:
    assert "$" not in text, f"not filled in: {text}"
    return text
