"""One HTTP request to somebody else's server: bounded in time and size, to an address that was looked at.

Nothing is followed: no redirects, and no proxies of the environment, which would resolve the name anew.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from fraudstream.errors import FraudstreamError

MOST_REPLY_BYTES = 1_048_576
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_PORTS = {"http": 80, "https": 443}


class RequestFailed(FraudstreamError):
    """No whole answer came. The text names the host and never the path, which may hold a token."""


class AddressRefused(RequestFailed):
    """The name leads to an address of this machine or of a private network."""


class Reply(NamedTuple):
    """A server's answer.

    Attributes:
        status: 200 and so on.
        headers: By lower-case name.
        body: Its first bytes, at most `MOST_REPLY_BYTES`.
    """

    status: int
    headers: dict[str, str]
    body: bytes


class Address(NamedTuple):
    """Where to send; `shown` is what errors may say."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def shown(self) -> str:
        """Scheme, host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_address(url: str) -> Address:
    """The parts of a URL.

    Raises:
        ValueError: It is none of http or https, or has a user in it; the text tells which, and nothing of the URL.
    """
    try:
        parts: SplitResult = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("it is no URL") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("it does not begin with http:// or https:// and a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("it has a user or password in it")
    if any(character <= " " or character >= "\x7f" for character in url):
        raise ValueError("it has a blank or another character that a URL writes as %…")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Address(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], target)


def post(
    address: Address,
    body: bytes,
    headers: Mapping[str, str],
    *,
    timeout_s: float,
    allow_private: bool,
    tls: ssl.SSLContext | None = None,
    method: str = "POST",
) -> Reply:
    """Sends a request and gives the answer, whatever its status.

    Args:
        address: Where to.
        body: What to send.
        headers: With it; the length and the host are added.
        timeout_s: For all of it: however slowly the server dribbles, it ends by then.
        allow_private: Whether the address may be one of this machine or of a private network.
        tls: What to trust where the scheme is https; the system's authorities unless given.
        method: GET or POST.

    Raises:
        AddressRefused: The name leads to addresses that are not allowed, and to no other.
        RequestFailed: Anything else that left no whole answer; the server may still have got the request.
    """
    deadline = time.monotonic() + timeout_s
    try:
        with _connected(address, deadline, allow_private, tls) as (sock, ended):
            client = http.client.HTTPConnection(address.host, address.port)
            client.sock = sock
            try:
                client.request(method, address.target, body, {**headers, "Connection": "close"})
                answer = client.getresponse()
                found = Reply(
                    answer.status,
                    {name.lower(): value for name, value in answer.getheaders()},
                    answer.read(MOST_REPLY_BYTES),
                )
            except (OSError, ValueError, http.client.HTTPException) as failed:
                if ended.is_set() or isinstance(failed, TimeoutError):
                    raise TimeoutError from None
                raise RequestFailed(f"{address.shown} gave no answer: {_reason(failed)}.") from None
            if ended.is_set():
                raise TimeoutError
            return found
    except TimeoutError:
        raise RequestFailed(f"{address.shown} did not answer within {timeout_s:g} s.") from None


@contextlib.contextmanager
def _connected(
    address: Address, deadline: float, allow_private: bool, tls: ssl.SSLContext | None
) -> Iterator[tuple[socket.socket, threading.Event]]:
    """A connection that is cut at the deadline, and the event that tells that it was."""
    sock = connect(address.host, address.port, deadline, allow_private=allow_private)
    raw = sock
    ended = threading.Event()

    def cut() -> None:
        ended.set()
        with contextlib.suppress(OSError):
            socket.socket.shutdown(raw, socket.SHUT_RDWR)  # below TLS, whose own shutdown would wait

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), cut)
    timer.daemon = True
    timer.start()
    try:
        if address.scheme == "https":
            raw = sock = (tls or ssl.create_default_context()).wrap_socket(sock, server_hostname=address.host)
        yield sock, ended
    except ssl.SSLError as refused:
        if ended.is_set():
            raise TimeoutError from None
        raise RequestFailed(f"{address.shown} and we do not agree on TLS: {_reason(refused)}.") from None
    except OSError as failed:
        if ended.is_set() or isinstance(failed, TimeoutError):
            raise TimeoutError from None
        raise RequestFailed(f"{address.shown} cut the connection: {_reason(failed)}.") from None
    finally:
        timer.cancel()
        sock.close()


def connect(host: str, port: int, deadline: float, *, allow_private: bool) -> socket.socket:
    """A connection to the first address of a name that is allowed and answers.

    The address that is connected to is the one that was looked at: a name server that gives another one a moment
    later (DNS rebinding) gains nothing.

    Raises:
        AddressRefused, RequestFailed: There is none.
        TimeoutError: The deadline, of `time.monotonic`, has passed.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as failed:
        raise RequestFailed(f"The name {host} leads nowhere: {_reason(failed)}.") from None
    allowed = [each for each in found if allow_private or is_public(str(each[4][0]))]
    if not allowed:
        raise AddressRefused(f"The name {host} leads to {found[0][4][0]}, which is no public address.")
    failure: OSError | None = None
    for family, kind, protocol, _, place in allowed:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(left_s)
            sock.connect(place)
            return sock
        except OSError as failed:
            sock.close()
            failure = failed
    if isinstance(failure, TimeoutError):
        raise failure
    raise RequestFailed(f"{host} does not take a connection at port {port}: {_reason(failure)}.")


def is_public(text: str) -> bool:
    """Whether an address is one of the internet's: not of this machine, a private network, a link or a group.

    Addresses that carry an IPv4 address inside (mapped, 6to4, NAT64) are what that one is.
    """
    ip = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip.teredo is not None:
            return False
    return ip.is_global and not ip.is_multicast


def _reason(error: object) -> str:
    text = getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error) or type(error).__name__
    return str(text).rstrip(".")
