"""The files: small enough to read, free of one machine's paths, and locked as declared."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from project import ROOT, name_of, tracked

LONGEST_FILE = 400
LONGEST_FUNCTION = 70
# In parts, so that this file does not find itself.
OF_ONE_MACHINE = ("/wor" + "k/", "/roo" + "t/", "/hom" + "e/", "files.pythonhosted" + ".org")
WITH_TEXT_OF_OTHERS = {"LICENSE", "requirements.lock"}


def _lengths(path: Path) -> dict[str, int]:
    """Lines of each function of a file, without its docstring."""
    found = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            found[node.name] = node.end_lineno - body[0].lineno + 1
    return found


def test_files_are_short_enough_to_read() -> None:
    sizes = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in tracked(".py")}
    assert {name: lines for name, lines in sizes.items() if lines > LONGEST_FILE} == {}


def test_functions_are_short_enough_to_read() -> None:
    long = {
        f"{name_of(path)}: {function}": lines
        for path in tracked(".py")
        # A compiled kernel is one loop over all cases: taking it apart costs its speed.
        if "kernels" not in path.parts
        for function, lines in _lengths(path).items()
        if lines > LONGEST_FUNCTION
    }
    assert long == {}


def test_no_file_names_a_place_of_one_machine() -> None:
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # pictures
        found += [(name_of(path), word) for word in OF_ONE_MACHINE if word in text]
    assert found == []


def test_the_lock_holds_what_is_declared_with_hashes_and_no_address() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    declared = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    declared += [each for extra in project["project"]["optional-dependencies"].values() for each in extra]
    declared += project["build-system"]["requires"]
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    entries = re.split(r"\n(?=\S)", lock.strip())
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    versions: dict[str, list[str]] = {}
    for entry in entries:
        name, version = re.match(r"(\S+?)==([^\s;]+)", entry).groups()  # type: ignore[union-attr]
        versions.setdefault(canonicalize_name(name), []).append(version)
    for text in declared:
        requirement = Requirement(text)
        locked = versions.get(canonicalize_name(requirement.name), [])
        assert locked, f"{text} is not in requirements.lock; run `make lock`"
        assert all(requirement.specifier.contains(version) for version in locked), f"{text}: locked {locked}"


def test_every_library_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    declared = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    declared += [each for extra in project["project"]["optional-dependencies"].values() for each in extra]
    page = (ROOT / "docs" / "decisions" / "0005-dependencies.md").read_text(encoding="utf-8")
    names = [Requirement(text).name for text in declared]
    assert [name for name in names if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", page)] == []


@pytest.mark.parametrize(
    "target",
    [
        "setup",
        "check",
        "test",
        "demo",
        "picture",
        "bench",
        "soak",
        "quality",
        "chaos",
        "fuzz",
        "real-data",
        "lock",
        "clean",
    ],
)
def test_make_knows_its_targets(target: str) -> None:
    """Every target is listed by `make help` and can be planned."""
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.search(rf"^make {target} ", shown, re.MULTILINE)
    planned = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert planned.returncode == 0, planned.stderr
