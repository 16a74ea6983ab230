"""The file that holds the token keys: read, made, given another key, and made to forget.

A key is a secret in base64. Once it has forgotten something it is a table of what is left of it: from the secret
itself, everything could be made again.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import errno
import fcntl
import os
import re
import secrets
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fraudstream.errors import SettingError
from fraudstream.tokens.keys import TokenKeys
from fraudstream.tokens.secret import LEAST_SECRET_BYTES, Secret

_KEY_ID = re.compile(r"[a-z0-9]{1,16}")
_HEADER = """\
# What tokens of sensitive fields are made with: see docs/sensitive-data.md.
# Keep it secret, keep a copy, and give every process of a pipeline the same one (the setting token_keys_file).
"""


def read_keys(path: Path, origin: str) -> TokenKeys:
    """The keys in a key file.

    Args:
        path: A TOML file: `active = "ID"`, and under `[keys]` secrets of 32 bytes or more, base64, by id.
        origin: Who named the file, as a phrase.

    Raises:
        SettingError: It cannot be read, or is no key file; no secret is shown.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as failed:
        raise SettingError(
            f"The file of token keys {path} (from {origin}) cannot be read: {failed.strerror}.",
            "Let the user of this process read it. `fraudstream token new-key FILE` makes the first one: a pipeline "
            "that has run needs a copy of its own.",
        ) from None
    except UnicodeDecodeError:
        raise _wrong(path, origin, "is not UTF-8") from None
    except tomllib.TOMLDecodeError:
        raise _wrong(path, origin, "is not TOML") from None  # the parser's message might quote a secret
    active, keys = document.get("active"), document.get("keys")
    if not isinstance(active, str) or not isinstance(keys, dict) or active not in keys:
        raise _wrong(path, origin, "names no active key that is among its keys")
    return TokenKeys(active, {key_id: _secret(path, origin, key_id, found) for key_id, found in keys.items()})


def make_keys(path: Path) -> bool:
    """Makes a key file with one new key, readable by its owner only; returns whether there was none before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    key_id = _new_key_id()
    with _alone(path):
        return _written(path, _document(key_id, {key_id: _new_secret()}), replace=False)


def add_key(path: Path) -> str:
    """Adds a new key to a key file that can be read, as the active one; returns its id."""
    key_id = _new_key_id()
    with _alone(path):
        keys = tomllib.loads(path.read_text(encoding="utf-8"))["keys"]
        _written(path, _document(key_id, {**keys, key_id: _new_secret()}), replace=True)
    return key_id


def change_keys(path: Path, change: Callable[[str, Secret], Secret]) -> TokenKeys:
    """Replaces the secrets of a key file that can be read, such as by those that have forgotten something.

    Args:
        path: The file; it is replaced whole, and on disk when this returns.
        change: Gives the secret that takes the place of one, from its id and itself.

    Raises:
        SettingError: It cannot be read, or replaced.
    """
    with _alone(path):
        before = read_keys(path, "this command")
        changed = {key_id: change(key_id, before.secret(key_id)) for key_id in sorted(before.held)}
        _written(path, _document(before.active, {name: each.parts() for name, each in changed.items()}), replace=True)
    return TokenKeys(before.active, changed)


def check_changeable(path: Path) -> None:
    """Refuses a key file that `change_keys` could not replace: all of it is done but the replacing.

    Raises:
        SettingError: Nothing can be written to its folder, or it could not be given to its owner, or it is mounted.
    """
    with _alone(path), _draft(path, replace=True):
        pass


def _new_key_id() -> str:
    """An id that no other key has: two machines that each make a key file do not make the same."""
    return "k" + secrets.token_hex(4)


def _new_secret() -> str:
    return base64.b64encode(secrets.token_bytes(LEAST_SECRET_BYTES)).decode()


def _document(active: str, keys: Mapping[str, str | Mapping[str, str]]) -> str:
    lines = [f'{_HEADER}active = "{active}"\n', "[keys]"]
    tables = []
    for key_id, key in keys.items():
        if isinstance(key, str):
            lines.append(f'{key_id} = "{key}"')
        else:
            tables += [f"\n[keys.{key_id}]", *(f'{name} = "{text}"' for name, text in key.items())]
    return "\n".join(lines + tables) + "\n"


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Lets one process at a time change a file: of two at once, the first one's change would be lost."""
    with contextlib.ExitStack() as opened:
        with _replacing(path):
            folder = os.open(path.resolve().parent, os.O_RDONLY)
            opened.callback(os.close, folder)
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
        with _replacing(path):
            os.fsync(folder)  # after a loss of power, the earlier file does not come back


@contextlib.contextmanager
def _draft(path: Path, *, replace: bool) -> Iterator[tuple[Path, int]]:
    """A file beside another that can take its place, with its owner and mode; removed afterwards. Inside `_alone`.

    It has the same name each time: what a process left behind that was killed, which may lead to what has been
    forgotten since, does not stay.
    """
    path = path.resolve()  # what a link points to is replaced, not the link
    draft = path.with_name(f".{path.name}.draft")
    with _replacing(path), contextlib.ExitStack() as opened:
        draft.unlink(missing_ok=True)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        opened.callback(draft.unlink, missing_ok=True)
        opened.callback(os.close, handle)
        if replace:
            before = path.stat()
            os.fchown(handle, before.st_uid, before.st_gid)
            os.fchmod(handle, stat.S_IMODE(before.st_mode))
            if os.path.ismount(path):
                raise OSError(errno.EBUSY, "it is mounted by itself")
        yield draft, handle


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[None]:
    """The user's error for the operating system's."""
    try:
        yield
    except OSError as failed:
        raise SettingError(
            f"The file of token keys {path} cannot be replaced: {failed.strerror}.",
            "Run this as its owner, where its folder can be written to; or copy it to a folder of yours, and name the "
            "copy in token_keys_file. Then put what has become of it in the place of every other copy.",
        ) from None


def _written(path: Path, text: str, *, replace: bool) -> bool:
    """Puts a file in its place whole; returns whether it was, which it is not where there is one already."""
    with _draft(path, replace=replace) as (draft, handle):
        with os.fdopen(handle, "w", encoding="utf-8", closefd=False) as file:
            file.write(text)
            file.flush()
            os.fsync(handle)
        if replace:
            draft.replace(path.resolve())
            return True
        with contextlib.suppress(FileExistsError):  # somebody was quicker
            os.link(draft, path.resolve())
            return True
    return False


def _secret(path: Path, origin: str, key_id: str, found: Any) -> Secret:
    if not _KEY_ID.fullmatch(key_id):
        raise _wrong(path, origin, f"has a key id {key_id[:20]!r}; use 1 to 16 small letters and digits")
    if isinstance(found, dict):
        try:
            return Secret.read(found)
        except ValueError:
            raise _wrong(path, origin, f"has a key {key_id!r} that is damaged") from None
    try:
        secret = base64.b64decode(found, validate=True) if isinstance(found, str) else b""
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) < LEAST_SECRET_BYTES:
        raise _wrong(path, origin, f"has a secret {key_id!r} that is not base64 of {LEAST_SECRET_BYTES} bytes or more")
    return Secret.of(secret)


def _wrong(path: Path, origin: str, found: str) -> SettingError:
    return SettingError(
        f"The file of token keys {path} (from {origin}) {found}.",
        "If it was whole once, put its newest copy back, and erase again whom that still knows: tokens made with other "
        'keys fit none there are. One that you write has `active = "k1"` and, under `[keys]`, k1 = "…", which '
        "`openssl rand -base64 32` makes.",
    )
