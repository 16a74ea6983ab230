"""Webhooks, against a real server: signed, bounded, and to no place they should not reach."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator

import pytest

from fraudstream.notify.channels.webhook import Webhook, sign
from fraudstream.notify.message import Undelivered
from fraudstream.outbound import MOST_REPLY_BYTES, is_public, parse_address
from fraudstream.testing.behaviour import Behaviour
from fraudstream.testing.channels import MESSAGE, ChannelContract
from servers import CERTIFICATE, Answer, Receiver, free_port, receiver, server_tls

SECRET = b"0123456789abcdef01234567"
TOKEN = "t0ken-in-the-path"


class Hooked:
    """A webhook and the server it talks to."""

    secrets = (SECRET.decode(), TOKEN)

    def __init__(self, server: Receiver) -> None:
        self.server = server
        self.sender = Webhook(parse_address(f"http://127.0.0.1:{server.port}/{TOKEN}"), [SECRET], allow_private=True)

    def behave(self, behaviour: Behaviour) -> None:
        self.server.behave(behaviour)

    def arrived(self) -> list[str]:
        return [request.body.decode() for request in self.server.requests]


@pytest.fixture
def stage() -> Iterator[Hooked]:
    with receiver() as server:
        yield Hooked(server)


class TestWebhook(ChannelContract):
    """The contract of every channel."""


def test_a_receiver_can_check_who_sent_what_and_when(stage: Hooked) -> None:
    """The signature is that of Standard Webhooks, recomputed here from the secret alone."""
    stage.sender.send(MESSAGE, 5)
    (request,) = stage.server.requests
    signed = f"{MESSAGE.id}.{request.headers['webhook-timestamp']}.".encode() + request.body
    expected = base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest()).decode()
    assert request.headers["webhook-signature"] == f"v1,{expected}"
    assert request.headers["idempotency-key"] == request.headers["webhook-id"] == MESSAGE.id
    assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 5
    assert b'"amount":12.50' in request.body
    assert json.loads(request.body)["alerts"][1] == {"alert_id": "events-0-2", "amount": None}


def test_two_secrets_sign_while_one_takes_the_others_place(stage: Hooked) -> None:
    later = b"another secret of 24 byte"
    address = parse_address(f"http://127.0.0.1:{stage.server.port}/")
    Webhook(address, [SECRET, later], allow_private=True).send(MESSAGE, 5)
    (request,) = stage.server.requests
    at_s = int(request.headers["webhook-timestamp"])
    assert request.headers["webhook-signature"].split() == [
        sign(secret, MESSAGE.id, at_s, request.body) for secret in (SECRET, later)
    ]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "127.1", "2130706433"])
def test_this_machine_is_refused_unless_allowed(host: str) -> None:
    """However it is written; nothing is connected to."""
    with receiver() as server:
        with pytest.raises(Undelivered, match="no public address") as said:
            Webhook(parse_address(f"http://{host}:{server.port}/"), [SECRET]).send(MESSAGE, 1)
        assert said.value.for_good
        assert server.requests == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("10.1.2.3", False), ("172.16.0.1", False), ("192.168.1.1", False), ("169.254.169.254", False),
        ("100.64.0.1", False), ("224.0.0.1", False), ("255.255.255.255", False), ("fe80::1%eth0", False),
        ("fd00::1", False), ("::ffff:10.0.0.1", False), ("2002:0a00:0001::1", False), ("64:ff9b::a00:1", False),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False), ("::", False), ("ff02::1", False),
        ("8.8.8.8", True), ("2606:4700::1111", True), ("64:ff9b::808:808", True), ("::ffff:8.8.8.8", True),
    ],
)  # fmt: skip
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_a_name_that_changes_its_address_gains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rebinding: the name leads to a public address when looked at, and to this machine ever after."""
    with receiver() as server:
        asked: list[str] = []

        def answers(host: str, port: int, *rest: object, **more: object) -> list[tuple[object, ...]]:
            asked.append(host)
            address = "127.0.0.1" if len(asked) > 1 else "203.0.113.1"  # nobody has the latter
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        monkeypatch.setattr("fraudstream.outbound.is_public", lambda text: text == "203.0.113.1")
        monkeypatch.setattr(socket, "getaddrinfo", answers)
        with pytest.raises(Undelivered):
            Webhook(parse_address(f"http://rebound.example:{server.port}/"), [SECRET]).send(MESSAGE, 0.5)
        assert asked == ["rebound.example"]
        assert server.requests == []


def test_redirects_are_not_followed(stage: Hooked) -> None:
    with receiver() as elsewhere:
        location = {"Location": f"http://127.0.0.1:{elsewhere.port}/"}
        for status in (301, 302, 303, 307, 308):
            stage.server.answer = lambda _, status=status: Answer(status, location)
            with pytest.raises(Undelivered, match="redirects are not followed") as said:
                stage.sender.send(MESSAGE, 5)
            assert said.value.for_good
        assert elsewhere.requests == []


@pytest.mark.parametrize(
    ("answer", "for_good", "wait_ms"),
    [
        (Answer(400), True, None), (Answer(410), True, None), (Answer(401), False, None), (Answer(500), False, None),
        (Answer(429, {"Retry-After": "30"}), False, 30_000),
        (Answer(503, {"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}), False, 0),
        (Answer(503, {"Retry-After": "soon"}), False, None),
    ],
)  # fmt: skip
def test_what_an_answer_means(stage: Hooked, answer: Answer, for_good: bool, wait_ms: int | None) -> None:
    stage.server.answer = lambda _: answer
    with pytest.raises(Undelivered, match=f"answered {answer.status}") as said:
        stage.sender.send(MESSAGE, 5)
    assert (said.value.for_good, said.value.wait_ms) == (for_good, wait_ms)


def test_an_answer_without_end_is_cut(stage: Hooked) -> None:
    """A large answer is read to its limit and no further, and counts as taken."""
    stage.server.answer = lambda _: Answer(200, {}, b"x" * (4 * MOST_REPLY_BYTES))
    stage.sender.send(MESSAGE, 5)


@pytest.mark.parametrize("drip", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"])
def test_a_server_that_dribbles_does_not_hold_us(drip: bytes) -> None:
    """A byte now and then, in headers or body, is no answer: the time is for all of it."""
    port = free_port()
    listening = socket.create_server(("127.0.0.1", port))

    def dribble() -> None:
        taken, _ = listening.accept()
        try:
            taken.sendall(drip)
            for _ in range(50):
                time.sleep(0.1)
                taken.sendall(b"x")
        except OSError:
            pass

    threading.Thread(target=dribble, daemon=True).start()
    began = time.monotonic()
    with pytest.raises(Undelivered, match=r"within 0\.5 s"):
        Webhook(parse_address(f"http://127.0.0.1:{port}/"), [SECRET], allow_private=True).send(MESSAGE, 0.5)
    assert time.monotonic() - began < 1.5
    listening.close()


def test_over_tls_only_who_is_trusted_gets_it() -> None:
    with receiver(server_tls()) as server:
        address = parse_address(f"https://localhost:{server.port}/")
        with pytest.raises(Undelivered, match="TLS"):
            Webhook(address, [SECRET], allow_private=True).send(MESSAGE, 2)
        assert server.requests == []
        trusting = ssl.create_default_context(cafile=str(CERTIFICATE))
        Webhook(address, [SECRET], allow_private=True, tls=trusting).send(MESSAGE, 2)
        assert len(server.requests) == 1
