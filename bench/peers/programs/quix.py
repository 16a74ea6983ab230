"""Quix Streams: two stateful functions, one for each key, with a repartition between them.

python quix.py BOOTSTRAP INPUT OUTPUT GROUP STATE_FOLDER
"""

from __future__ import annotations

import sys

from history import pruned, seconds_of, with_customer
from quixstreams import Application, State


def by_customer(event: dict, state: State) -> dict:
    """Adds the customer's features."""
    now_s = seconds_of(event["TX_DATETIME"])
    history = pruned(state.get("history", []), now_s)
    history.append([now_s, event["TX_AMOUNT"]])
    state.set("history", history)
    return with_customer(event, history, now_s)


def by_terminal(event: dict, state: State) -> dict:
    """Adds the terminal's count and the rule."""
    now_s = seconds_of(event["TX_DATETIME"])
    history = pruned(state.get("history", []), now_s)
    history.append([now_s, 0])
    state.set("history", history)
    return event | {"terminal_count_1d": len(history), "flagged": event["TX_AMOUNT"] > 220}


def main() -> None:
    """Runs until SIGTERM."""
    bootstrap, source, target, group, state_folder = sys.argv[1:]
    application = Application(
        broker_address=bootstrap,
        consumer_group=group,
        auto_offset_reset="earliest",
        state_dir=state_folder,
        loglevel="WARNING",
    )
    frame = application.dataframe(application.topic(source, value_deserializer="json", key_deserializer="str"))
    frame = frame.apply(by_customer, stateful=True)
    frame = frame.group_by(
        lambda event: str(event["TERMINAL_ID"]), name="terminal", key_serializer="str", key_deserializer="str"
    )
    frame = frame.apply(by_terminal, stateful=True)
    frame.to_topic(application.topic(target, value_serializer="json", key_serializer="str"))
    application.run()


if __name__ == "__main__":
    main()
