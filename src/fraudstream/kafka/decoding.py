"""The decoder of a topic's records, whatever their format: where it needs schemas, the registry has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fraudstream.define.pipeline import Format, Pipeline
from fraudstream.settings import Settings

if TYPE_CHECKING:
    from fraudstream.engine.decode import Decoder

_NO_TIMESTAMP_MS = 2**62
"""A Kafka timestamp that no event is ahead of."""


def decoder_of(pipeline: Pipeline, settings: Settings) -> Decoder:
    """The decoder of a pipeline's input.

    Raises:
        SettingError: It needs a schema registry, and none is set.
        ToolError: The libraries for it are not installed.
    """
    if pipeline.input.format is Format.JSON:
        from fraudstream.engine.decode import Decoder

        return Decoder(pipeline.event)
    from fraudstream.engine.decode_framed import FramedDecoder
    from fraudstream.kafka.registry import SchemaRegistry

    registry = SchemaRegistry(settings)
    return FramedDecoder(pipeline.event, pipeline.input.format, registry, registry.give_up)


class AsJson:
    """Makes JSON of a pipeline's input records, for whoever reads events from elsewhere, too.

    Args:
        pipeline: Whose input.
        settings: Where its schemas are.

    Raises:
        SettingError, ToolError: As of `decoder_of`.
    """

    def __init__(self, pipeline: Pipeline, settings: Settings) -> None:
        self._event = pipeline.event
        self._decoder = None if pipeline.input.format is Format.JSON else decoder_of(pipeline, settings)

    def __call__(self, values: Sequence[bytes]) -> list[bytes]:
        """Each record as the JSON that decodes to the same; what is no event stays as it is.

        Raises:
            RegistryUnreachable: A schema is not known, and cannot be asked for.
        """
        found = list(values)
        if self._decoder is not None:
            import numpy as np

            from fraudstream.engine.event_json import EventWriter

            decoded = self._decoder.decode([*found], np.full(len(found), _NO_TIMESTAMP_MS))
            rows = np.flatnonzero(decoded.ok)
            for row, text in zip(rows.tolist(), EventWriter(self._event).texts(decoded, rows), strict=True):
                found[row] = text
        return found
