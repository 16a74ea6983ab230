"""What long-running commands share: metrics and health, served where the settings say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fraudstream.cli.console import show_note
from fraudstream.settings import Settings

if TYPE_CHECKING:
    from fraudstream.telemetry.exporter import Watched


@contextmanager
def exporting(settings: Settings | None, command: str, **labels: str) -> Iterator[Callable[[Watched], None]]:
    """Serves metrics and health while this lasts, if `metrics_port` is set; yields what takes the loop to watch.

    Args:
        settings: Where to listen; None: nowhere.
        command: What the process is.
        labels: Labels of all its series.

    Raises:
        UsageError: The library is not installed, or the address cannot be had.
    """
    if settings is None or settings.metrics_port is None:
        yield lambda watched: None
        return
    from fraudstream.telemetry.exporter import Exporter

    exporter = Exporter(settings.metrics_port, settings.metrics_host, command, labels)
    show_note(f"metrics and health at http://{settings.metrics_host}:{exporter.port}/metrics")
    try:
        yield exporter.watch
    finally:
        exporter.close()
