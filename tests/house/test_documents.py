"""The documents: links lead somewhere, commands exist, settings are the program's."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer.main
from project import ROOT, name_of, tracked

from fraudstream import kafka_properties, settings
from fraudstream.cli.lazy import load_command
from fraudstream.cli.main import LazyGroup, app
from fraudstream.define.monitoring import Limits
from fraudstream.engine.reject import RejectClass

DOCUMENTS = tracked(".md")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(fraudstream [^`]+)`")


def _anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as code hosts make them."""
    text = _FENCE.sub("", path.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def broken_links(path: Path) -> list[str]:
    """The links of a document that lead to no file, or to no heading of one."""
    broken = []
    for target in _LINK.findall(_FENCE.sub("", path.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = path.parent / name if name else path
        if not there.exists() or (anchor and anchor not in _anchors(there)):
            broken.append(target)
    return broken


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_lead_to_files_and_headings_that_exist(path: Path) -> None:
    assert broken_links(path) == []


def test_a_link_to_nowhere_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One heading\n[a](#one-heading) [b](page.md) [c](gone.md) [d](#gone) [e](https://example.org)\n")
    assert broken_links(page) == ["gone.md", "#gone"]


def commands_in(text: str) -> list[str]:
    """The `fraudstream …` commands a document shows, from its code blocks and its sentences."""
    shown = _INLINE.findall(_FENCE.sub("", text))
    for language, block in _FENCE.findall(text):
        if language in ("console", "sh", "bash", "shell", ""):
            lines = block.replace("\\\n", " ").splitlines()
            prompts = [line.strip().removeprefix("$ ") for line in lines if language != "console" or "$ " in line[:4]]
            shown += [line for line in prompts if line.removeprefix(".venv/bin/").startswith("fraudstream ")]
    return [line.removeprefix(".venv/bin/") for line in shown]


@cache
def _command(name: str) -> Any:
    return load_command(name, LazyGroup.table[name].module)


def wrong_in(line: str) -> str | None:
    """What a shown command has that the program does not; None where all of it exists."""
    words = [word for word in shlex.split(line.partition(" | ")[0], comments=True)[1:] if word != "…"]
    group: Any = typer.main.get_command(app)
    flags = {flag for parameter in group.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    if words and not words[0].startswith("-"):
        name = words.pop(0)
        if name not in LazyGroup.table:
            return f"no command {name}"
        try:
            command = _command(name)
        except ModuleNotFoundError:
            return f"no command {name}"
        if hasattr(command, "commands") and words and not words[0].startswith("-"):
            named = words[0] in command.commands
            if not named and not hasattr(command, "unnamed"):
                return f"no command {name} {words[0]}"
            command = command.commands[words.pop(0) if named else command.unnamed]
        flags = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    unknown = [word for word in words if word.startswith("-") and word.partition("=")[0] not in flags]
    unknown = [word for word in unknown if word not in ("-h", "--help", "-")]
    return f"no option {unknown[0]}" if unknown else None


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_command_shown_exists_with_its_options(path: Path) -> None:
    shown = commands_in(path.read_text(encoding="utf-8"))
    assert {line: wrong for line in shown if (wrong := wrong_in(line))} == {}


def test_a_command_that_does_not_exist_is_noticed() -> None:
    page = "Run `fraudstream fly`.\n```console\n$ fraudstream run retail --fly\n$ fraudstream kafka start --json\n```\n"
    assert [wrong_in(line) for line in commands_in(page)] == ["no command fly", "no option --fly", None]


def test_the_settings_page_lists_every_setting_with_its_place_and_default() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| ?(.*?) ?\|", page, re.MULTILINE)
    listed = {name: (place.strip("`"), default.strip("`")) for name, place, default in rows if name.islower()}
    known = {}
    for name, kind in settings._KINDS.items():
        place = "secret" if kind.secret else f"{kind.table}.{name}".lstrip(".")
        known[name] = ("[kafka.properties]" if name == "kafka_properties" else place, kind.default or "")
    assert listed == known
    words = [word for kind in settings._KINDS.values() for word in kind.words]
    assert [word for word in (*words, *kafka_properties.OWNED) if f"`{word}`" not in page] == []


def test_the_example_on_the_settings_page_is_accepted(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    example = next(block for language, block in _FENCE.findall(page) if language == "toml")
    (tmp_path / "fraudstream.toml").write_text(example)
    (tmp_path / "scorer.password").write_text("hidden\n")
    (tmp_path / "ca.pem").write_text("")
    found = settings.load_settings(environ={}, folder=tmp_path)
    assert found.sasl_password == settings.Secret("hidden")
    assert found.kafka_properties == {"socket.timeout.ms": "20000"}


def test_the_delivery_page_lists_the_classes_of_dead_letters_in_their_order() -> None:
    page = (ROOT / "docs" / "delivery.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == [kind.value for kind in RejectClass]


def test_the_page_on_learning_lists_the_limits_with_their_defaults() -> None:
    page = (ROOT / "docs" / "learning.md").read_text(encoding="utf-8")
    block = next(block for _, block in _FENCE.findall(page) if block.startswith("monitor:"))
    shown = {name: float(value) for name, value in re.findall(r"^  (\w+): ([\d.]+)", block, re.MULTILINE)}
    defaults = msgspec.structs.asdict(Limits())
    assert list(shown) == list(defaults)
    assert {name: shown[name] for name, value in defaults.items() if value is not None} == {
        name: value for name, value in defaults.items() if value is not None
    }
