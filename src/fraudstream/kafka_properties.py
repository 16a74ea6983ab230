"""Further properties of the Kafka client, as settings give them: all but those that have a setting or a duty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fraudstream.errors import SettingError

_NOT_PASSED_ON = {
    "bootstrap.servers": "bootstrap_servers",
    "security.protocol": "security_protocol",
    "sasl.password": "sasl_password",
    "sasl.username": "sasl_username",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.mechanisms": "sasl_mechanism",
    "ssl.key.password": "tls_key_password",
    "ssl.ca.location": "tls_ca_file",
    "ssl.certificate.location": "tls_cert_file",
    "ssl.key.location": "tls_key_file",
    "client.id": "client_id",
}
OWNED = ("isolation.level", "enable.auto.commit", "enable.idempotence", "transactional.id", "group.id", "partitioner")


def checked_properties(text: Any, origin: str) -> dict[str, str]:
    """Extra librdkafka properties: a table in the file, `name=value,name=value` elsewhere.

    Args:
        text: What was written.
        origin: Where, as a phrase.

    Raises:
        SettingError: One is not understood, has a setting of its own, or may not be set.
    """
    if isinstance(text, dict):
        pairs = _flattened(text)
    else:
        parts = [part.partition("=") for part in str(text).split(",") if part.strip()]
        pairs = {name.strip(): value.strip() for name, _, value in parts}
        if not all(separator for _, separator, _ in parts):
            raise SettingError(f"{origin} is {text!r}.", "Write name=value, several separated by commas.")
    for name in pairs:
        if name in _NOT_PASSED_ON:
            raise SettingError(
                f"{name} is given as an extra Kafka property by {origin}.",
                f"It has a setting of its own: {_NOT_PASSED_ON[name]} (FRAUDSTREAM_{_NOT_PASSED_ON[name].upper()}).",
            )
        if name in OWNED:
            raise SettingError(
                f"{name} is given as an extra Kafka property by {origin}.",
                "Exactly-once delivery rests on it, so it cannot be set. Leave it out.",
            )
    return pairs


def _flattened(table: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """TOML reads `socket.timeout.ms = 1` as nested tables; librdkafka's names have the dots."""
    flat: dict[str, str] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat |= _flattened(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = str(value).lower() if isinstance(value, bool) else str(value)
    return flat
