"""What long-running commands share: their log, and metrics and health served where the settings say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from fraudstream.cli.console import show_note
from fraudstream.settings import Settings
from fraudstream.telemetry import logs

if TYPE_CHECKING:
    from fraudstream.telemetry.exporter import Watched


@contextmanager
def observed(settings: Settings | None, command: str, **labels: str) -> Iterator[Callable[[Watched], None]]:
    """Serves metrics and health while this lasts, if `metrics_port` is set; yields what takes the loop to watch.

    From the moment on that the loop is taken the log is written; until then what is wrong is said in one paragraph.

    Args:
        settings: Where to listen; None: nowhere.
        command: What the process is.
        labels: Labels of all its series, and members of all its log lines.

    Raises:
        UsageError: The library is not installed, or the address cannot be had.
    """
    logs.describe(command=command, **labels)
    with ExitStack() as last:
        exporter = None
        if settings is not None and settings.metrics_port is not None:
            from fraudstream.telemetry.exporter import Exporter

            exporter = Exporter(settings.metrics_port, settings.metrics_host, command, labels)
            last.callback(exporter.close)
            show_note(f"metrics and health at http://{settings.metrics_host}:{exporter.port}/metrics")

        def watch(watched: Watched) -> None:
            logs.begin_text()
            if exporter is not None:
                exporter.watch(watched)

        yield watch
