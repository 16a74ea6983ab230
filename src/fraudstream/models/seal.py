"""Signatures of models: whether a manifest was written by somebody who has the key.

Which key a process trusts is said once, when it starts (`cli/options.py`, from the settings), and holds for every model
it reads or writes: a caller that had to pass the key on could forget to. A manifest names the hashes of its files, so
what is signed is the manifest, byte for byte: HMAC-SHA256 (RFC 2104).
"""

from __future__ import annotations

import hashlib
import hmac
from typing import NamedTuple

from fraudstream.errors import DamagedModel

SIGNATURE = "manifest.sig"
_PURPOSE = b"fraudstream model manifest 1\n"  # so that the same key can sign other things


class Seal(NamedTuple):
    """What a process trusts.

    Attributes:
        key: Signs and verifies; None: nothing is signed, and no signature can be verified.
        demanded: Whether a model without a valid signature is refused.
    """

    key: bytes | None = None
    demanded: bool = False


_seal = Seal()


def use_seal(seal: Seal) -> None:
    """Says what this process trusts from now on."""
    global _seal
    _seal = seal


def signature_of(manifest: bytes) -> str | None:
    """The signature of a manifest's bytes as hex digits; None without a key."""
    return None if _seal.key is None else hmac.new(_seal.key, _PURPOSE + manifest, hashlib.sha256).hexdigest()


def check_signature(name: str, version: str, manifest: bytes, signature: str | None) -> None:
    """Makes sure that a manifest is what was signed, as far as this process is asked to.

    Raises:
        DamagedModel: It is not, or it is not signed and has to be.
    """
    if signature is None:
        if _seal.demanded:
            raise DamagedModel(
                f"The model {name!r}, version {version}, is not signed, and the settings demand it "
                "(`model_signatures`).",
                "Train or register it again where `model_key` is set.",
            )
        return
    expected = signature_of(manifest)
    if expected is not None and not hmac.compare_digest(expected.encode(), signature.encode()):
        raise DamagedModel(
            f"The signature of the model {name!r}, version {version}, is not that of its manifest: the manifest was "
            "changed after it was signed, or signed with another key.",
            "Do not use it before you know why. Restore the files, give the key it was signed with, or train it again.",
        )
