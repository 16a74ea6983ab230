"""What a registry may answer, and what becomes of it; a password is shown nowhere."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from fraudstream.errors import RegistryError, RegistryUnreachable, SettingError
from fraudstream.kafka.registry import SchemaRegistry
from fraudstream.settings import Settings, load_settings
from servers import Answer, Receiver, receiver

UNKNOWN = json.dumps({"error_code": 40403, "message": "not found"}).encode()


def asked(folder: Path, server: Receiver) -> SchemaRegistry:
    """A client that knows no schema yet."""
    environ = {
        "FRAUDSTREAM_SCHEMA_REGISTRY_URL": f"http://127.0.0.1:{server.port}",
        "FRAUDSTREAM_SCHEMA_REGISTRY_USER": "scorer",
        "FRAUDSTREAM_SCHEMA_REGISTRY_PASSWORD": "secret:with-colon",
    }
    return SchemaRegistry(load_settings(environ=environ, folder=folder), gives_up_after_s=0.6)


@pytest.mark.parametrize(
    ("answer", "error", "told"),
    [
        (Answer(401, body=b"{}"), SettingError, "refuses us: 401"),
        (Answer(403, body=b"{}"), SettingError, "refuses us: 403"),
        (Answer(422, body=b'{"error_code": 42201, "message": "no"}'), RegistryError, "refuses schema 5: no"),
        (Answer(200, body=b"<html>"), RegistryError, "is no schema registry"),
        (Answer(503), RegistryUnreachable, "did not give schema 5: it answers 503"),
    ],
)
def test_an_answer_that_is_no_schema_is_said(
    tmp_path: Path, answer: Answer, error: type[Exception], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    with receiver() as server:
        server.answer = lambda _: answer
        with pytest.raises(error, match=told) as found:
            asked(tmp_path, server).schema(5)
    assert "secret" not in str(found.value) + caplog.text
    header = server.requests[0].headers["authorization"]
    assert base64.b64decode(header.removeprefix("Basic ")) == b"scorer:secret:with-colon"


def test_a_schema_comes_with_those_it_refers_to_and_is_asked_for_once(tmp_path: Path) -> None:
    """In this process, and, being kept, in the next one, too; that there is none is not kept."""
    inner = {"subject": "places", "version": 3, "id": 6, "schema": "INNER", "schemaType": "AVRO"}
    whole = {"schema": "OUTER", "references": [{"name": "Place", "subject": "places", "version": 3}]}
    with receiver() as server:
        server.answer = lambda request: (
            Answer(404, body=UNKNOWN) if "/9" in request.path
            else Answer(body=json.dumps(inner if "subjects" in request.path else whole).encode())
        )  # fmt: skip
        registry = asked(tmp_path, server)
        found = registry.schema(5)
        assert found == ("AVRO", "OUTER", (("Place", "INNER"),))
        count = server.heard
        assert registry.schema(5) == asked(tmp_path, server).schema(5) == found
        assert server.heard == count
        assert registry.schema(9) is registry.schema(9) is None
        assert server.heard > count + 1


def test_an_address_with_a_password_is_refused(tmp_path: Path) -> None:
    settings: Settings = load_settings(
        {"schema_registry_url": "http://scorer:hidden@localhost:1"}, environ={}, folder=tmp_path
    )
    with pytest.raises(SettingError, match="holds a user") as found:
        SchemaRegistry(settings)
    assert "hidden" not in str(found.value)
