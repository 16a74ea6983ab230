"""Which versions of a model serve, wait and served: champion, challengers, and a history of who did what when.

    models/<name>/current            the champion's version: it scores
    models/<name>/challengers        versions that are scored in the shadow, one a line
    models/<name>/history.jsonl      every change, the oldest first; lines are only ever added

The files are small, readable and replaced whole, so a scorer that looks at them at any moment finds one state or the
next. A change is written to the history before it takes effect: there is none without its line.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import msgspec

from fraudstream.errors import ModelError
from fraudstream.models.artifact import Manifest, load_version, save_artifact, versions_in
from fraudstream.models.gate import DEFAULT_TOLERANCE, Evidence, from_manifests, require_not_worse
from fraudstream.models.scorer import load_whole

MOST_CHALLENGERS = 3
"""Each is scored beside every live decision: the one that has waited longest gives way to a fourth."""


class Change(StrEnum):
    """What can be done to a model's versions."""

    ADD = "add"
    PROMOTE = "promote"
    ROLLBACK = "rollback"
    CHALLENGE = "challenge"
    RETIRE = "retire"


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of the history.

    Attributes:
        at: When, ISO 8601.
        by: Who: a user, or a command that acted on its own.
        change: What was done.
        version: To which version.
        champion: The champion from then on.
        before: The champion until then; None where there was none.
        reason: Why, in the words of whoever did it.
        forced: Whether it was done against the gate.
        evidence: What the promotion rested on.
    """

    at: str
    by: str
    change: Change
    version: str
    champion: str | None
    before: str | None = None
    reason: str = ""
    forced: bool = False
    evidence: Evidence | None = None


class Roles(msgspec.Struct, frozen=True):
    """Who plays which part now.

    Attributes:
        champion: The version that scores live; None before the first.
        challengers: The versions scored in the shadow, the one that has waited longest first.
    """

    champion: str | None
    challengers: tuple[str, ...] = ()


class Registry:
    """The versions of one model and their roles.

    Args:
        folder: Where artefacts are kept (`settings.models_folder`).
        name: The model's name.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self._home = folder / name

    def roles(self) -> Roles:
        """Who plays which part now."""
        champion = _lines(self._home / "current")
        return Roles(champion[0] if champion else None, tuple(_lines(self._home / "challengers")))

    def stamp(self) -> tuple[tuple[int, int] | None, ...]:
        """What changes whenever the roles do, at the price of two looks into the file system."""
        return tuple(_stamp_of(self._home / each) for each in ("current", "challengers"))

    def versions(self) -> list[str]:
        """Every version kept, the last one saved first."""
        return versions_in(self.folder, self.name)

    def manifest(self, version: str) -> Manifest:
        """The manifest of a version; raises DamagedModel where it cannot be read, or is not the file's."""
        return load_version(self.folder, self.name, version).manifest

    def find(self, prefix: str) -> str:
        """The version that begins with these characters.

        Raises:
            ModelError: None does, or several do.
        """
        found = [version for version in self.versions() if version.startswith(prefix)]
        if len(found) == 1:
            return found[0]
        known = ", ".join(self.versions()) or "none"
        what = "several versions begin" if found else "no version begins"
        raise ModelError(f"Of the model {self.name!r} {what} with {prefix!r}.", f"There are: {known}.")

    def history(self) -> list[Entry]:
        """Every change, the oldest first; a line cut short by a crash is left out."""
        entries = []
        for line in _lines(self._home / "history.jsonl"):
            try:
                entries.append(msgspec.json.decode(line, type=Entry))
            except msgspec.MsgspecError:
                continue
        return entries

    def add(self, manifest: Manifest, onnx: bytes, contributions: bytes = b"", *, by: str, reason: str = "") -> Path:
        """Saves an artefact; returns its folder.

        The first version of a model becomes its champion. Later ones become challengers: what serves is replaced by a
        promotion only.
        """
        self._home.mkdir(parents=True, exist_ok=True)
        with self._alone():
            roles, version = self.roles(), manifest.version
            place = save_artifact(self.folder, manifest, onnx, contributions)
            champion = version if roles.champion is None else roles.champion
            self._note(Change.ADD, version, roles.champion, champion, by, reason)
            if roles.champion is None:
                self._write("current", [version])
            elif version != roles.champion:
                self._write_challengers([*(each for each in roles.challengers if each != version), version])
            return place

    def promote(
        self,
        version: str,
        features: tuple[str, ...],
        *,
        by: str,
        reason: str = "",
        evidence: Evidence | None = None,
        tolerance: float = DEFAULT_TOLERANCE,
        force: bool = False,
    ) -> Entry:
        """Makes a version the champion; running scorers take it within about a second.

        Args:
            version: Which.
            features: The inputs the pipeline declares.
            by: Who asks for it.
            reason: Why; required to go against the gate.
            evidence: Both versions measured on one test; by default the metrics of the manifests, where these were
                measured on the same test.
            tolerance: By how much its metric may be lower than the champion's.
            force: Whether to promote it without evidence, or against it. A broken artefact is refused all the same.

        Raises:
            ModelError: The artefact is broken or of other features, or the gate does not let it pass.
        """
        with self._alone():
            roles = self.roles()
            load_whole(self.folder, self.name, version, features)
            if force and not reason:
                raise ModelError("A promotion against the gate needs a reason.", "Give one: it is kept in the history.")
            before = roles.champion
            if before is not None and before != version and self._is_whole(before, features):
                evidence = evidence or from_manifests(self.folder, self.name, before, version)
                if not force:
                    require_not_worse(self.name, version, evidence, tolerance)
            entry = self._note(Change.PROMOTE, version, before, version, by, reason, forced=force, evidence=evidence)
            self._write("current", [version])
            self._write_challengers([each for each in roles.challengers if each != version])
            return entry

    def _is_whole(self, version: str, features: tuple[str, ...]) -> bool:
        """Whether a version could serve; against one that cannot, nothing has to be shown."""
        try:
            load_whole(self.folder, self.name, version, features)
        except ModelError:
            return False
        return True

    def rollback(self, features: tuple[str, ...], *, by: str, reason: str = "") -> Entry:
        """Makes the champion before the present one the champion again; a second one goes back further.

        Raises:
            ModelError: There was none before, or it is broken.
        """
        with self._alone():
            roles = self.roles()
            served = self.served()
            if len(served) < 2:
                raise ModelError(
                    f"No version of the model {self.name!r} served before {roles.champion or 'now'}.",
                    "Promote another version, or switch the model off with `fraudstream kill`.",
                )
            version = served[-2]
            load_whole(self.folder, self.name, version, features)
            entry = self._note(Change.ROLLBACK, version, roles.champion, version, by, reason)
            self._write("current", [version])
            self._write_challengers([each for each in roles.challengers if each != version])
            return entry

    def challenge(self, version: str, features: tuple[str, ...], *, by: str, reason: str = "") -> Entry:
        """Has a version scored in the shadow, beside the champion.

        Raises:
            ModelError: It is broken, or it is the champion.
        """
        with self._alone():
            roles = self.roles()
            if version == roles.champion:
                raise ModelError(f"{version} is the champion of {self.name!r} already.", "Name another version.")
            load_whole(self.folder, self.name, version, features)
            entry = self._note(Change.CHALLENGE, version, roles.champion, roles.champion, by, reason)
            self._write_challengers([*(each for each in roles.challengers if each != version), version])
            return entry

    def retire(self, version: str, *, by: str, reason: str = "") -> Entry:
        """Has a challenger scored no longer; its artefact stays.

        Raises:
            ModelError: It is not a challenger.
        """
        with self._alone():
            roles = self.roles()
            if version not in roles.challengers:
                advice = f"Challengers: {', '.join(roles.challengers) or 'none'}."
                raise ModelError(f"{version} is no challenger of {self.name!r}.", advice)
            entry = self._note(Change.RETIRE, version, roles.champion, roles.champion, by, reason)
            self._write_challengers([each for each in roles.challengers if each != version])
            return entry

    def served(self) -> list[str]:
        """The champions one after another up to the present one; those taken back by a rollback are left out."""
        line: list[str] = []
        for entry in self.history():
            if entry.change is Change.ROLLBACK and len(line) > 1:
                line.pop()
            if entry.champion is not None and line[-1:] != [entry.champion]:
                line.append(entry.champion)
        champion = self.roles().champion
        if champion is not None and line[-1:] != [champion]:
            line.append(champion)  # written into the file by hand
        return line

    def _note(
        self,
        change: Change,
        version: str,
        before: str | None,
        champion: str | None,
        by: str,
        reason: str,
        *,
        forced: bool = False,
        evidence: Evidence | None = None,
    ) -> Entry:
        """Adds a line to the history, on the disk before anything else happens."""
        entry = Entry(
            at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            by=by,
            change=change,
            version=version,
            champion=champion,
            before=before,
            reason=reason,
            forced=forced,
            evidence=evidence,
        )
        path = self._home / "history.jsonl"
        whole = not path.exists() or path.read_bytes()[-1:] in (b"", b"\n")
        with path.open("ab") as file:
            file.write((b"" if whole else b"\n") + msgspec.json.encode(entry) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return entry

    def _write_challengers(self, versions: list[str]) -> None:
        self._write("challengers", versions[-MOST_CHALLENGERS:])

    def _write(self, name: str, lines: list[str]) -> None:
        """Replaces a file whole."""
        draft = self._home / f".{name}-new"
        draft.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        os.replace(draft, self._home / name)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One change at a time, whoever makes it."""
        if not self._home.is_dir():
            raise ModelError(
                f"There is no model {self.name!r} in {self.folder}.", "Train it with `fraudstream train`, first."
            )
        with (self._home / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _lines(path: Path) -> list[str]:
    """The lines of a file that hold something; none where there is no file."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]


def _stamp_of(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
