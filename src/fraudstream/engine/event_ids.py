"""The ids of events as labels, files and people name them."""

from __future__ import annotations

import re

from fraudstream.engine.kernels.fingerprint import fingerprint, fingerprint_integer
from fraudstream.schema.event import Event, FieldType
from fraudstream.tokens.held import held_keys

_INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)


class EventIds:
    """How the events of a pipeline are named from elsewhere.

    Args:
        event: What the pipeline reads.

    Attributes:
        integer: Whether ids are integers.
        hidden: Whether the event has sensitive fields, so that no value of a bad label is shown.
    """

    def __init__(self, event: Event) -> None:
        field = event.field(event.id or "")
        self._keys = held_keys() if field is not None and field.sensitive else None
        self.hidden = any(each.sensitive for each in event.fields)
        self.integer = field is not None and field.type is FieldType.INTEGER and not field.sensitive

    def known_as(self, event_id: str) -> str:
        """The id as everything behind the decoder has it: its token, where it is sensitive.

        Raises:
            ValueError: No event can have it.
        """
        if self.integer:
            _integer(event_id)
        return event_id if self._keys is None else self._keys.stands_for(event_id)

    def fingerprint(self, event_id: str | int) -> tuple[int, int]:
        """The fingerprint the event's own id has. A number for a text id, or the reverse, is read as the other."""
        text = self.known_as(str(event_id))
        return fingerprint_integer(int(text)) if self.integer else fingerprint(text.encode())


def _integer(text: str) -> int:
    """The id of an event whose ids are integers.

    Raises:
        ValueError: It is no integer of 64 bits.
    """
    if not _INTEGER.fullmatch(text) or not -(2**63) <= int(text) < 2**63:
        raise ValueError(f"event_id is {text[:40]!r}; the events' ids are integers of 64 bits")
    return int(text)
