"""One mapping of a YAML file, read by names, with every problem reported in its place."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from fraudstream.define.reader import Default, Reader, joined
from fraudstream.define.yaml_tree import Node
from fraudstream.settings import Secret
from fraudstream.units import parse_duration

if TYPE_CHECKING:
    import ssl

TLS_KEYS = ("ca_file", "cert_file", "key_file")
"""PEM files: the authorities to trust, our certificate, and its private key where it is not in the same file."""
Word = TypeVar("Word", bound=StrEnum)
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Part:
    """A mapping of the file; each method gives None, or the default, after it has reported why.

    Args:
        read: What reports.
        path: Where the mapping stands.
        node: The mapping.
        known: The keys it may have; None: any.
        folder: What relative paths of files are meant from.
    """

    def __init__(self, read: Reader, path: str, node: Node, folder: Path, known: Iterable[str] | None = None) -> None:
        self.path = path
        self.folder = folder
        self._read = read
        self._node = node
        self._entries = read.mapping(path, node, known)

    def __contains__(self, name: str) -> bool:
        return name in self._entries and self._entries[name].value is not None

    def problem(self, name: str, found: str, advice: str = "") -> None:
        """Reports what is wrong with an entry, or with the mapping where the entry is not there."""
        node = self._entries.get(name, self._node)
        self._read.problem(joined(self.path, name), node.line, found, advice)

    def missing(self, name: str, advice: str) -> None:
        """Reports that an entry is not there, unless something else was wrong with it."""
        if name not in self:
            self.problem(name, "is missing.", advice)

    def text(self, name: str) -> str | None:
        """A text, with `${VARIABLE:-default}` taken from the environment."""
        return self._read.text(joined(self.path, name), self._entries.get(name))

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts; a single one stands for a list of one."""
        return self._read.texts(joined(self.path, name), self._entries.get(name))

    def boolean(self, name: str, default: bool) -> bool:
        """`true` or `false`."""
        return self._read.boolean(joined(self.path, name), self._entries.get(name), default)

    def word(self, name: str, words: type[Word]) -> Word | None:
        """One of an enumeration's words."""
        return self._read.word(joined(self.path, name), self._entries.get(name), words)

    def words(self, name: str, words: type[Word]) -> tuple[Word, ...] | None:
        """A list of an enumeration's words; a single one stands for a list of one. None where there is no entry."""
        node = self._entries.get(name)
        if node is None or (node.value is None and not node.quoted):
            return None
        path = joined(self.path, name)
        items = node.value if isinstance(node.value, list) else [node]
        found = [self._read.word(f"{path}.{i}", item, words) for i, item in enumerate(items)]
        return tuple(word for word in found if word is not None)

    def whole(self, name: str, default: Default, *, least: int = 1) -> int | Default:
        """A whole number of at least so much."""
        number = self._read.whole(joined(self.path, name), self._entries.get(name), default)
        if number is not None and number < least:
            self.problem(name, f"{number} is too little.", f"Write {least} or more.")
            return default
        return number

    def tls(self) -> ssl.SSLContext | None:
        """Whom to trust and who we are, from the files of `TLS_KEYS`.

        None where none is named: the system's authorities are trusted, and we are nobody in particular.
        """
        import ssl

        files = {name: self.folder / text for name in TLS_KEYS if (text := self.text(name)) is not None}
        if not files:
            return None
        trusted, certificate, key = (files.get(name) for name in TLS_KEYS)
        if key is not None and certificate is None:
            self.problem("key_file", "is given without its certificate.", "Name that by `cert_file`.")
        name = "ca_file"
        try:
            context = ssl.create_default_context(cafile=trusted)
            if certificate is not None:
                name = "cert_file"
                context.load_cert_chain(certificate, key, password="")  # or it would be asked for
        except OSError as error:  # also what is no certificate, or another one's key
            advice = {
                "ca_file": "Name a PEM file of authorities.",
                "cert_file": "Name a PEM file of a certificate, and one of its key without a password by `key_file`.",
            }
            found = f"{self.text(name)} cannot be used: {error.strerror or error}."
            self.problem(name, found, advice[name])
            return None
        return context

    def duration(self, name: str, default: Default) -> int | Default:
        """Milliseconds of a duration such as `5m`."""
        text = self.text(name)
        if text is None:
            return default
        try:
            return parse_duration(text)
        except ValueError as wrong:
            self.problem(name, f"{wrong}.")
            return default

    def secret(self, name: str) -> Secret | None:
        """A text that must not stand in the file: `NAME: ${VARIABLE}`, or `NAME_file: FILE`."""
        if f"{name}_file" in self:
            if name in self:
                self.problem(name, f"is given, and so is `{name}_file`.", "Keep one of them.")
            return self._from_file(f"{name}_file")
        written = self._entries[name].value if name in self else None
        if not isinstance(written, str):
            self.text(name)  # reports what it is, if it is anything
            return None
        variable = _VARIABLE.fullmatch(written)
        if variable is None:
            found, advice = "may be a secret, and stands in the file.", f"Write `{name}: ${{VARIABLE}}`"
        elif self._read.environ.get(variable[1]):
            return Secret(self._read.environ[variable[1]])
        else:
            found, advice = f"the environment variable {variable[1]} is not set.", "Set it"
        self.problem(name, found, f"{advice}, or name a file that holds nothing else by `{name}_file`.")
        return None

    def _from_file(self, name: str) -> Secret | None:
        text = self.text(name)
        if text is None:
            return None
        try:
            return Secret((self.folder / text).read_text(encoding="utf-8").rstrip("\r\n"))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            self.problem(name, f"{text} cannot be read: {reason.lower()}.", "Name a file that holds nothing else.")
            return None

    def inner(self, name: str, known: Iterable[str]) -> Part | None:
        """The mapping of an entry; None where there is none."""
        node = self._entries.get(name)
        if node is None or node.value is None:
            return None
        return Part(self._read, joined(self.path, name), node, self.folder, known)

    def each(self, name: str, known: Iterable[str]) -> list[Part]:
        """The mappings of a list, or of a single one."""
        node = self._entries.get(name)
        if node is None or node.value is None:
            return []
        names = tuple(known)
        path = joined(self.path, name)
        items = node.value if isinstance(node.value, list) else [node]
        return [Part(self._read, f"{path}.{i}", item, self.folder, names) for i, item in enumerate(items)]
