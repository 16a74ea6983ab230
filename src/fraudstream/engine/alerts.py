"""Alerts as they are read from their topic: one document, whatever form the route writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from fraudstream.define.decision import Outcome, RiskLevel
from fraudstream.define.fallback import MODEL_SCORE
from fraudstream.define.pipeline import Form, Pipeline, Route, Selection
from fraudstream.errors import UsageError
from fraudstream.units import format_instant

Document = dict[str, Any]
"""An alert: the members of an alert record (docs/pipelines/README.md) and `pipeline`, its name. The amount is a
Decimal with the digits of its field; what is sensitive is a token."""


class NotAnAlert(Exception):  # of one record: data, counted where records are read
    """A record that no scorer wrote."""


def alert_routes(pipeline: Pipeline) -> list[Route]:
    """The routes on which a pipeline's alerts are: those in alert form, or else those of what was flagged.

    Raises:
        UsageError: It has neither.
    """
    alerts = [route for route in pipeline.json_routes if route.form is Form.ALERT]
    flagged = [route for route in pipeline.json_routes if route.carries is Selection.FLAGGED]
    if not alerts and not flagged:
        raise UsageError(
            f"The pipeline {pipeline.name} has no route of its alerts.",
            "Add one to its `routes`: {topic: fraud-alerts, carries: flagged, form: alert}.",
        )
    return alerts or flagged


def input_topic_of(value: bytes) -> str:
    """The topic of the event that an alert is about; pipelines may share a topic of alerts.

    Raises:
        NotAnAlert: No scorer wrote this.
    """
    try:
        return _alert_id(json.loads(value)).rsplit("-", 2)[0]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise NotAnAlert from error


def read_alert(pipeline: Pipeline, value: bytes, key: bytes | None) -> Document:
    """The document of an alert's record.

    Args:
        pipeline: Whose alert it is.
        value: The record's value.
        key: The record's key, which stands in where a flat record does not hold the event's.

    Raises:
        NotAnAlert: No scorer wrote this.
    """
    try:
        written = json.loads(value, parse_float=Decimal)
        found = _of_any_form(pipeline, written, key)
        found["amount"] = _amount(pipeline, found["amount"])
        if RiskLevel(found["risk_level"]) and Outcome(found["action_required"].lower()):
            ", ".join([*found["reasons"], *found["rules"]])
            instant_of(found)
        return {"pipeline": pipeline.name, **found}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise NotAnAlert from error


def _of_any_form(pipeline: Pipeline, written: Document, key: bytes | None) -> Document:
    if "alert_id" in written:
        names = ("transaction_id", "key", "amount", "score", "risk_level", "reasons", "rules", "event_at", "alert_at")
        more = ("action_required", "features", "input", "versions")
        return {"alert_id": _alert_id(written), **{name: written[name] for name in (*names, *more)}}
    decided = written.get("decision", written)
    event = written["event"] if "decision" in written else written
    topic, partition, offset = _alert_id(written).rsplit("-", 2)
    envelope = "decision" in written
    return {
        "alert_id": _alert_id(written),
        "transaction_id": event.get(pipeline.event.id or ""),
        "key": _key(pipeline, event, key),
        "amount": event.get(pipeline.event.amount or ""),
        "score": decided.get("score" if envelope else "fraud_score"),
        "risk_level": decided["risk_level"],
        "reasons": decided["reasons"],
        "rules": [code for code in decided["reasons"] if code != MODEL_SCORE],
        "event_at": format_instant(int(decided["event_at"])) if "event_at" in decided and envelope else None,
        "alert_at": format_instant(int(decided["decided_at"])) if envelope else decided["scored_at"],
        "action_required": decided["outcome"].upper(),
        "features": decided.get("features", {}) if envelope else {},
        "input": {"topic": topic, "partition": int(partition), "offset": int(offset)},
        "versions": decided.get("versions", {}) if envelope else {},
    }


def _alert_id(document: Mapping[str, Any]) -> str:
    """Topic, partition and offset of the event, as every form has them."""
    if "decision" in document:
        place = document["decision"]["input"]
        return f"{place['topic']}-{place['partition']}-{place['offset']}"
    return str(document["alert_id"] if "alert_id" in document else document["decision_id"])


def _key(pipeline: Pipeline, event: Mapping[str, Any], key: bytes | None) -> object:
    """The event's key."""
    value = event.get(pipeline.event.key or "")
    if value is None and key is not None:
        value = key.decode("utf-8", "replace")
    return value


def _amount(pipeline: Pipeline, amount: object) -> Decimal | None:
    """The amount with the digits of its field; as it is where it has more of them."""
    field = pipeline.event.field(pipeline.event.amount or "")
    if amount is None or field is None:
        return None
    try:
        exact = Decimal(str(amount))
        if not exact.is_finite():
            raise NotAnAlert
        fitted = exact.quantize(Decimal(1).scaleb(-field.scale))
        return fitted if fitted == exact else exact
    except InvalidOperation:
        raise NotAnAlert from None


def instant_of(alert: Document) -> int:
    """When an alert was decided, epoch milliseconds."""
    return round(datetime.fromisoformat(str(alert["alert_at"])).timestamp() * 1_000)
