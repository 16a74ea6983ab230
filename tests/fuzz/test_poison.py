"""Every record of the poison corpus gets the class it is planted with, and nothing else happens."""

from __future__ import annotations

import pytest

from fraudstream.engine.decode_reference import ReferenceDecoder
from fraudstream.engine.reject import Reject, RejectClass

from .differential import Differential
from .guard import guard_the_decoder
from .poison import EVERY_TYPE, NOW_MS, ODD, Poison, corpus

CORPUS = corpus()
OF_SCHEMAS = {
    RejectClass.BAD_FRAME,
    RejectClass.UNKNOWN_SCHEMA,
    RejectClass.INCOMPATIBLE_SCHEMA,
    RejectClass.MALFORMED,
}
"""Of these there are none in JSON; tests/schemas has them."""


@pytest.mark.parametrize("poison", CORPUS, ids=lambda poison: poison.name)
def test_poison_gets_its_class(poison: Poison) -> None:
    said = ReferenceDecoder(EVERY_TYPE).decode(poison.record, NOW_MS)
    assert (said.kind if isinstance(said, Reject) else None) == poison.kind


def test_the_corpus_has_every_class_of_dead_letter() -> None:
    assert {poison.kind for poison in CORPUS} >= set(RejectClass) - OF_SCHEMAS


def test_poison_among_poison_decodes_as_the_reference_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one chunk, in guarded memory: a read past the buffer's end would kill this process."""
    guard_the_decoder(monkeypatch)
    for event in (EVERY_TYPE, ODD):
        found = Differential(event).check([poison.record for poison in CORPUS], NOW_MS)
        assert sum(found.rejects.values()) + found.accepted == len(CORPUS)
