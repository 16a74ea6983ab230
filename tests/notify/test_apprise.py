"""Apprise's channels, against a real mail server and a real HTTP server."""

from __future__ import annotations

import email
from collections.abc import Iterator
from email import policy

import pytest

from fraudstream.notify.channels.apprise import AppriseChannel
from fraudstream.testing.behaviour import Behaviour
from fraudstream.testing.channels import MESSAGE, ChannelContract
from servers import Answer, Mailbox, Receiver, mailbox, receiver

PASSWORD = "pa55word-of-the-mailbox"


class Mailed:
    """E-mail, and its server."""

    secrets = (PASSWORD,)

    def __init__(self, server: Mailbox) -> None:
        self.server = server
        self.sender = AppriseChannel(
            f"mailto://127.0.0.1:{server.port}?from=fraud@example.org&to=desk@example.org&pass={PASSWORD}"
        )

    def behave(self, behaviour: Behaviour) -> None:
        self.server.behave(behaviour)

    def arrived(self) -> list[str]:
        letters = [email.message_from_bytes(letter, policy=policy.default) for letter in self.server.letters]
        return [f"{letter['Subject']}\n{letter.get_body().get_content()}" for letter in letters]


@pytest.fixture
def stage() -> Iterator[Mailed]:
    with mailbox() as server:
        yield Mailed(server)


class TestMail(ChannelContract):
    """The contract of every channel, by e-mail."""


class Posted:
    """A service that Apprise speaks to by HTTP, and its server."""

    secrets = ("t0ken-of-the-service", PASSWORD)

    def __init__(self, server: Receiver) -> None:
        self.server = server
        self.sender = AppriseChannel(f"json://someone:{PASSWORD}@127.0.0.1:{server.port}/t0ken-of-the-service")

    def behave(self, behaviour: Behaviour) -> None:
        self.server.behave(behaviour)

    def arrived(self) -> list[str]:
        return [request.body.decode() for request in self.server.requests]


class TestPost(ChannelContract):
    """The contract of every channel, by HTTP."""

    @pytest.fixture
    def stage(self) -> Iterator[Posted]:
        with receiver() as server:
            yield Posted(server)


def test_every_line_of_the_body_arrives_as_text(stage: Mailed) -> None:
    """What looks like markup in an event is shown, not obeyed."""
    stage.sender.send(MESSAGE, 5)
    (letter,) = (email.message_from_bytes(each, policy=policy.default) for each in stage.server.letters)
    text = letter.get_body(("plain",)) or letter.get_body(("html",))
    content = text.get_content()
    assert "another line with" in content
    assert ("<b>" in content) == (text.get_content_subtype() == "plain")


def test_redirects_are_not_followed() -> None:
    with receiver() as server, receiver() as elsewhere:
        server.answer = lambda _: Answer(307, {"Location": f"http://127.0.0.1:{elsewhere.port}/"})
        with pytest.raises(Exception, match="Apprise"):
            Posted(server).sender.send(MESSAGE, 5)
        assert elsewhere.requests == []


@pytest.mark.parametrize("url", ["slack://", "nothing://there", "no url"])
def test_an_address_that_apprise_does_not_know_is_said(url: str) -> None:
    with pytest.raises(ValueError, match="Apprise knows"):
        AppriseChannel(url)


def test_a_channel_is_one_address() -> None:
    """Several would be told again by every attempt at the one that fails."""
    with pytest.raises(ValueError, match="more than one"):
        AppriseChannel("json://localhost, json://127.0.0.1")
