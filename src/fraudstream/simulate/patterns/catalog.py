"""Which fraud patterns there are, which make sense for which event form, and with what share by default."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from fraudstream.errors import UsageError
from fraudstream.simulate.patterns import terminal_compromise
from fraudstream.simulate.patterns.bursts import BURSTS
from fraudstream.simulate.patterns.high_amounts import HIGH_AMOUNTS
from fraudstream.simulate.patterns.impossible_travel import IMPOSSIBLE_TRAVEL
from fraudstream.simulate.patterns.location_mismatch import LOCATION_MISMATCH
from fraudstream.simulate.patterns.micro_payments import MICRO_PAYMENTS
from fraudstream.simulate.patterns.mule_fan_in import MULE_FAN_IN
from fraudstream.simulate.patterns.new_device import NEW_DEVICE
from fraudstream.simulate.patterns.round_amounts import ROUND_AMOUNTS

PATTERNS = {
    pattern.name: pattern
    for pattern in (
        HIGH_AMOUNTS,
        MICRO_PAYMENTS,
        ROUND_AMOUNTS,
        BURSTS,
        LOCATION_MISMATCH,
        IMPOSSIBLE_TRAVEL,
        NEW_DEVICE,
        MULE_FAN_IN,
    )
}
"""The patterns that add events."""

NAMES = ("", *PATTERNS, terminal_compromise.NAME)
"""Pattern names by code; code 0 is ordinary traffic."""

CODES = {name: code for code, name in enumerate(NAMES)}

FITS: dict[str, dict[str, float]] = {
    "card-payments": {"high_amounts": 0.002, "micro_payments": 0.002, "round_amounts": 0.001, "bursts": 0.002},
    "account-transfers": {"high_amounts": 0.005, "mule_fan_in": 0.005, "round_amounts": 0.0},
    "retail": {
        "high_amounts": 0.001,
        "micro_payments": 0.001,
        "round_amounts": 0.001,
        "bursts": 0.002,
        "location_mismatch": 0.002,
        "impossible_travel": 0.001,
        "new_device": 0.002,
    },
    "user-activity": {
        "high_amounts": 0.002,
        "micro_payments": 0.0,
        "round_amounts": 0.0,
        "bursts": 0.003,
        "location_mismatch": 0.002,
        "impossible_travel": 0.002,
    },
    "terminal-payments": {
        "high_amounts": 0.001,
        "micro_payments": 0.001,
        "round_amounts": 0.0,
        "bursts": 0.001,
        "terminal_compromise": 0.005,
    },
}
"""By event form the patterns that fit it, each with its share of all events unless another is asked for."""

_LARGEST_TOTAL = 0.5


def choose_shares(form: str, wanted: Mapping[str, float] | None) -> dict[str, float]:
    """The share of every pattern in play.

    Args:
        form: The event form.
        wanted: Shares by pattern; those not named are off. None: the form's defaults.

    Raises:
        UsageError: A pattern does not exist or does not fit the form, or a share is no share.
    """
    fitting = FITS[form]
    chosen = fitting if wanted is None else wanted
    for name, share in chosen.items():
        if name not in fitting:
            near = difflib.get_close_matches(name, fitting, 1)
            guess = f" Did you mean {near[0]}?" if near else ""
            reason = "does not fit" if name in CODES else "is not a fraud pattern of"
            raise UsageError(f"{name!r} {reason} {form}.{guess}", f"What fits: {', '.join(fitting)}.")
        if not 0 <= share <= _LARGEST_TOTAL:
            raise UsageError(f"The share of {name} is {share}.", f"Use a share from 0 to {_LARGEST_TOTAL}.")
    if sum(chosen.values()) > _LARGEST_TOTAL:
        raise UsageError(
            f"The shares of fraud add up to {sum(chosen.values()):g}.", f"Keep them at {_LARGEST_TOTAL} or less."
        )
    return {name: share for name, share in chosen.items() if share > 0}


def parse_shares(form: str, text: str | None) -> dict[str, float]:
    """Shares from `--fraud`: `none`, or `bursts=0.002,new_device` (a name alone has its default share).

    Raises:
        UsageError: As `choose_shares`, and for text that is not written so.
    """
    if text is None:
        return choose_shares(form, None)
    if text.strip() == "none":
        return {}
    wanted: dict[str, float] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, number = (piece.strip() for piece in part.partition("="))
        try:
            wanted[name] = float(number) if equals else FITS[form].get(name, 0.0) or 0.001
        except ValueError:
            raise UsageError(
                f"--fraud {part!r} is not understood: {number!r} is not a number.",
                "Write NAME=SHARE, comma separated, like bursts=0.002; or none.",
            ) from None
    return choose_shares(form, wanted)
