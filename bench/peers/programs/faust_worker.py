"""faust-streaming: two agents with a RocksDB table each, and a topic between them keyed by terminal.

python faust_worker.py BOOTSTRAP INPUT OUTPUT GROUP STATE_FOLDER
"""

from __future__ import annotations

import sys

import faust
from history import pruned, seconds_of, with_customer

BOOTSTRAP, SOURCE, TARGET, GROUP, STATE_FOLDER = sys.argv[1:]

app = faust.App(
    GROUP,
    broker=f"kafka://{BOOTSTRAP}",
    store="rocksdb://",
    datadir=STATE_FOLDER,
    topic_partitions=1,
    web_enabled=False,
    consumer_auto_offset_reset="earliest",
)
transactions = app.topic(SOURCE, key_type=bytes, value_type=bytes, value_serializer="json")
by_terminal = app.topic(f"{GROUP}-by-terminal", key_type=bytes, value_serializer="json", partitions=1)
decisions = app.topic(TARGET, key_type=bytes, value_serializer="json", partitions=1)
customers = app.Table("customers", default=list, partitions=1)
terminals = app.Table("terminals", default=list, partitions=1)


@app.agent(transactions)
async def add_customer(events):
    """Adds the customer's features and sends the event on by its terminal."""
    async for event in events:
        now_s = seconds_of(event["TX_DATETIME"])
        customer = str(event["CUSTOMER_ID"])
        history = pruned(customers[customer], now_s)
        history.append([now_s, event["TX_AMOUNT"]])
        customers[customer] = history
        await by_terminal.send(
            key=str(event["TERMINAL_ID"]).encode(),
            value=with_customer(event, history, now_s),
        )


@app.agent(by_terminal)
async def add_terminal(events):
    """Adds the terminal's count and the rule."""
    async for event in events:
        now_s = seconds_of(event["TX_DATETIME"])
        terminal = str(event["TERMINAL_ID"])
        history = pruned(terminals[terminal], now_s)
        history.append([now_s, 0])
        terminals[terminal] = history
        await decisions.send(
            key=str(event["CUSTOMER_ID"]).encode(),
            value=event | {"terminal_count_1d": len(history), "flagged": event["TX_AMOUNT"] > 220},
        )


if __name__ == "__main__":
    sys.argv = ["faust", "worker", "--loglevel", "warn", "--without-web"]
    app.main()
