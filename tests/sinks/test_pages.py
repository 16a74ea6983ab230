"""The pages on sinks say what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from project import ROOT

from fraudstream.extensions import extension_names, load_extension
from fraudstream.sinks.cef import as_cef
from fraudstream.sinks.delivery import DEFAULT_TIMEOUT_MS
from fraudstream.sinks.elasticsearch import as_ecs
from fraudstream.sinks.load import SINKS, load_sinks
from fraudstream.testing.sinks import alerts
from fraudstream.units import format_duration

FOLDER = ROOT / "docs" / "sinks"
KINDS = ("cef", "elasticsearch", "splunk")


def page(name: str) -> str:
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8")


def test_every_kind_has_its_page() -> None:
    assert set(KINDS) <= set(extension_names(SINKS))
    assert {"README", *KINDS} <= {path.stem for path in FOLDER.glob("*.md")}
    assert all(f"({kind}.md)" in page("README") for kind in KINDS)


@pytest.mark.parametrize("name", ["README", *KINDS])
def test_an_example_has_no_problem(name: str, tmp_path: Path) -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```", page(name), re.MULTILINE | re.DOTALL)
    (tmp_path / "sinks.yaml").write_text(example)
    assert list(load_sinks(tmp_path / "sinks.yaml", {"SPLUNK_TOKEN": "t", "ELASTIC_API_KEY": "k"})) == ["siem"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_and_default_is_listed_and_every_promise_made(kind: str) -> None:
    table = page(kind).partition("| key | default | meaning |")[2].partition("\n\n")[0]
    rows = dict(re.findall(r"^\| (`[^|]+) \| ([^|]*?) ?\|", table, re.MULTILINE))
    listed = [name for names in rows for name in re.findall(r"`(\w+)`", names)]
    assert listed == sorted(listed, key=list(load_extension(SINKS, kind).keys).index)
    assert set(listed) == set(load_extension(SINKS, kind).keys)
    assert rows["`timeout`"] == f"`{format_duration(DEFAULT_TIMEOUT_MS)}`"
    for head in ("**Guarantee.**", "**Limits.**", "**A server to try with:**"):
        assert head in page(kind)


def test_every_field_of_the_common_schema_is_listed() -> None:
    listed = re.findall(r"`([@\w.*]+)`", "".join(re.findall(r"^\| (`.*?) \|", page("elasticsearch"), re.MULTILINE)))
    (alert,) = alerts(0)
    for name, value in as_ecs(alert).items():
        inner = [f"{name}.{each}" for each in value] if isinstance(value, dict) else [name]
        assert f"{name}.*" in listed or set(inner) <= set(listed), name


def test_every_field_of_cef_is_listed() -> None:
    (alert,) = alerts(0)
    fields = re.findall(r"(?:^| )(\w+)=", as_cef(alert).rpartition("|")[2])
    assert [name for name in fields if not name.endswith("Label") and f"`{name}`" not in page("cef")] == []
    labels = re.findall(r"(\w+)Label=(\w+)", as_cef(alert))
    assert [pair for pair in labels if f"`{pair[0]}` {pair[1]}" not in page("cef")] == []
