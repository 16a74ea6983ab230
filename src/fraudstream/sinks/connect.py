"""Ready configurations of Kafka Connect's sinks for a pipeline's decisions; docs/kafka-connect.md shows them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import NamedTuple

from fraudstream.define.pipeline import Form, Route
from fraudstream.errors import UsageError
from fraudstream.plan.plan import Plan
from fraudstream.sinks.connect_schema import Schema, connect_schema
from fraudstream.sinks.records import decision_routes

Configuration = dict[str, str]
"""What `PUT /connectors/NAME/config` of a Connect worker takes."""

_SEPARATOR = "_"
_LONGEST_NAME = 63
"""Bytes of a column's name in PostgreSQL; it cuts longer ones off, and the connector would miss them for ever."""
_KEYS = {
    Form.ENVELOPE: tuple(f"decision_input_{part}" for part in ("topic", "partition", "offset")),
    Form.FLAT: ("decision_id",),
    Form.ALERT: ("alert_id",),
}
"""Where the event stood, in the columns of each form: that is which decision it is."""


class _Kept(NamedTuple):
    """What a connector keeps.

    Attributes:
        what: The pipeline and `decisions` or `alerts`, with dashes.
        topics: The topics, separated by commas.
        form: The form of their records.
        schema: The schema of their records.
    """

    what: str
    topics: str
    form: Form
    schema: Schema


def connect_configuration(
    plan: Plan, sink: str, topic: str | None = None, *, quoted_decimals: bool = False
) -> Configuration:
    """The configuration of a connector that keeps a pipeline's decisions.

    Addresses and secrets are not in it: the worker fills in `${env:SINK_…}` from its environment.

    Args:
        plan: The pipeline.
        sink: One of `SINKS`.
        topic: The topic of the route to keep; those of all decisions unless given.
        quoted_decimals: Whether the decimals of events stand in quotes.

    Raises:
        UsageError: There is no such sink or route, or a column would have too long a name.
    """
    if sink not in SINKS:
        raise UsageError(f"There is no configuration for {sink!r}.", f"Choose one of: {', '.join(SINKS)}.")
    routes = _routes(plan, topic)
    form = routes[0].form
    what = f"{plan.pipeline.name}-{'alerts' if form is Form.ALERT else 'decisions'}"
    schema = connect_schema(plan, form, quoted_decimals=quoted_decimals)
    kept = _Kept(what, ",".join(route.topic for route in routes), form, schema)
    return {"name": f"{what}-{sink}", **SINKS[sink](kept), **_common(f"{what}-{sink}", kept)}


def _routes(plan: Plan, topic: str | None) -> list[Route]:
    routes = plan.pipeline.json_routes
    named = ", ".join(route.topic for route in routes)
    if topic is not None:
        found = [route for route in routes if route.topic == topic]
        if not found:
            raise UsageError(
                f"The pipeline {plan.pipeline.name} has no route to {topic}.", f"Its routes go to: {named}."
            )
        return found
    found = decision_routes(plan.pipeline)
    if len({route.form for route in found}) > 1:
        raise UsageError(
            f"The decisions of {plan.pipeline.name} are on topics of different forms; a connector has one schema.",
            f"Name one with --topic: {named}.",
        )
    return found


def _common(name: str, kept: _Kept) -> Configuration:
    return {
        "topics": kept.topics,
        "tasks.max": "1",
        "consumer.override.isolation.level": "read_committed",
        "consumer.override.auto.offset.reset": "earliest",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": "true",
        "value.converter.schema.content": json.dumps(kept.schema, separators=(",", ":")),
        # What no scorer wrote is put aside, with where it stood and why. It may be anything, so no log holds it.
        "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": f"{name}-dead-letters",
        "errors.deadletterqueue.topic.replication.factor": "${env:SINK_REPLICATION}",
        "errors.deadletterqueue.context.headers.enable": "true",
        "errors.log.enable": "true",
        "errors.log.include.messages": "false",
    }


def _jdbc(kept: _Kept) -> Configuration:
    _check_names(kept.schema)
    return {
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
        "connection.url": "${env:SINK_JDBC_URL}",
        "connection.username": "${env:SINK_JDBC_USERNAME}",
        "connection.password": "${env:SINK_JDBC_PASSWORD}",
        "collection.name.format": kept.what.replace("-", _SEPARATOR),
        "schema.evolution": "basic",
        # A decision that is delivered again is the same row.
        "insert.mode": "upsert",
        "primary.key.mode": "record_value",
        "primary.key.fields": ",".join(_KEYS[kept.form]),
        # A connection that died while nothing was to do is replaced, and a database that is away is waited for.
        "hibernate.c3p0.testConnectionOnCheckout": "true",
        "connection.restart.on.errors": "true",
        "flush.max.retries": "600",
        "flush.retry.delay.ms": "1000",
        "transforms": "flatten",
        "transforms.flatten.type": "org.apache.kafka.connect.transforms.Flatten$Value",
        "transforms.flatten.delimiter": _SEPARATOR,
    }


def _s3(kept: _Kept) -> Configuration:
    return {
        "connector.class": "io.aiven.kafka.connect.s3.AivenKafkaConnectS3SinkConnector",
        "aws.s3.bucket.name": "${env:SINK_S3_BUCKET}",
        "aws.s3.region": "${env:SINK_S3_REGION}",
        "aws.s3.prefix": f"{kept.what}/",
        "format.output.type": "parquet",
        "format.output.fields": "value",
        "format.output.envelope": "false",
        # Written again after a kill, a file that begins at the same record takes the place of the one before.
        "file.name.template": "{{topic}}-{{partition:padding=true}}-{{start_offset:padding=true}}.parquet",
    }


def _elasticsearch(kept: _Kept) -> Configuration:
    return {
        "connector.class": "io.confluent.connect.elasticsearch.ElasticsearchSinkConnector",
        "connection.url": "${env:SINK_ELASTICSEARCH_URL}",
        "connection.username": "${env:SINK_ELASTICSEARCH_USERNAME}",
        "connection.password": "${env:SINK_ELASTICSEARCH_PASSWORD}",
        # A document's id is where the record stands on its topic, and a committed decision stands there once.
        "key.ignore": "true",
        "schema.ignore": "false",
        "behavior.on.malformed.documents": "warn",
        "max.retries": "600",
        "retry.backoff.ms": "1000",
    }


def _hdfs(kept: _Kept) -> Configuration:
    return {
        "connector.class": "io.confluent.connect.hdfs3.Hdfs3SinkConnector",
        "store.url": "${env:SINK_HDFS_URL}",
        "topics.dir": f"/fraudstream/{kept.what}",
        "logs.dir": f"/fraudstream/{kept.what}-logs",
        "format.class": "io.confluent.connect.hdfs3.parquet.ParquetFormat",
        "flush.size": "100000",
        "rotate.interval.ms": "600000",
        "confluent.topic.bootstrap.servers": "${env:SINK_BOOTSTRAP_SERVERS}",
        "confluent.topic.replication.factor": "${env:SINK_REPLICATION}",
    }


SINKS: dict[str, Callable[[_Kept], Configuration]] = {
    "jdbc": _jdbc,
    "s3": _s3,
    "elasticsearch": _elasticsearch,
    "hdfs": _hdfs,
}


def _check_names(schema: Schema) -> None:
    long = [name for name in columns_of(schema) if len(name.encode()) > _LONGEST_NAME]
    if long:
        raise UsageError(
            f"Columns in PostgreSQL have names of {_LONGEST_NAME} bytes at most; too long are {', '.join(long)}.",
            "Give these features shorter names, or keep a route of another form, with --topic.",
        )


def columns_of(schema: Schema, prefix: str = "") -> Iterator[str]:
    """The names of the columns that a schema's records have in a table."""
    for field in schema["fields"]:
        name = prefix + field["field"]
        if field["type"] == "struct":
            yield from columns_of(field, name + _SEPARATOR)
        else:
            yield name
