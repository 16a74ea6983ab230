"""Syslog (RFC 5424) over TCP or TLS, with the Common Event Format (CEF) as its message.

Syslog has no answer that says "I have it". So each batch is a connection: all is sent, our end is closed, and the
batch counts as delivered when the server, having read to the end, closes its own.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
import ssl
import sys
import termios
import time
from collections.abc import Sequence
from typing import ClassVar, NamedTuple, Self

from fraudstream import __version__
from fraudstream.define.decision import Outcome, RiskLevel
from fraudstream.define.part import TLS_KEYS, Part
from fraudstream.engine.alerts import Document, instant_of
from fraudstream.outbound import RequestFailed, connect
from fraudstream.sinks.delivery import DEFAULT_TIMEOUT_MS, Refused, SinkUnavailable, headline

_POLL_S = 0.01
_LOCAL0 = 16
_SYSLOG = {RiskLevel.LOW: 5, RiskLevel.MEDIUM: 4, RiskLevel.HIGH: 3, RiskLevel.CRITICAL: 2}
_CEF = {RiskLevel.LOW: 3, RiskLevel.MEDIUM: 5, RiskLevel.HIGH: 8, RiskLevel.CRITICAL: 10}
_HEADER = str.maketrans({"\\": "\\\\", "|": "\\|", "\n": " ", "\r": " "})
_EXTENSION = str.maketrans({"\\": "\\\\", "=": "\\=", "\n": "\\n", "\r": "\\r"})
_PORTS = {"tcp": 514, "tls": 6514}
_ADDRESS = re.compile(r"(tcp|tls)://(\[[0-9a-fA-F:]+\]|[^\[\]/:@\s]+)(?::(\d{1,5}))?/?")


class CefSink:
    """A sink of the kind `cef`.

    Args:
        place: Where to.
        framing: `lines`, each ended by a line feed, or `octets`, each begun by its length (RFC 5425, RFC 6587).
        confirm: Wait for the server to close; without, what is in flight when a connection breaks may be lost.
        timeout_ms: How long a batch may take.
        tls: Whom to trust, and who we are.
    """

    keys: ClassVar[tuple[str, ...]] = ("url", "framing", "confirm", "timeout", *TLS_KEYS)
    most_alerts = 500

    def __init__(
        self,
        place: Place,
        *,
        framing: str = "lines",
        confirm: bool = True,
        timeout_ms: int = DEFAULT_TIMEOUT_MS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._place = place
        self._with_length = framing == "octets"
        self._confirm = confirm
        self._timeout_s = timeout_ms / 1_000
        self._tls = tls
        self._host = socket.gethostname() or "-"

    @classmethod
    def declared(cls, part: Part) -> Self | None:
        """One from its part of `sinks.yaml`."""
        place = _place(part)
        framing = part.text("framing") or "lines"
        if framing not in ("lines", "octets"):
            part.problem("framing", f"{framing[:80]!r} is not allowed here.", "Allowed: lines, octets.")
        if place is None:
            return None
        return cls(
            place,
            framing=framing,
            confirm=part.boolean("confirm", True),
            timeout_ms=part.duration("timeout", DEFAULT_TIMEOUT_MS),
            tls=part.tls(),
        )

    def deliver(self, alerts: Sequence[Document]) -> list[Refused]:
        """Sends the alerts, one connection; syslog refuses none.

        Raises:
            SinkUnavailable: The server was not there, or did not read to the end.
        """
        if not alerts:
            return []
        frames = [syslog_message(alert, self._host).encode() for alert in alerts]
        data = b"".join(b"%d %b" % (len(each), each) if self._with_length else each + b"\n" for each in frames)
        deadline = time.monotonic() + self._timeout_s
        try:
            with connect(self._place.host, self._place.port, deadline, allow_private=True) as sock:
                self._send(sock, data, deadline)
        except RequestFailed as failed:
            raise SinkUnavailable(f"Syslog: {failed.found}") from None
        except TimeoutError:
            advice = " It read all and left the connection open? Then set `confirm: false`." if self._confirm else ""
            raise SinkUnavailable(
                f"Syslog at {self._place.shown} took longer than {self._timeout_s:g} s.{advice}"
            ) from None
        except OSError as failed:
            reason = failed.strerror or str(failed) or type(failed).__name__
            raise SinkUnavailable(f"Syslog at {self._place.shown} cut the connection: {reason}.") from None
        return []

    def _send(self, plain: socket.socket, data: bytes, deadline: float) -> None:
        sock = plain
        if self._place.encrypted:
            sock = (self._tls or ssl.create_default_context()).wrap_socket(plain, server_hostname=self._place.host)
        try:
            sock.settimeout(_left_s(deadline))
            sock.sendall(data)
            if not self._confirm:
                return
            if isinstance(sock, ssl.SSLSocket):
                try:
                    sock.settimeout(_left_s(deadline))
                    sock = sock.unwrap()
                except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                    _wait_until_all_came(sock, deadline)
                    return  # it closed without TLS's farewell, as many do, and after reading ours
            sock.shutdown(socket.SHUT_WR)
            sock.settimeout(_left_s(deadline))
            while sock.recv(4_096):
                sock.settimeout(_left_s(deadline))
            _wait_until_all_came(sock, deadline)
        finally:
            sock.close()


def _wait_until_all_came(sock: socket.socket, deadline: float) -> None:
    """Waits until what was sent is acknowledged: a server that closes at once, as one with too many sessions does, has
    read nothing, and its end may be here before its refusal of our data."""
    unacknowledged = bytearray(4)
    while True:
        fcntl.ioctl(sock, termios.TIOCOUTQ, unacknowledged)
        failed = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            raise OSError(failed, os.strerror(failed))
        if not int.from_bytes(unacknowledged, sys.byteorder):
            return
        time.sleep(min(_POLL_S, _left_s(deadline)))


class Place(NamedTuple):
    """A syslog server."""

    encrypted: bool
    host: str
    port: int

    @property
    def shown(self) -> str:
        """As an address is written."""
        return f"{'tls' if self.encrypted else 'tcp'}://{self.host}:{self.port}"


def parse_place(url: str) -> Place | None:
    """A server from `tcp://HOST:514` or `tls://HOST:6514`; None where it is written otherwise."""
    found = _ADDRESS.fullmatch(url)
    if found is None:
        return None
    port = int(found[3]) if found[3] else _PORTS[found[1]]
    return Place(found[1] == "tls", found[2].strip("[]"), port) if 0 < port < 65_536 else None


def syslog_message(alert: Document, host: str) -> str:
    """One alert as one line: RFC 5424's header, then CEF."""
    level = RiskLevel(alert["risk_level"])
    priority = _LOCAL0 * 8 + _SYSLOG[level]
    kind = "decision" if alert["action_required"] == Outcome.APPROVE.upper() else "alert"
    return f"<{priority}>1 {alert['alert_at']} {host} fraudstream - {kind} - {as_cef(alert)}"


def as_cef(alert: Document) -> str:
    """One alert in the Common Event Format; what it has no value for is left out."""
    level = RiskLevel(alert["risk_level"])
    action = alert["action_required"]
    head = ("CEF:0", "fraudstream", "fraudstream", __version__, action, headline(alert), str(_CEF[level]))
    amount, score = alert["amount"], alert["score"]
    values = {
        "rt": instant_of(alert),
        "externalId": alert["alert_id"],
        "act": action,
        "cat": "fraud",
        "reason": ", ".join(alert["reasons"]) or None,
        **_custom("cs1", "pipeline", alert["pipeline"]),
        **_custom("cs2", "rules", ", ".join(alert["rules"]) or None),
        **_custom("cs3", "transactionId", alert["transaction_id"]),
        **_custom("cs4", "key", alert["key"]),
        **_custom("cs5", "riskLevel", level.value),
        **_custom("cfp1", "score", score),
        **_custom("cfp2", "amount", amount),
    }
    extension = " ".join(
        f"{key}={str(value).translate(_EXTENSION)}" for key, value in values.items() if value is not None
    )
    return "|".join([head[0], *(part.translate(_HEADER) for part in head[1:]), extension])


def _custom(field: str, label: str, value: object) -> dict[str, object]:
    """A field whose meaning is told by a label beside it."""
    return {} if value is None else {f"{field}Label": label, field: value}


def _place(part: Part) -> Place | None:
    text = part.text("url")
    if text is None:
        part.missing("url", "Write `url: tls://HOST:6514`.")
        return None
    place = parse_place(text)
    if place is None:
        part.problem(
            "url", f"{text[:80]!r} is no address of a syslog server.", "Write tls://HOST:6514 or tcp://HOST:514."
        )
    return place


def _left_s(deadline: float) -> float:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s
