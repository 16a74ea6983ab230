"""The schema registry: schemas by id, kept once they were fetched, and subjects with their versions.

An id means the same schema for ever, so what was fetched once is asked for no more: not in this process, and, as files
in the project folder, not by the next one either, which goes on while the registry is down.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from fraudstream.engine.schemas import WriterSchema
from fraudstream.errors import RegistryError, RegistryUnreachable, SettingError, ToolError
from fraudstream.settings import Settings

LOGGER = logging.getLogger("fraudstream.kafka")
GIVES_UP_AFTER_S = 60.0
"""How long a registry that does not answer is asked again and again."""
A_PERSON_WAITS_S = 5.0
"""The same where a command waits for it, at whose end somebody sits."""
_TIMEOUT_S = 5.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.25, 8.0
_UNKNOWN = (40401, 40402, 40403)
_FORBIDDEN = (401, 403)
_ANSWERS_LATER = (408, 429)
_MOST_REFERENCES = 100

Answer = TypeVar("Answer")


class Version(NamedTuple):
    """A version of a subject.

    Attributes:
        number: Which one.
        schema_id: Its schema's id.
        schema: The schema.
    """

    number: int
    schema_id: int
    schema: WriterSchema


class _Kept(msgspec.Struct):
    kind: str
    text: str
    references: list[tuple[str, str]]


class SchemaRegistry:
    """A schema registry that speaks Confluent's API.

    Args:
        settings: Where it is, as whom, and where schemas are kept.
        gives_up_after_s: How long it is asked again while it does not answer; GIVES_UP_AFTER_S unless said.

    Raises:
        SettingError: None is named.
        ToolError: Its client library is not installed.
    """

    def __init__(self, settings: Settings, gives_up_after_s: float | None = None) -> None:
        self._settings = settings
        self._gives_up_after_s = GIVES_UP_AFTER_S if gives_up_after_s is None else gives_up_after_s
        self._given_up = False
        self._url = required_url(settings)
        self._client = _client(settings, self._url)
        named = hashlib.sha256(self._url.encode()).hexdigest()[:16]
        self._folder = settings.project_folder / "schemas" / named
        self._known: dict[int, WriterSchema] = {}

    def give_up(self) -> None:
        """Asks no more where it does not answer; may be called from a signal handler, so it takes no lock."""
        self._given_up = True

    def schema(self, schema_id: int) -> WriterSchema | None:
        """The schema with an id; None where there is none.

        Raises:
            RegistryUnreachable: It did not answer, and the schema is not kept here.
            RegistryError: It refused.
        """
        if schema_id in self._known:
            return self._known[schema_id]
        file = self._folder / f"{schema_id}.json"
        found = _kept(file)
        if found is None:
            found = self._ask(lambda client: self._whole(client.get_schema(schema_id)), f"schema {schema_id}")
            if found is None:
                return None
            self._keep(file, found)
        self._known[schema_id] = found
        return found

    def versions(self, subject: str) -> list[Version]:
        """The versions of a subject, the oldest first; none where it is unknown.

        Raises:
            RegistryUnreachable, RegistryError: As of `schema`.
        """
        numbers = self._ask(lambda client: client.get_versions(subject), f"the versions of {subject}") or []
        found = []
        for number in sorted(numbers):
            what = f"version {number} of {subject}"
            registered = self._ask(lambda client, number=number: client.get_version(subject, number), what)  # type: ignore[misc]
            if registered is not None:
                schema = self.schema(registered.schema_id)
                if schema is not None:
                    found.append(Version(number, registered.schema_id, schema))
        return found

    def is_compatible(self, subject: str, schema: WriterSchema) -> bool:
        """Whether a subject would take a schema as its next version; True where it has none.

        Raises:
            RegistryUnreachable, RegistryError: As of `schema`.
        """
        asked = self._ask(
            lambda client: client.test_compatibility(subject, _sent(schema)), f"compatibility of {subject}"
        )
        return asked is None or bool(asked)

    def register(self, subject: str, schema: WriterSchema) -> int:
        """The id of a schema, which is the subject's next version unless it is one already.

        Raises:
            RegistryUnreachable: It did not answer.
            RegistryError: It refused; an incompatible schema is.
        """
        found = self._ask(lambda client: client.register_schema(subject, _sent(schema)), f"the schema of {subject}")
        if found is None:
            raise RegistryError(f"The registry does not know the subject {subject}.", "Allow it to be created.")
        return int(found)

    def id_of(self, subject: str, schema: WriterSchema) -> int | None:
        """The id that a schema has among a subject's versions; None where it is none of them.

        Raises:
            RegistryUnreachable, RegistryError: As of `schema`.
        """
        named = hashlib.sha256(f"{subject}\0{schema.kind}\0{schema.text}".encode()).hexdigest()[:32]
        file = self._folder / "subjects" / named
        try:
            return int(file.read_text())
        except (OSError, ValueError):
            pass
        found = self._ask(lambda client: client.lookup_schema(subject, _sent(schema)), f"the schema of {subject}")
        if found is None:
            return None
        self._write(file, str(found.schema_id).encode())
        return int(found.schema_id)

    def _whole(self, schema: Any) -> WriterSchema:
        """A schema with those it refers to, however deep."""
        found: dict[str, str] = {}

        def collect(references: Any) -> None:
            for each in references or ():
                if each.name not in found and len(found) < _MOST_REFERENCES:
                    inner = self._client.get_version(each.subject, each.version).schema
                    collect(inner.references)
                    found[each.name] = inner.schema_str
            return

        collect(schema.references)
        return WriterSchema(schema.schema_type or "AVRO", schema.schema_str, tuple(found.items()))

    def _ask(self, question: Callable[[Any], Answer], what: str) -> Answer | None:
        """The answer, or None where the registry knows no such thing; asked again while it does not answer."""
        from confluent_kafka.schema_registry.common._httpx_compat import httpx
        from confluent_kafka.schema_registry.error import SchemaRegistryError

        began, wait_s = time.monotonic(), _FIRST_WAIT_S
        while True:
            try:
                return question(self._client)
            except SchemaRegistryError as refused:
                status = refused.http_status_code
                if refused.error_code in _UNKNOWN or status == 404:
                    return None
                if status in _FORBIDDEN:
                    origin = self._settings.origin("schema_registry_url")
                    raise SettingError(
                        f"The schema registry at {self._url} (from {origin}) refuses us: {status}.",
                        "Set schema_registry_user and schema_registry_password to someone who may read it.",
                    ) from None
                if status < 500 and status not in _ANSWERS_LATER:
                    raise RegistryError(
                        f"The schema registry refuses {what}: {refused.error_message}.", "Correct what it names."
                    ) from None
                reason = f"it answers {status}"
            except httpx.TransportError as failed:
                reason = str(failed) or type(failed).__name__
            except (ValueError, KeyError, TypeError) as odd:
                raise RegistryError(
                    f"What answers at {self._url} is no schema registry: {type(odd).__name__} for {what}.",
                    f"Its address comes from {self._settings.origin('schema_registry_url')}.",
                ) from None
            if self._given_up or time.monotonic() - began + wait_s > self._gives_up_after_s:
                raise RegistryUnreachable(
                    f"The schema registry at {self._url} did not give {what}: {reason}.",
                    "Nothing is lost; start again once it answers.",
                )
            LOGGER.warning("the schema registry does not give %s, asking again in %g s: %s", what, wait_s, reason)
            until_s = time.monotonic() + wait_s
            while not self._given_up and time.monotonic() < until_s:
                time.sleep(0.1)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def _keep(self, file: Path, schema: WriterSchema) -> None:
        """Keeps a schema for the next start; that it could not be kept is said, and no more."""
        self._write(file, msgspec.json.encode(_Kept(schema.kind, schema.text, list(schema.references))))

    def _write(self, file: Path, data: bytes) -> None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as written:
                written.write(data)
            os.replace(written.name, file)
        except OSError as failed:
            LOGGER.warning("the schema cannot be kept as %s: %s", file, failed.strerror)


def required_url(settings: Settings) -> str:
    """The registry's address.

    Raises:
        SettingError: There is none, or it holds a password, which would be printed.
    """
    if settings.schema_registry_url is None:
        raise SettingError(
            "Records that name their schema need a schema registry, and none is set.",
            "Set schema_registry_url (FRAUDSTREAM_SCHEMA_REGISTRY_URL), such as http://localhost:8081.",
        )
    if "@" in settings.schema_registry_url:
        raise SettingError(
            f"The address of the schema registry (from {settings.origin('schema_registry_url')}) holds a user.",
            "Give the user as schema_registry_user and the password as schema_registry_password.",
        )
    return settings.schema_registry_url.rstrip("/")


def _client(settings: Settings, url: str) -> Any:
    try:
        import fastavro  # noqa: F401 - reads Avro's schemas
        from confluent_kafka.schema_registry import SchemaRegistryClient
    except ImportError as missing:
        raise ToolError(
            f"Schemas need {missing.name}, which is not installed.", "Run `pip install 'fraudstream[schemas]'`."
        ) from None
    config: dict[str, Any] = {"url": url, "timeout": _TIMEOUT_S, "max.retries": 0}
    if settings.schema_registry_user is not None:
        password = settings.schema_registry_password
        secret = "" if password is None else password.reveal()
        config["basic.auth.user.info"] = f"{settings.schema_registry_user}:{secret}"
    if settings.schema_registry_ca_file is not None:
        config["ssl.ca.location"] = str(settings.schema_registry_ca_file)
    try:
        return SchemaRegistryClient(config)
    except (ValueError, OSError) as refused:
        raise SettingError(
            f"The schema registry's settings are refused: {refused}.",
            f"Its address comes from {settings.origin('schema_registry_url')}.",
        ) from None


def _sent(schema: WriterSchema) -> Any:
    from confluent_kafka.schema_registry import Schema

    return Schema(schema.text, schema.kind)


def _kept(file: Path) -> WriterSchema | None:
    try:
        kept = msgspec.json.decode(file.read_bytes(), type=_Kept)
    except (OSError, msgspec.DecodeError):
        return None
    return WriterSchema(kept.kind, kept.text, tuple(kept.references))
