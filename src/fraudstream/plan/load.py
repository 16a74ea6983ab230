"""A plan from a YAML file, with the problems of its structure and of its meaning reported together, by line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fraudstream.define.load import Definition, read_definition
from fraudstream.define.yaml_tree import LocatedProblem
from fraudstream.errors import DefinitionError, Problem
from fraudstream.plan.compile import try_plan
from fraudstream.plan.plan import Plan


def plan_file(path: Path | str, environ: Mapping[str, str] | None = None) -> Plan:
    """The plan of the pipeline in a YAML file.

    Args:
        path: The file.
        environ: Where `${VARIABLE}` looks; the process's environment unless given.

    Raises:
        DefinitionError: With every problem of the file.
    """
    return plan_definition(read_definition(Path(path), environ))


def plan_definition(definition: Definition) -> Plan:
    """The plan of what a file gave.

    Raises:
        DefinitionError: With every problem of the file.
    """
    plan = None
    problems: list[LocatedProblem] = list(definition.problems)
    if definition.pipeline is not None:
        told = {problem.path for problem in problems}
        plan, found = try_plan(definition.pipeline, definition.broken)
        problems += [
            LocatedProblem.at(_line_of(problem.path, definition.lines), problem)
            for problem in found
            if not _is_told(problem, told)
        ]
    if problems or plan is None:
        ordered = sorted(problems, key=lambda problem: problem.line or 0)
        raise DefinitionError(definition.source, list[Problem](ordered))
    return plan


def _parents(path: str) -> list[str]:
    """The path and all paths above it, nearest first."""
    parts = path.split(".")
    return [".".join(parts[:length]) for length in range(len(parts), 0, -1)]


def _is_told(problem: Problem, told: set[str]) -> bool:
    """Whether the file's structure already has a problem there or above."""
    return any(path in told for path in _parents(problem.path))


def _line_of(path: str, lines: dict[str, int]) -> int | None:
    """The line of the nearest path that has one."""
    return next((lines[path] for path in _parents(path) if path in lines), None)
