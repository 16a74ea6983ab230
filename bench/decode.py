"""Cost of decode and encode on one core, beside json, orjson and msgspec. Prints JSON; times are the best of runs."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import orjson

from fraudstream.define.pipeline import Form, Pipeline, Topic
from fraudstream.engine.batch import Batch, gather
from fraudstream.engine.column import Column
from fraudstream.engine.decisions import Decisions
from fraudstream.engine.decode import Decoder
from fraudstream.engine.encode import Encoder
from fraudstream.plan.compile import plan_of
from fraudstream.schema.event import Event, Field, FieldType
from fraudstream.schema.types import FLOAT, INTEGER, decimal

ROWS = 5_000
RUNS = 15
NOW_MS = 1_795_377_600_000


def field(name: str, kind: FieldType) -> Field:
    return Field(name=name, type=kind)


TERMINAL = Event(
    fields=(
        field("TRANSACTION_ID", FieldType.INTEGER),
        field("TX_DATETIME", FieldType.TIMESTAMP),
        field("CUSTOMER_ID", FieldType.INTEGER),
        field("TERMINAL_ID", FieldType.INTEGER),
        field("TX_AMOUNT", FieldType.DECIMAL),
    ),
    id="TRANSACTION_ID",
    time="TX_DATETIME",
    key="CUSTOMER_ID",
    amount="TX_AMOUNT",
)
CARD = Event(
    fields=(
        field("transaction_id", FieldType.STRING),
        field("card_hash", FieldType.STRING),
        field("amount", FieldType.DECIMAL),
        field("timestamp", FieldType.TIMESTAMP),
        field("merchant_category", FieldType.STRING),
        *(field(f"V{place}", FieldType.FLOAT) for place in range(1, 29)),
    ),
    id="transaction_id",
    time="timestamp",
    key="card_hash",
    amount="amount",
)
TYPES = {FieldType.INTEGER: int, FieldType.DECIMAL: float, FieldType.FLOAT: float}


def terminal_event(source: random.Random, row: int) -> dict[str, Any]:
    return {
        "TRANSACTION_ID": 123_456 + row,
        "TX_DATETIME": f"2018-04-01 {row // 3600 % 24:02d}:{row // 60 % 60:02d}:{row % 60:02d}",
        "CUSTOMER_ID": source.randrange(5_000),
        "TERMINAL_ID": source.randrange(10_000),
        "TX_AMOUNT": round(source.expovariate(1 / 50), 2),
    }


def card_event(source: random.Random, row: int, digits: int) -> dict[str, Any]:
    return {
        "transaction_id": f"tx_{row:08d}",
        "card_hash": f"{source.randrange(1000):016x}",
        "amount": round(source.expovariate(1 / 50), 2),
        "timestamp": "2026-11-22T20:00:00.123Z",
        "merchant_category": "grocery",
        **{f"V{place}": round(source.gauss(0, 1), digits) for place in range(1, 29)},
    }


def microseconds(action: Callable[[], object], rows: int = ROWS) -> float:
    """The best time of an action on so many rows, per row."""
    action()
    best = float("inf")
    for _ in range(RUNS):
        started = time.perf_counter()
        action()
        best = min(best, time.perf_counter() - started)
    return round(best / rows * 1e6, 3)


def decoding(event: Event, events: list[dict[str, Any]]) -> dict[str, Any]:
    records: list[bytes | None] = [json.dumps(each, separators=(",", ":")).encode() for each in events]
    present = [record for record in records if record is not None]
    times = np.full(len(records), NOW_MS)
    decoder = Decoder(event)
    typed = msgspec.json.Decoder(
        msgspec.defstruct("Typed", [(each.name, TYPES.get(each.type, str)) for each in event.fields])
    )
    assert decoder.decode(records, times).ok.all()
    halves = [
        Batch.of(decoder.decode(records, times), "t", np.zeros(ROWS, np.int32), np.arange(ROWS)) for _ in range(2)
    ]
    chosen = np.flatnonzero(np.arange(ROWS) % 2)
    return {
        "bytes": round(sum(map(len, present)) / len(present)),
        "slow_rows": decoder.decode(records, times).slow_rows,
        "fraudstream_us": microseconds(lambda: decoder.decode(records, times)),
        "fraudstream_one_record_us": microseconds(lambda: decoder.decode(records[:1], times[:1]), 1),
        "json_us": microseconds(lambda: [json.loads(record) for record in present]),
        "orjson_us": microseconds(lambda: [orjson.loads(record) for record in present]),
        "msgspec_typed_us": microseconds(lambda: [typed.decode(record) for record in present]),
        "gather_us": microseconds(lambda: gather([(half, chosen) for half in halves]), 2 * len(chosen)),
    }


def encoding(events: list[dict[str, Any]]) -> dict[str, Any]:
    records: list[bytes | None] = [json.dumps(each, separators=(",", ":")).encode() for each in events]
    decoded = Decoder(TERMINAL).decode(records, np.full(ROWS, NOW_MS))
    source = np.random.default_rng(1)
    features = {f"customer_count_{place}d": Column(INTEGER, source.integers(0, 99, ROWS)) for place in range(12)}
    features |= {f"customer_sum_{place}d": Column(decimal(2), source.integers(0, 10**6, ROWS)) for place in range(13)}
    features |= {f"terminal_mean_{place}d": Column(FLOAT, source.random(ROWS) * 100) for place in range(8)}
    decisions = Decisions(
        batch=Batch.of(decoded, "transactions", np.zeros(ROWS, np.int32), np.arange(ROWS)),
        sequence=np.arange(ROWS),
        outcome=source.integers(0, 3, ROWS).astype(np.int8),
        score=source.random(ROWS),
        model_score=source.random(ROWS),
        risk_level=source.integers(0, 4, ROWS).astype(np.int8),
        rule_hits=source.random((5, ROWS)) < 0.1,
        rule_codes=("ONE", "TWO", "THREE", "FOUR", "FIVE"),
        late=np.zeros(ROWS, np.bool_),
        duplicate=np.zeros(ROWS, np.bool_),
        duplicate_partition=np.zeros(ROWS, np.int64),
        duplicate_offset=np.zeros(ROWS, np.int64),
        degraded=np.zeros(ROWS, np.bool_),
        let_through=np.zeros(ROWS, np.bool_),
        features=features,
        versions={"pipeline": "a" * 12, "rules": "b" * 12, "lists": "c" * 12, "model": "d" * 12},
        decided_at_ms=NOW_MS,
        threshold=0.6,
        event_id=decoded.columns["TRANSACTION_ID"],
        key=decoded.columns["CUSTOMER_ID"],
        amount=decoded.columns["TX_AMOUNT"],
    )
    encoder = Encoder(plan_of(Pipeline(name="bench", event=TERMINAL, input=Topic(name="transactions"))))
    every, one = np.arange(ROWS), np.zeros(1, np.int64)
    result: dict[str, Any] = {"features": len(features), "floats": 8 + 2}
    for form in Form:
        values, _ = encoder.encode(form, decisions, every)
        result[form.value] = {
            "bytes": round(sum(map(len, values)) / ROWS),
            "fraudstream_us": microseconds(lambda form=form: encoder.encode(form, decisions, every)),
            "fraudstream_one_record_us": microseconds(lambda form=form: encoder.encode(form, decisions, one), 1),
        }
    trees = [json.loads(value) for value in encoder.encode(Form.ENVELOPE, decisions, every)[0]]
    result["envelope"]["orjson_us"] = microseconds(lambda: [orjson.dumps(tree) for tree in trees])
    return result


def main() -> None:
    source = random.Random(1)
    terminal = [terminal_event(source, row) for row in range(ROWS)]
    results = {
        "rows": ROWS,
        "decode_terminal_payments": decoding(TERMINAL, terminal),
        "decode_card_6_decimals": decoding(CARD, [card_event(source, row, 6) for row in range(ROWS)]),
        "decode_card_all_digits": decoding(CARD, [card_event(source, row, 17) for row in range(ROWS)]),
        "encode_terminal_payments": encoding(terminal),
    }
    json.dump(results, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
