"""Elasticsearch and OpenSearch by their bulk API, with the field names of the Elastic Common Schema.

A document's id is that of the decision, so one that comes twice is there once.
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import msgspec

from fraudstream import __version__
from fraudstream.define.decision import Outcome, RiskLevel
from fraudstream.define.part import TLS_KEYS, Part
from fraudstream.engine.alerts import Document, instant_of
from fraudstream.outbound import Address, RequestFailed, post
from fraudstream.settings import Secret
from fraudstream.sinks.delivery import (
    DEFAULT_TIMEOUT_MS,
    Refused,
    SinkUnavailable,
    declared_address,
    halved,
    headline,
)

ECS_VERSION = "8.11.0"
DEFAULT_INDEX = "fraudstream-alerts"
_BULK = "/_bulk?filter_path=error,errors,items.*.status,items.*.error.type,items.*.error.reason"
_SEVERITY = {RiskLevel.LOW: 21, RiskLevel.MEDIUM: 47, RiskLevel.HIGH: 73, RiskLevel.CRITICAL: 99}
"""As Elastic's own detection rules grade them."""
_TAKEN = range(200, 300)
_THERE_ALREADY = 409
_WRONG = 400
_OF_THE_DOCUMENT = frozenset(
    {"mapper_parsing_exception", "document_parsing_exception", "strict_dynamic_mapping_exception"}
)
"""Errors that are a document's own. Others with the same status tell of the index: its name, that it is closed, that
the cluster has no room for its shards."""
_JSON = msgspec.json.Encoder(decimal_format="number")


class ElasticsearchSink:
    """A sink of the kind `elasticsearch`, for OpenSearch too.

    Args:
        address: A node's, or a proxy's.
        authorization: The header of that name; None: nobody in particular.
        index: The index or data stream.
        timeout_ms: How long a request may take.
        tls: Whom to trust, and who we are.
    """

    keys: ClassVar[tuple[str, ...]] = (
        "url", "index", "api_key", "api_key_file", "username", "password", "password_file", "timeout", *TLS_KEYS,
    )  # fmt: skip
    most_alerts = 500

    def __init__(
        self,
        address: Address,
        *,
        authorization: Secret | None = None,
        index: str = DEFAULT_INDEX,
        timeout_ms: int = DEFAULT_TIMEOUT_MS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._address = address
        self._authorization = authorization
        self._index = index
        self._timeout_s = timeout_ms / 1_000
        self._tls = tls

    @classmethod
    def declared(cls, part: Part) -> Self | None:
        """One from its part of `sinks.yaml`."""
        address = declared_address(part)
        if address is None:
            return None
        return cls(
            address,
            authorization=_authorization(part),
            index=part.text("index") or DEFAULT_INDEX,
            timeout_ms=part.duration("timeout", DEFAULT_TIMEOUT_MS),
            tls=part.tls(),
        )

    def deliver(self, alerts: Sequence[Document]) -> list[Refused]:
        """Creates a document for each alert that is not there yet, one request.

        Raises:
            SinkUnavailable: Not all of them are there now.
        """
        if not alerts:
            return []
        lines = []
        for alert in alerts:
            lines += [_JSON.encode({"create": {"_index": self._index, "_id": document_id(alert)}})]
            lines += [_JSON.encode(as_ecs(alert))]
        status, answer = self._posted(b"\n".join(lines) + b"\n")
        if status == 413:
            return halved(alerts, self.deliver)
        items = answer.get("items")
        if status != 200 or not isinstance(items, list) or len(items) != len(alerts):
            raise SinkUnavailable(f"Elasticsearch at {self._address.shown} answered {status}: {_reason(answer)}.")
        results = [item["create"] for item in items]
        some_are_there = any(_is_there(result) for result in results)
        refused = []
        for alert, result in zip(alerts, results, strict=True):
            if result["status"] == _WRONG and (some_are_there or _type(result) in _OF_THE_DOCUMENT):
                refused.append(Refused(alert, _reason(result)))
            elif not _is_there(result):
                raise SinkUnavailable(
                    f"Elasticsearch at {self._address.shown} did not take a document: {result['status']}, "
                    f"{_reason(result)}."
                )
        return refused

    def _posted(self, body: bytes) -> tuple[int, dict[str, Any]]:
        headers = {"Content-Type": "application/x-ndjson"}
        if self._authorization is not None:
            headers["Authorization"] = self._authorization.reveal()
        try:
            reply = post(
                self._address._replace(target=self._address.target.rstrip("/") + _BULK), body, headers,
                timeout_s=self._timeout_s, allow_private=True, tls=self._tls,
            )  # fmt: skip
        except RequestFailed as failed:
            raise SinkUnavailable(f"Elasticsearch: {failed.found}") from None
        try:
            answer = json.loads(reply.body)
        except ValueError:
            answer = {}
        return reply.status, answer if isinstance(answer, dict) else {}


def document_id(alert: Document) -> str:
    """The decision's own id: pipeline, coordinates of the event, and when it was decided."""
    return f"{alert['pipeline']}-{alert['alert_id']}-{instant_of(alert)}"


def as_ecs(alert: Document) -> dict[str, Any]:
    """An alert in the field names of the Elastic Common Schema; all of it as it was under `fraudstream`."""
    level = RiskLevel(alert["risk_level"])
    score = alert["score"]
    flagged = alert["action_required"] != Outcome.APPROVE.upper()
    threat = {"kind": "alert", "category": ["threat"], "type": ["indicator"]} if flagged else {"kind": "event"}
    return {
        "@timestamp": alert["alert_at"],
        "ecs": {"version": ECS_VERSION},
        "message": headline(alert),
        "event": {
            **threat,
            "module": "fraudstream",
            "dataset": "fraudstream.alert",
            "action": alert["action_required"].lower(),
            "id": alert["alert_id"],
            "created": alert["alert_at"],
            "start": alert["event_at"],
            "reason": ", ".join(alert["reasons"]),
            "risk_score": None if score is None else 100 * float(score),
            "severity": _SEVERITY[level],
        },
        "observer": {"vendor": "fraudstream", "product": "fraudstream", "version": __version__},
        "rule": {"name": alert["rules"]},
        "labels": {"pipeline": alert["pipeline"], "risk_level": level},
        "fraudstream": alert,
    }


def _authorization(part: Part) -> Secret | None:
    key, password, name = part.secret("api_key"), part.secret("password"), part.text("username")
    if key is not None and (password is not None or name is not None):
        part.problem("api_key", "is given, and so is a user.", "Keep one of them.")
    if (password is None) != (name is None):
        part.problem("username", "and `password` belong together.", "Give both, or `api_key`.")
    if key is not None:
        return Secret(f"ApiKey {key.reveal()}")
    if password is not None and name is not None:
        return Secret("Basic " + base64.b64encode(f"{name}:{password.reveal()}".encode()).decode())
    return None


def _is_there(result: dict[str, Any]) -> bool:
    return result["status"] in _TAKEN or result["status"] == _THERE_ALREADY


def _type(result: dict[str, Any]) -> str:
    error = result.get("error")
    return str(error.get("type")) if isinstance(error, dict) else ""


def _reason(answer: dict[str, Any]) -> str:
    error = answer.get("error", "no reason")
    if isinstance(error, dict):
        error = f"{error.get('type')}: {error.get('reason')}"
    return str(error)[:200].rstrip(".")
