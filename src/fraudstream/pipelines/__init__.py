"""The reference pipelines, shipped and runnable by name, and how any pipeline is found by name or file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fraudstream.define.load import Definition, read_definition
from fraudstream.define.pipeline import Pipeline
from fraudstream.define.reader import suggestion
from fraudstream.errors import UsageError
from fraudstream.plan.load import plan_definition
from fraudstream.plan.plan import Plan

SHIPPED = Path(__file__).parent
USERS_FOLDER = Path("pipelines")
ENDINGS = (".yaml", ".yml")


def names() -> tuple[str, ...]:
    """The names of the shipped pipelines, sorted."""
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.yaml")))


def known_names(folder: Path = USERS_FOLDER) -> tuple[str, ...]:
    """The names of the user's own pipelines and the shipped ones, sorted."""
    own = {path.stem for path in folder.glob("*.yaml")} if folder.is_dir() else set()
    return tuple(sorted({*names(), *own}))


def find_path(name_or_path: str | Path, folder: Path = USERS_FOLDER) -> Path:
    """The file of a pipeline.

    Args:
        name_or_path: A file; or a name, which is looked for in the user's folder first and then among the shipped.
        folder: The user's own pipelines, one YAML file each (the setting `pipelines_folder`).

    Raises:
        UsageError: There is no pipeline of that name, or no such file.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith(ENDINGS) or "/" in text or "\\" in text:
        if not Path(name_or_path).exists():
            raise UsageError(
                f"There is no file {name_or_path}.", f"Give a pipeline's file, or one of: {', '.join(names())}."
            )
        return Path(name_or_path)
    for place in (folder, SHIPPED):
        path = place / f"{text}.yaml"
        if text and path.is_file():
            return path
    raise UsageError(
        f"There is no pipeline {text!r}.",
        f"{suggestion(text, known_names(folder))} A file of your own is given by its path, ending in .yaml.",
    )


def find_definition(
    name_or_path: str | Path, folder: Path = USERS_FOLDER, environ: Mapping[str, str] | None = None
) -> Definition:
    """What the file of a pipeline gives, with its problems.

    Raises:
        UsageError: There is no pipeline of that name.
    """
    return read_definition(find_path(name_or_path, folder), environ)


def find_plan(name_or_path: str | Path, folder: Path = USERS_FOLDER, environ: Mapping[str, str] | None = None) -> Plan:
    """The plan of a pipeline, by name or file.

    Raises:
        UsageError: There is no pipeline of that name.
        DefinitionError: With every problem of its file.
    """
    return plan_definition(find_definition(name_or_path, folder, environ))


def find_pipeline(
    name_or_path: str | Path, folder: Path = USERS_FOLDER, environ: Mapping[str, str] | None = None
) -> Pipeline:
    """A pipeline, by name or file, checked.

    Raises:
        UsageError: There is no pipeline of that name.
        DefinitionError: With every problem of its file.
    """
    return find_plan(name_or_path, folder, environ).pipeline
