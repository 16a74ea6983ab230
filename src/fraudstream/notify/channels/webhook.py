"""Webhooks, signed as https://www.standardwebhooks.com says, to public addresses unless private ones are allowed."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ssl
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import ClassVar, Self

import msgspec

from fraudstream import __version__
from fraudstream.define.part import TLS_KEYS, Part
from fraudstream.notify.message import Message, Undelivered
from fraudstream.outbound import Address, AddressRefused, Reply, RequestFailed, parse_address, post
from fraudstream.settings import Secret

SHORTEST_SECRET_BYTES = 24
_PREFIX = "whsec_"
_FOR_GOOD = frozenset({400, 405, 410, 413, 414, 415, 422})
"""What a receiver says of the request itself; all else, such as 401 or 404, may be put right over there."""
_JSON = msgspec.json.Encoder(decimal_format="number")


class Webhook:
    """A channel of the kind `webhook`.

    Args:
        address: The receiver.
        secrets: What it is signed with: one, or several while one takes the other's place; bytes.
        allow_private: Whether the receiver may be on this machine or in a private network.
        tls: Whom to trust, and who we are.
    """

    keys: ClassVar[tuple[str, ...]] = ("url", "url_file", "secret", "secret_file", "allow_private", *TLS_KEYS)

    def __init__(
        self,
        address: Address,
        secrets: Sequence[bytes],
        *,
        allow_private: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._address = address
        self._secrets = tuple(secrets)
        self._allow_private = allow_private
        self._tls = tls

    @classmethod
    def declared(cls, part: Part) -> Self | None:
        """One from its part of `notify.yaml`."""
        allow_private = part.boolean("allow_private", False)
        url = part.secret("url")
        if "url_file" not in part:
            part.missing("url", "Write `url: ${VARIABLE}`, or name a file that holds it by `url_file`.")
        address = None if url is None else _address(part, url, allow_private)
        if "secret_file" not in part:
            part.missing("secret", "Write `secret: ${VARIABLE}`: receivers check by it that a webhook is ours.")
        secrets = _secrets(part)
        tls = part.tls()
        if address is None or not secrets:
            return None
        return cls(address, secrets, allow_private=allow_private, tls=tls)

    def send(self, message: Message, timeout_s: float) -> None:
        """Posts the notification once.

        Raises:
            Undelivered: The receiver did not answer with 2xx.
        """
        body = _JSON.encode(
            {
                "type": "fraud.alerts",
                "id": message.id,
                "channel": message.channel,
                "title": message.title,
                "risk_level": message.risk_level,
                "repeats": message.repeats,
                "alerts": message.alerts,
            }
        )
        at_s = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"fraudstream/{__version__}",
            "Idempotency-Key": message.id,
            "webhook-id": message.id,
            "webhook-timestamp": str(at_s),
            "webhook-signature": " ".join(sign(secret, message.id, at_s, body) for secret in self._secrets),
        }
        try:
            reply = post(
                self._address, body, headers, timeout_s=timeout_s, allow_private=self._allow_private, tls=self._tls
            )
        except AddressRefused as refused:
            advice = "Where that is meant, write `allow_private: true`."
            raise Undelivered(refused.found, advice, for_good=True) from None
        except RequestFailed as failed:
            raise Undelivered(failed.found) from None
        if not 200 <= reply.status < 300:
            raise _refusal(self._address, reply)


def sign(secret: bytes, message_id: str, at_s: int, body: bytes) -> str:
    """The signature of a webhook: `v1,` and the HMAC-SHA256 of id, time in epoch seconds and body, in base64."""
    signed = b".".join([message_id.encode(), str(at_s).encode(), body])
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()


def _refusal(address: Address, reply: Reply) -> Undelivered:
    if 300 <= reply.status < 400:
        found = f"{address.shown} answered {reply.status}, and redirects are not followed."
        return Undelivered(found, "Give the address that it leads to, if you trust it.", for_good=True)
    found = f"{address.shown} answered {reply.status}."
    return Undelivered(found, for_good=reply.status in _FOR_GOOD, wait_ms=_wait_ms(reply.headers.get("retry-after")))


def _wait_ms(retry_after: str | None) -> int | None:
    """What a receiver asks for: seconds, or an instant."""
    if retry_after is None:
        return None
    if retry_after.isdecimal():
        return int(retry_after[:9]) * 1_000
    try:
        return max(0, round((parsedate_to_datetime(retry_after).timestamp() - time.time()) * 1_000))
    except (ValueError, OverflowError):
        return None


def _address(part: Part, url: Secret, allow_private: bool) -> Address | None:
    try:
        address = parse_address(url.reveal())
    except ValueError as wrong:
        part.problem("url", f"cannot be used: {wrong}.", "Write https://HOST/PATH.")
        return None
    if address.scheme == "http" and not allow_private:
        part.problem("url", "is not encrypted.", "Use https://, or `allow_private: true` in a network of your own.")
        return None
    return address


def _secrets(part: Part) -> list[bytes]:
    text = part.secret("secret")
    found = []
    for word in text.reveal().split() if text else ():
        try:
            secret = (
                base64.b64decode(word[len(_PREFIX) :], validate=True) if word.startswith(_PREFIX) else word.encode()
            )
        except binascii.Error:
            part.problem("secret", f"has no base64 behind {_PREFIX}.", "Copy all of it.")
            return []
        if len(secret) < SHORTEST_SECRET_BYTES:
            advice = "Make one with `openssl rand -base64 32`."
            part.problem("secret", f"has {len(secret)} bytes; it needs {SHORTEST_SECRET_BYTES} at least.", advice)
            return []
        found.append(secret)
    return found
