"""What tokens cost: the card-payments pipeline, without its model, with and without a sensitive card, on one core.

Decoding alone, and decoding, features, rules and envelopes together; with a thousand cards, whose tokens are
remembered, and with a new card in each event, whose tokens are all made. Both pipelines are timed in turn, in one run;
the times are the best of runs, in microseconds an event. Prints JSON, or writes it.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from bench.decode import card_event
from fraudstream.define.pipeline import Form, Pipeline
from fraudstream.engine.batch import Batch
from fraudstream.engine.decode import Decoder
from fraudstream.engine.encode import Encoder
from fraudstream.engine.program import Program
from fraudstream.pipelines import SHIPPED, find_pipeline
from fraudstream.plan.compile import plan_of
from fraudstream.state.ids import Labels
from fraudstream.tokens.held import use_keys
from fraudstream.tokens.keyfile import change_keys, make_keys, read_keys
from fraudstream.tokens.keys import TokenKeys
from fraudstream.tokens.secret import Secret

ROWS, CHUNK, RUNS = 40_960, 8_192, 7
NOW_MS = 1_795_377_600_000
Records = list[bytes | None]


def pipeline(*, sensitive: bool) -> Pipeline:
    """card-payments without its model."""
    shipped = replace(find_pipeline("card-payments", SHIPPED, {}), model=None, reasons=())
    fields = tuple(replace(field, sensitive=sensitive and field.name == "card_hash") for field in shipped.event.fields)
    return replace(shipped, event=replace(shipped.event, fields=fields))


def events(new_cards: bool) -> list[Records]:
    source = random.Random(5)
    lines: Records = []
    for row in range(ROWS):
        event = card_event(source, row, 6)
        event["timestamp"] = f"2026-11-22T{row // 3_600 % 24:02d}:{row // 60 % 60:02d}:{row % 60:02d}Z"
        event["card_hash"] = str(4_000_000_000_000_000 + (row if new_cards else source.randrange(1_000)))
        lines.append(json.dumps(event, separators=(",", ":")).encode())
    return [lines[start : start + CHUNK] for start in range(0, ROWS, CHUNK)]


def decoding(changed: Pipeline, chunks: list[Records]) -> Callable[[], None]:
    times = np.full(CHUNK, NOW_MS)

    def run() -> None:
        decoder = Decoder(changed.event)  # as at a start: no token is remembered yet
        for chunk in chunks:
            decoder.decode(chunk, times)

    return run


def scoring(changed: Pipeline, chunks: list[Records]) -> Callable[[], None]:
    plan = plan_of(changed)
    program, times, rows = Program(plan), np.full(CHUNK, NOW_MS), np.arange(CHUNK)

    def run() -> None:
        decoder, encoder, state = Decoder(plan.pipeline.event), Encoder(plan), program.new_state()
        for place, chunk in enumerate(chunks):
            decoded = decoder.decode(chunk, times)
            batch = Batch.of(decoded, "transactions", np.zeros(CHUNK, np.int32), rows + place * CHUNK)
            encoder.encode(Form.ENVELOPE, program.decide(state, batch, Labels.none(), NOW_MS), rows)

    return run


def compared(what: Callable[[Pipeline, list[Records]], Callable[[], None]], chunks: list[Records]) -> dict[str, Any]:
    """Both pipelines in turn."""
    actions = {
        name: what(pipeline(sensitive=is_sensitive), chunks)
        for name, is_sensitive in (("plain", False), ("tokens", True))
    }
    best = dict.fromkeys(actions, float("inf"))
    for run in range(RUNS + 1):
        for name, action in actions.items():
            started = time.perf_counter()
            action()
            if run:
                best[name] = min(best[name], time.perf_counter() - started)
    found: dict[str, Any] = {f"{name}_us": round(seconds / ROWS * 1e6, 3) for name, seconds in best.items()}
    found |= {f"{name}_events_per_s": round(ROWS / seconds, -3) for name, seconds in best.items()}
    return found | {"tokens_over_plain": round(best["tokens"] / best["plain"], 2)}


def forgetting(count: int) -> dict[str, Any]:
    """What it takes a key file to forget a value after another, and what it costs afterwards."""
    values = [str(4_000_000_000_000_000 + number).encode() for number in range(ROWS)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keys.toml"
        make_keys(path)
        before, started = path.stat().st_size, time.perf_counter()
        for value in values[:count]:
            change_keys(path, lambda _, secret, value=value: secret.without(value))  # type: ignore[misc]
        took_s, started = time.perf_counter() - started, time.perf_counter()
        keys = read_keys(path, "the benchmark")
        read_s, started = time.perf_counter() - started, time.perf_counter()
        for value in values[count:]:
            keys.token(value)
        token_us = (time.perf_counter() - started) / (ROWS - count) * 1e6
        return {
            "values": count,
            "kilobytes_each": round((path.stat().st_size - before) / count / 1e3, 1),
            "ms_each": round(took_s / count * 1e3, 1),
            "read_ms": round(read_s * 1e3, 1),
            "token_us": round(token_us, 2),
        }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="The file to write; printed unless given.")
    options = parser.parse_args(arguments)
    use_keys(lambda: TokenKeys("bench", {"bench": Secret.of(bytes(range(32)))}))
    result: dict[str, Any] = {"events": ROWS, "chunk": CHUNK}
    for name, new_cards in (("thousand_cards", False), ("new_card_each", True)):
        chunks = events(new_cards)
        result[name] = {"decode": compared(decoding, chunks), "decide": compared(scoring, chunks)}
    result["forgotten"] = [forgetting(count) for count in (1, 1_000)]
    text = json.dumps(result, indent=1) + "\n"
    if options.out is None:
        print(text, end="")
    else:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
