"""Splunk's HTTP Event Collector, with its indexers' acknowledgement where the token asks for it."""

from __future__ import annotations

import json
import ssl
import time
import uuid
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import msgspec

from fraudstream.define.part import TLS_KEYS, Part
from fraudstream.engine.alerts import Document, instant_of
from fraudstream.outbound import Address, Reply, RequestFailed, post
from fraudstream.settings import Secret
from fraudstream.sinks.delivery import (
    DEFAULT_TIMEOUT_MS,
    Refused,
    SinkUnavailable,
    declared_address,
    halved,
)

EVENTS, ACKNOWLEDGEMENTS = "/services/collector/event", "/services/collector/ack"
_OF_THE_EVENT = frozenset({6, 12, 13, 15})
"""Splunk's codes for what is wrong with an event itself; others, such as 7 for an index that the token may not write
to, are answered with the first event's number, too, and would be so for each."""
_SUCCESS = 0
_POLL_S = 0.5
_JSON = msgspec.json.Encoder(decimal_format="number")


class SplunkSink:
    """A sink of the kind `splunk`.

    Args:
        address: Splunk's, with the port of the collector.
        token: The collector's token.
        index: Where to; None: the token's default.
        acknowledge: Wait until the indexers have it.
        timeout_ms: How long a request, and then the wait, may take.
        tls: Whom to trust, and who we are.
    """

    keys: ClassVar[tuple[str, ...]] = (
        "url", "token", "token_file", "index", "source_type", "acknowledge", "timeout", *TLS_KEYS,
    )  # fmt: skip
    most_alerts = 500

    def __init__(
        self,
        address: Address,
        token: Secret,
        *,
        index: str | None = None,
        source_type: str = "fraudstream:alert",
        acknowledge: bool = False,
        timeout_ms: int = DEFAULT_TIMEOUT_MS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._address = address
        self._token = token
        self._common = {"source": "fraudstream", "sourcetype": source_type, **({"index": index} if index else {})}
        self._acknowledge = acknowledge
        self._timeout_s = timeout_ms / 1_000
        self._tls = tls
        self._channel = str(uuid.uuid4())

    @classmethod
    def declared(cls, part: Part) -> Self | None:
        """One from its part of `sinks.yaml`."""
        address, token = declared_address(part), part.secret("token")
        if "token_file" not in part:
            part.missing("token", "Write `token: ${VARIABLE}`, or name a file that holds it by `token_file`.")
        if address is None or token is None:
            return None
        return cls(
            address,
            token,
            index=part.text("index"),
            source_type=part.text("source_type") or "fraudstream:alert",
            acknowledge=part.boolean("acknowledge", False),
            timeout_ms=part.duration("timeout", DEFAULT_TIMEOUT_MS),
            tls=part.tls(),
        )

    def deliver(self, alerts: Sequence[Document]) -> list[Refused]:
        """Posts the alerts as events, one request.

        Raises:
            SinkUnavailable: Splunk did not take, or did not acknowledge, all of them.
        """
        if not alerts:
            return []
        events = (self._common | {"time": instant_of(each) / 1_000, "event": each} for each in alerts)
        reply = self._posted(EVENTS, b"\n".join(map(_JSON.encode, events)))
        answer = _object(reply)
        if reply.status == 413:
            return halved(alerts, self.deliver)
        number = answer.get("invalid-event-number")
        is_the_events = answer.get("code") in _OF_THE_EVENT
        if reply.status == 400 and is_the_events and isinstance(number, int) and 0 <= number < len(alerts):
            # Those before it may be in or not: once more is better than not at all.
            rest = self.deliver([*alerts[:number], *alerts[number + 1 :]])
            return [Refused(alerts[number], str(answer.get("text"))), *rest]
        if reply.status != 200 or answer.get("code") != _SUCCESS:  # 200 alone is said by login pages, too
            said = str(answer.get("text", "no reason"))[:200]
            raise SinkUnavailable(f"Splunk at {self._address.shown} answered {reply.status}: {said}.")
        if self._acknowledge:
            self._wait_for(answer.get("ackId"))
        return []

    def _wait_for(self, acknowledgement: object) -> None:
        """Waits until the indexers have what was posted."""
        if not isinstance(acknowledgement, int):
            raise SinkUnavailable(
                f"Splunk at {self._address.shown} gives no acknowledgements for this token.",
                "Enable indexer acknowledgement for it, or leave `acknowledge` out.",
            )
        deadline = time.monotonic() + self._timeout_s
        while time.monotonic() < deadline:
            reply = self._posted(ACKNOWLEDGEMENTS, _JSON.encode({"acks": [acknowledgement]}))
            if reply.status == 200 and _object(reply).get("acks", {}).get(str(acknowledgement)) is True:
                return
            time.sleep(_POLL_S)
        raise SinkUnavailable(
            f"Splunk at {self._address.shown} has not acknowledged a batch within {self._timeout_s:g} s."
        )

    def _posted(self, path: str, body: bytes) -> Reply:
        target = self._address.target.rstrip("/") + path + f"?channel={self._channel}"
        headers = {"Authorization": f"Splunk {self._token.reveal()}", "Content-Type": "application/json"}
        try:
            return post(
                self._address._replace(target=target), body, headers,
                timeout_s=self._timeout_s, allow_private=True, tls=self._tls,
            )  # fmt: skip
        except RequestFailed as failed:
            raise SinkUnavailable(f"Splunk: {failed.found}") from None


def _object(reply: Reply) -> dict[str, Any]:
    try:
        answer = json.loads(reply.body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
