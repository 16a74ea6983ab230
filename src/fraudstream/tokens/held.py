"""The token keys of this process.

Where they are is said once, when a process starts (`cli/options.py`, from the settings), and holds for every event it
reads: a caller that had to pass the keys on could forget to, and raw values would go on. They are read when a sensitive
field first needs them; a process that has none to do with needs no key file.
"""

from __future__ import annotations

from collections.abc import Callable

from fraudstream.errors import UsageError
from fraudstream.tokens.keys import TokenKeys

KeySource = Callable[[], TokenKeys]

_source: KeySource | None = None
_keys: TokenKeys | None = None


def use_keys(source: KeySource | None) -> None:
    """Says where this process finds its keys from now on; None: nowhere."""
    global _source, _keys
    _source, _keys = source, None


def held_keys() -> TokenKeys:
    """The keys of this process.

    Raises:
        UsageError: Nobody said where they are.
        SettingError: There are none, or their file cannot be read.
    """
    global _keys
    if _keys is None:
        if _source is None:
            raise UsageError(
                "The event has sensitive fields, and this process has no token keys to replace their values with.",
                "Call `fraudstream.tokens.held.use_keys`, or start through the command line, which reads "
                "`token_keys_file`.",
            )
        _keys = _source()
    return _keys
