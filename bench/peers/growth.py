"""What an event costs, in process, as keys grow from 10 thousand to 10 million and windows from an hour to 30 days.

    python -m bench.peers.growth KEYS | windows | features-KEYS

Bytes in, bytes out: decode, features, rules, encode, without Kafka. Each size runs in a process of its own, which first
sees every key once, so that what is measured is the steady state.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from fraudstream.define.load import parse_definition
from fraudstream.define.pipeline import Form
from fraudstream.engine.batch import Batch
from fraudstream.engine.decode import Decoder
from fraudstream.engine.encode import Encoder
from fraudstream.engine.program import Program
from fraudstream.plan.load import plan_definition
from fraudstream.plan.plan import Plan
from fraudstream.state.ids import Labels

BATCH = 8_192
MEASURED = 400_000
ROUNDS = 3
BEGINS_AT_S = 1_522_540_800
LATER_MS = (BEGINS_AT_S + 90 * 86_400) * 1_000
"""When Kafka took the events: after all of them, or they would be refused as of the future."""
WINDOWS = ("1h", "1d", "7d", "30d")
WINDOW_KEYS = 10_000


def plan_of_small(over: str | None = None) -> Plan:
    """The small pipeline, or one with a customer's and a terminal's count and sum over one window."""
    text = Path(__file__).with_name("small.yaml").read_text(encoding="utf-8")
    if over is not None:
        text = (
            text.replace("[1h, 1d]", f"[{over}]")
            .replace("over: 1d}", f"over: {over}}}")
            .replace("terminal_count_1d", f"terminal_count_{over}")
        )
    return plan_definition(parse_definition(text, "small.yaml"))


class Scorer:
    """The engine with its state, fed with bytes."""

    def __init__(self, plan: Plan) -> None:
        self._decoder, self._encoder = Decoder(plan.pipeline.event), Encoder(plan)
        self._program = Program(plan)
        self._state = self._program.new_state()
        self._offset = 0

    def score(self, records: list[bytes | None]) -> int:
        """Scores a batch; the number of bytes written."""
        n = len(records)
        decoded = self._decoder.decode(records, np.full(n, LATER_MS))
        offsets = np.arange(self._offset, self._offset + n)
        batch = Batch.of(decoded, "transactions", np.zeros(n, np.int32), offsets)
        self._offset += n
        decisions = self._program.decide(self._state, batch, Labels.none(), 0)
        values, _ = self._encoder.encode(Form.ENVELOPE, decisions, np.arange(n))
        return sum(map(len, values))


def records_of(customers: np.ndarray, at_s: np.ndarray, first: int) -> list[bytes | None]:
    """Events as JSON; a terminal is as rare as a customer."""
    stamps = np.datetime_as_string(at_s.astype("datetime64[s]"))
    return [
        f'{{"TRANSACTION_ID":{first + place},"TX_DATETIME":"{str(stamp).replace("T", " ")}","CUSTOMER_ID":{customer},'
        f'"TERMINAL_ID":{customer},"TX_AMOUNT":{customer % 9_973 / 100}}}'.encode()
        for place, (customer, stamp) in enumerate(zip(customers.tolist(), stamps.tolist(), strict=True))
    ]


def measured(plan: Plan, n_keys: int, span_s: int) -> dict[str, float]:
    """Nanoseconds an event, the median of some rounds after every key has been seen.

    Args:
        plan: What to compute.
        n_keys: Customers, and as many terminals.
        span_s: How much event time the measured events of one round spread over.
    """
    scorer, source = Scorer(plan), np.random.default_rng(7)
    order = source.permutation(n_keys)
    fill_s = 3_000  # within the shortest window, so that every key is alive
    for begin in range(0, n_keys, BATCH):
        keys = order[begin : begin + BATCH]
        at_s = BEGINS_AT_S + (np.arange(begin, begin + len(keys)) * fill_s) // n_keys
        scorer.score(records_of(keys, at_s, begin))
    rounds = []
    for number in range(ROUNDS):
        spent = 0.0
        for begin in range(0, MEASURED, BATCH):
            size = min(BATCH, MEASURED - begin)
            keys = source.integers(0, n_keys, size)
            done = number * MEASURED + begin
            at_s = BEGINS_AT_S + fill_s + (np.arange(done, done + size) * span_s) // MEASURED
            records = records_of(keys, at_s, n_keys + done)
            started = time.process_time()
            scorer.score(records)
            spent += time.process_time() - started
        rounds.append(spent / MEASURED * 1e9)
    resident = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return {
        "ns_per_event": float(np.median(rounds)),
        "ns_least": min(rounds),
        "ns_most": max(rounds),
        "peak_memory_mb": int(resident.split()[1]) / 1_024,
    }


def main() -> None:
    """Prints the figures of one size, or of all windows."""
    what = sys.argv[1]
    if what == "windows":
        # The same events for every window: 30 days of them, 120 a key.
        figures = {over: measured(plan_of_small(over), WINDOW_KEYS, 10 * 86_400) for over in WINDOWS}
        print(json.dumps(figures))
    else:
        print(json.dumps(measured(plan_of_small(), int(what), 600)))


if __name__ == "__main__":
    main()
