"""From settings to the client library's configuration, and the question whether any broker answers."""

from __future__ import annotations

import logging
import re
import time
from typing import Any

from confluent_kafka import KafkaError, KafkaException, libversion
from confluent_kafka.admin import AdminClient

from fraudstream.errors import BrokerUnreachable, FraudstreamError, SettingError, TopicError
from fraudstream.settings import Settings

# The client library writes to the terminal from its own threads unless it is given a logger.
LOGGER = logging.getLogger("fraudstream.kafka")
LOGGER.addHandler(logging.NullHandler())
_SELDOM_S = 10.0
_DIGITS = re.compile(r"\d+")


def _seldom(record: logging.LogRecord, said_at: dict[str, float] = {}) -> bool:  # noqa: B006 - it is meant to be kept
    """Lets the same message through once in ten seconds: a client without its broker repeats itself without end."""
    shape = _DIGITS.sub("0", record.getMessage())
    now = time.monotonic()
    if now - said_at.get(shape, -_SELDOM_S) < _SELDOM_S:
        return False
    if len(said_at) > 1_000:
        said_at.clear()
    said_at[shape] = now
    return True


LOGGER.addFilter(_seldom)

_AUTHENTICATION = {
    KafkaError._AUTHENTICATION,
    KafkaError._SSL,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
    KafkaError.ILLEGAL_SASL_STATE,
}
_UNKNOWN_TOPIC = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}
_FORBIDDEN = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
_WRONG_REQUEST = {
    KafkaError.TOPIC_EXCEPTION,
    KafkaError.INVALID_CONFIG,
    KafkaError.INVALID_PARTITIONS,
    KafkaError.INVALID_REPLICATION_FACTOR,
    KafkaError.POLICY_VIOLATION,
}
"""The broker is well; what it was asked for is wrong."""


def client_config(settings: Settings) -> dict[str, Any]:
    """The part of a librdkafka configuration that every client of this cluster shares.

    Reconnects are quick (50 ms to 1 s), so that a broker's restart costs little; the settings' extra
    properties come last.
    """
    config: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap_servers,
        "client.id": settings.client_id,
        "security.protocol": settings.security_protocol,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1_000,
        "socket.keepalive.enable": True,
        "socket.nagle.disable": True,
        "logger": LOGGER,
    }
    optional = {
        "sasl.mechanisms": settings.sasl_mechanism,
        "sasl.username": settings.sasl_username,
        "sasl.password": settings.sasl_password.reveal() if settings.sasl_password else None,
        "ssl.ca.location": settings.tls_ca_file,
        "ssl.certificate.location": settings.tls_cert_file,
        "ssl.key.location": settings.tls_key_file,
        "ssl.key.password": settings.tls_key_password.reveal() if settings.tls_key_password else None,
    }
    config.update({name: str(value) for name, value in optional.items() if value is not None})
    config.update(settings.kafka_properties)
    return config


def build(client: Any, settings: Settings, config: dict[str, Any]) -> Any:
    """A client object (`Producer`, `Consumer`, `AdminClient`) of this configuration.

    Raises:
        SettingError: librdkafka refuses a property: its name, its value or a file it points to.
    """
    try:
        return client(config)
    except (KafkaException, ValueError, TypeError) as refused:
        error = refused.args[0] if refused.args else refused
        text = error.str() if isinstance(error, KafkaError) else str(error)
        extra = (
            f" Extra properties come from {settings.origin('kafka_properties')}." if settings.kafka_properties else ""
        )
        raise SettingError(
            f"The Kafka client refuses its configuration: {text}.",
            f"Correct the property or the file it names.{extra}",
        ) from None


def library_version() -> str:
    """The version of librdkafka, which the client is."""
    return str(libversion()[0])


def check_reachable(settings: Settings, timeout_s: float = 3.0) -> None:
    """Asks the cluster for its metadata.

    Raises:
        BrokerUnreachable: Nothing answered within `timeout_s`.
        SettingError: A broker answered and refused who we are or how we speak.
    """
    failures: list[KafkaError] = []
    admin = build(AdminClient, settings, client_config(settings) | {"error_cb": failures.append})
    try:
        admin.list_topics(timeout=timeout_s)
    except KafkaException as failed:
        admin.poll(0)
        refused = [f for f in failures if f.code() in _AUTHENTICATION]
        if refused:
            raise refused_us(settings, refused[0]) from None
        raise unreachable(settings, timeout_s, failures[0] if failures else failed.args[0]) from None


def unreachable(settings: Settings, timeout_s: float, reason: KafkaError) -> BrokerUnreachable:
    """The error for an address at which nothing answers."""
    return BrokerUnreachable(
        f"No Kafka broker answered at {settings.bootstrap_servers} within {timeout_s:g} s ({reason.str()}). "
        f"The address comes from {settings.origin('bootstrap_servers')}.",
        "Start the local broker with `fraudstream kafka start`, or give the address of yours with "
        "--bootstrap-servers or FRAUDSTREAM_BOOTSTRAP_SERVERS.",
    )


def refused_us(settings: Settings, reason: KafkaError) -> SettingError:
    """The error for a broker that answers, but not to us."""
    return SettingError(
        f"The Kafka broker at {settings.bootstrap_servers} refused the connection: {reason.str()}.",
        f"security_protocol is {settings.security_protocol} (from {settings.origin('security_protocol')}), "
        f"sasl_username is {settings.sasl_username!r} (from {settings.origin('sasl_username')}); "
        "check these, the password and the TLS files.",
    )


def explain(settings: Settings, error: KafkaError, doing: str) -> FraudstreamError:
    """The error a user can act on for one of Kafka's.

    Args:
        settings: Of the client that got the error.
        error: What Kafka or the client library said.
        doing: What was being done and to what, to go on with "…: found this".
    """
    code = error.code()
    if code in _AUTHENTICATION:
        return refused_us(settings, error)
    if code in _UNKNOWN_TOPIC:
        return TopicError(
            f"{doing}: there is no such topic at {settings.bootstrap_servers} ({error.str()}).",
            "See `fraudstream topics list`; make it with `fraudstream topics create PIPELINE`, or by its own name and "
            "`--partitions`.",
        )
    if code in _FORBIDDEN:
        return TopicError(
            f"{doing}: not permitted at {settings.bootstrap_servers} ({error.str()}).",
            f"The user is {settings.sasl_username!r} (from {settings.origin('sasl_username')}); "
            "ask for the permission, or use another user.",
        )
    if code in _WRONG_REQUEST:
        return TopicError(
            f"{doing}: {settings.bootstrap_servers} does not accept this ({error.str()}).",
            "Correct what it names; trying again does not help.",
        )
    return BrokerUnreachable(
        f"{doing}: the Kafka cluster at {settings.bootstrap_servers} failed: {error.str()} ({error.name()}).",
        "If the broker is well (`fraudstream kafka status`), try again.",
    )
