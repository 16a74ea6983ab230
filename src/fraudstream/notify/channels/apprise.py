"""Slack, e-mail, SMS, PagerDuty, Teams, Telegram and what else Apprise speaks: https://appriseit.com/services/."""

from __future__ import annotations

import logging
from typing import ClassVar, Self
from urllib.parse import unquote, urlsplit

import apprise

from fraudstream.define.decision import RiskLevel
from fraudstream.define.part import Part
from fraudstream.notify.message import Message, Undelivered

_SHORTEST_SECRET = 4
_GRAVITY = {RiskLevel.LOW: "info", RiskLevel.MEDIUM: "info", RiskLevel.HIGH: "warning", RiskLevel.CRITICAL: "failure"}


class AppriseChannel:
    """A channel of the kind `apprise`: one of its URLs.

    Args:
        url: The URL; its tokens never show.

    Raises:
        ValueError: Apprise does not know such a URL.
    """

    keys: ClassVar[tuple[str, ...]] = ("url", "url_file")

    def __init__(self, url: str) -> None:
        # What it logs may hold parts of the URL; what is of use there comes back with the result.
        logging.getLogger("apprise").propagate = False
        asset = apprise.AppriseAsset(app_id="fraudstream", async_mode=False, http_redirects=False, secure_logging=True)
        self._service = apprise.Apprise(asset=asset)
        self._secrets = _secrets_of(url)
        if not self._service.add(url):
            raise ValueError("it is no URL that Apprise knows, or lacks a part")
        if len(self._service) != 1:
            # Where one of several failed, the others would be told again with each attempt.
            raise ValueError("it is more than one URL; each needs a channel of its own")
        for plugin in self._service:
            # Its pauses between requests, seconds long, would use up the time of an attempt; the channel has a `limit`.
            plugin.request_rate_per_sec = 0

    @classmethod
    def declared(cls, part: Part) -> Self | None:
        """One from its part of `notify.yaml`."""
        url = part.secret("url")
        if "url_file" not in part:
            part.missing("url", "Write `url: ${VARIABLE}`, or name a file that holds it by `url_file`.")
        if url is None:
            return None
        try:
            return cls(url.reveal())
        except ValueError as wrong:
            part.problem("url", f"cannot be used: {wrong}.", "See https://appriseit.com/services/ for its form.")
        return None

    def send(self, message: Message, timeout_s: float) -> None:
        """Sends the notification once.

        Raises:
            Undelivered: Apprise could not say that it was taken.
        """
        result = self._service.notify(
            title=message.title,
            body=message.body,
            notify_type=apprise.NotifyType(_GRAVITY[message.risk_level]),
            body_format=apprise.NotifyFormat.TEXT,
            timeout=timeout_s,
        )
        if not result:
            said = (
                "; ".join(dict.fromkeys(entry.message.strip() for entry in result.logs())) or result.status.name.lower()
            )
            raise Undelivered(self._without_secrets(f"Apprise: {said}").rstrip(".")[:500] + ".")

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return " ".join(text.split())


def _secrets_of(url: str) -> list[str]:
    """Every part of a URL that may be one, the longest first: user, password, path and query, and the host, which
    some services put a token into."""
    rest = url.partition("://")[2]
    for mark in "/?&=@:,;#+":
        rest = rest.replace(mark, " ")
    parts = set(rest.split())
    parts |= {unquote(part) for part in parts}
    host = urlsplit(url).hostname or ""
    if "." in host or host == "localhost":
        parts -= {host}  # a name that an operator needs to see
    return sorted((part for part in parts if len(part) >= _SHORTEST_SECRET), key=len, reverse=True)
