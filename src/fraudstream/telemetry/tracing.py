"""OpenTelemetry traces, where the standard variables name a collector: `OTEL_EXPORTER_OTLP_ENDPOINT` and its kin."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

LOGGER = logging.getLogger("fraudstream.telemetry")

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_ENDS_WITHIN_S = 2.0


class Tracing:
    """A tracer whose spans go to the collector, in batches, on a thread of their own.

    Args:
        provider: Of OpenTelemetry's SDK.

    Attributes:
        tracer: Makes spans.
    """

    def __init__(self, provider: Any) -> None:
        self._provider = provider
        self.tracer: Tracer = provider.get_tracer("fraudstream")

    def close(self) -> None:
        """Sends what waits, for two seconds at most: a collector that is away holds up no end."""
        ending = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        ending.start()
        ending.join(_ENDS_WITHIN_S)


def begin_tracing(environ: Mapping[str, str] | None = None) -> Tracing | None:
    """Tracing as the `OTEL_…` variables say; None where they name no collector, or turn it off."""
    environ = os.environ if environ is None else environ
    wanted = environ.get("OTEL_TRACES_EXPORTER", "otlp").lower() == "otlp" and any(map(environ.get, _ENDPOINTS))
    if not wanted or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError:
        LOGGER.warning("OTEL_… names a collector, but traces need `pip install 'fraudstream[tracing]'`: there are none")
        return None
    named = "OTEL_SERVICE_NAME" in environ or "service.name" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    resource = Resource.create({} if named else {"service.name": "fraudstream"})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)
