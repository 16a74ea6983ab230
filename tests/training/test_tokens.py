"""Training sees of sensitive fields what scoring sees: tokens, wherever a history comes from."""

from __future__ import annotations

import msgspec
import numpy as np
import polars as pl

from fraudstream.define.pipeline import Pipeline
from fraudstream.engine.decode import Decoder
from fraudstream.plan.compile import plan_of
from fraudstream.training.files import Lines
from fraudstream.training.history import History
from fraudstream.training.table import feature_table
from runner.small import event, pipeline

LINES = [event(number, card=f"411111111111111{number % 4}", amount=number + 1) for number in range(60)]


def guarded() -> Pipeline:
    small = pipeline()
    fields = tuple(msgspec.structs.replace(field, sensitive=field.name == "card") for field in small.event.fields)
    return msgspec.structs.replace(small, event=msgspec.structs.replace(small.event, fields=fields))


def table_of(made: Pipeline, lines: list[bytes]) -> pl.DataFrame:
    return feature_table(plan_of(made), History(Lines("history", lines), made.event), None, 0).frame


def test_values_and_kept_tokens_give_the_same_table_and_the_features_of_the_values() -> None:
    """A topic's history and the lake's; the card is a number for each of its values."""
    made = guarded()
    decoded = Decoder(made.event).decode([*LINES], np.full(len(LINES), -1))
    kept = [text or b"" for text in decoded.texts(decoded.start, decoded.length, decoded.ok)]
    assert all(b"tok_test_" in text and b"41111" not in text for text in kept)
    raw, tokens, plain = table_of(made, LINES), table_of(made, kept), table_of(pipeline(), LINES)
    assert raw.equals(tokens)
    assert raw.drop("card").equals(plain.drop("card"))
    assert raw["card"].to_list() == [number % 4 for number in range(60)]
