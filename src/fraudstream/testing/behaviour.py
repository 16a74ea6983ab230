"""What a server in a contract's tests does with what it gets."""

from __future__ import annotations

from enum import StrEnum


class Behaviour(StrEnum):
    """What the server does from now on."""

    TAKES = "takes"
    REFUSES = "refuses"
    """Answers, as its protocol says it, that it cannot take it now."""
    SILENT = "silent"
    """Takes connections and answers nothing for longer than the test."""
    CUTS = "cuts"
    """Closes the connection before it has answered, or read all."""
    GONE = "gone"
    """Takes no connection."""


FAILING = (Behaviour.REFUSES, Behaviour.SILENT, Behaviour.CUTS, Behaviour.GONE)
