"""Syslog over TCP and TLS with CEF in it, against a server that reads to the end."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fraudstream import __version__
from fraudstream.kafka.tail import Record
from fraudstream.settings import load_settings
from fraudstream.sinks.alerts import AlertTarget
from fraudstream.sinks.cef import CefSink, as_cef, parse_place
from fraudstream.sinks.delivery import SinkUnavailable
from fraudstream.sinks.load import load_sinks
from fraudstream.store.migrate import open_store
from fraudstream.testing.behaviour import Behaviour
from fraudstream.testing.sinks import PIPELINE, TIMEOUT_MS, SinkContract, alerts
from servers import CERTIFICATE, Syslog, server_tls, syslog


class Logged:
    """A syslog server, and a sink into it."""

    secrets: tuple[str, ...] = ()

    def __init__(self, server: Syslog, scheme: str = "tcp", **options: object) -> None:
        self.server = server
        place = parse_place(f"{scheme}://localhost:{server.port}")
        assert place is not None
        tls = ssl.create_default_context(cafile=str(CERTIFICATE)) if scheme == "tls" else None
        self.sink = CefSink(place, timeout_ms=TIMEOUT_MS, tls=tls, **options)  # type: ignore[arg-type]

    def behave(self, behaviour: Behaviour) -> None:
        self.server.behave(behaviour)

    def arrived(self) -> list[str]:
        return self.server.lines


class TestTcp(SinkContract):
    """The contract of every sink, over TCP."""

    @pytest.fixture
    def stage(self) -> Iterator[Logged]:
        with syslog() as server:
            yield Logged(server)


class TestTls(SinkContract):
    """The contract of every sink, over TLS with lengths before messages."""

    @pytest.fixture
    def stage(self) -> Iterator[Logged]:
        with syslog(server_tls(), with_length=True) as server:
            yield Logged(server, "tls", framing="octets")


def test_a_line_is_what_the_formats_ask_for() -> None:
    with syslog() as server:
        Logged(server).sink.deliver(alerts(3))
        (line,) = server.lines
    head, cef = line.split(" CEF:0|")
    assert re.fullmatch(r"<130>1 2026-01-01T00:00:03.500Z \S+ fraudstream - alert -", head)
    assert cef == (
        f"fraudstream|fraudstream|{__version__}|BLOCK|CRITICAL trial: HIGH, MODEL_SCORE|10|"
        r"rt=1767225603500 externalId=events-0-3 act=BLOCK cat=fraud reason=HIGH, MODEL_SCORE cs1Label=pipeline "
        r"cs1=trial cs2Label=rules cs2=HIGH cs3Label=transactionId cs3=e3 cs4Label=key cs4=****1|\=\\1 "
        r"cs5Label=riskLevel cs5=CRITICAL cfp1Label=score cfp1=0.75 cfp2Label=amount cfp2=1234.50"
    )


def test_what_strangers_write_forges_no_line_and_no_field() -> None:
    (alert,) = alerts(0)
    hostile = alert | {"key": "x\nCEF:0|a|b act=ALLOW\\", "transaction_id": "\r\n<1>", "pipeline": "a|b\n"}
    text = as_cef(hostile)
    assert "\n" not in text
    assert "\r" not in text
    assert r"cs4=x\nCEF:0|a|b act\=ALLOW\\ " in text
    assert r"|CRITICAL a\|b : HIGH, MODEL_SCORE|" in text
    assert "cfp1" not in as_cef(alert | {"score": None})


def test_a_server_that_never_closes_is_named_and_can_be_done_without() -> None:
    with syslog() as server:
        server.behave(Behaviour.SILENT)
        with pytest.raises(SinkUnavailable, match="`confirm: false`"):
            Logged(server).sink.deliver(alerts(0))
        assert Logged(server, confirm=False).sink.deliver(alerts(0)) == []


def test_a_server_that_closes_before_all_came_has_not_got_it() -> None:
    """Its end is here while most of the batch still waits to be sent."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken: list[socket.socket] = []

        def close_at_once() -> None:
            taken.append(listener.accept()[0])
            taken[0].shutdown(socket.SHUT_WR)

        threading.Thread(target=close_at_once).start()
        place = parse_place(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
        assert place is not None
        with pytest.raises(SinkUnavailable, match="took longer than 1 s"):
            CefSink(place, timeout_ms=TIMEOUT_MS).deliver(alerts(*range(300)))
        taken[0].close()


def test_who_is_not_trusted_gets_nothing(tmp_path: Path) -> None:
    with syslog(server_tls()) as server:
        (tmp_path / "sinks.yaml").write_text(f"sinks: {{siem: {{kind: cef, url: 'tls://localhost:{server.port}'}}}}")
        with pytest.raises(SinkUnavailable, match="certificate"):
            load_sinks(tmp_path / "sinks.yaml", {})["siem"].deliver(alerts(0))
        assert server.lines == []


def test_a_server_may_ask_who_we_are(tmp_path: Path) -> None:
    """Without a certificate nothing counts as delivered, though with TLS 1.3 the refusal comes after what was sent."""
    tls = server_tls()
    tls.load_verify_locations(CERTIFICATE)
    tls.verify_mode = ssl.CERT_REQUIRED
    with syslog(tls) as server:
        common = f"kind: cef, url: 'tls://localhost:{server.port}', ca_file: '{CERTIFICATE}', timeout: 5s"
        text = f"sinks: {{known: {{{common}, cert_file: '{CERTIFICATE}'}}, stranger: {{{common}}}}}"
        (tmp_path / "sinks.yaml").write_text(text)
        sinks = load_sinks(tmp_path / "sinks.yaml", {})
        for _ in range(5):
            with pytest.raises(SinkUnavailable):
                sinks["stranger"].deliver(alerts(*range(50)))
        assert server.lines == []
        assert sinks["known"].deliver(alerts(0)) == []
        assert len(server.lines) == 1


def test_decisions_of_the_fuller_form_are_delivered_too(tmp_path: Path) -> None:
    """As `--all` reads them: an approved one among them."""
    decision = {
        "outcome": "approve", "score": 0.1, "risk_level": "LOW", "reasons": [], "rules": [], "features": {"n": 1},
        "versions": {}, "event_at": 1, "decided_at": 1_767_225_600_000,
        "input": {"topic": "events", "partition": 0, "offset": 4},
    }  # fmt: skip
    card = "tok_k1_mfrggzdfmztwq2lknnwg23tpob"
    value = json.dumps({"event": {"card": card, "amount": 12}, "decision": decision}).encode()
    with syslog() as server:
        sink, store = Logged(server).sink, open_store(load_settings(environ={}, folder=tmp_path))
        target = AlertTarget(sink, store, PIPELINE, "trial", tmp_path / "refused")
        target.write([Record("scores", 0, 0, 0, card.encode(), value)])
        (line,) = server.lines
    assert " fraudstream - decision - CEF:0|" in line
    assert "|APPROVE|LOW trial|3|" in line
    assert f"cs4={card}" in line


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("tcp://log.example.org", (False, "log.example.org", 514)), ("tls://10.0.0.1:99", (True, "10.0.0.1", 99)),
        ("tls://[::1]", (True, "::1", 6514)), ("udp://x", None), ("tls://", None), ("tls://x:99999", None),
        ("tls://me:pass@x", None),
    ],
)  # fmt: skip
def test_where_a_syslog_server_is(url: str, expected: object) -> None:
    assert parse_place(url) == expected
