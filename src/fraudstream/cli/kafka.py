"""`fraudstream kafka`: a real Apache Kafka on this machine, in the project folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fraudstream.cli.console import show_json
from fraudstream.cli.options import AsJson, ConfigFile, SetValues, settings_from
from fraudstream.units import format_instant

if TYPE_CHECKING:
    from fraudstream.kafka.local import BrokerStatus, LocalBroker

app = typer.Typer(no_args_is_help=True, help="Start, stop and clean a local Apache Kafka.")


@app.command()
def start(
    heap: Annotated[int, typer.Option("--heap-mb", min=128, help="Java heap of the broker.")] = 512,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Start the broker and wait until it answers. The first time fetches Kafka through Maven (44 MB)."""
    broker = _broker(config, values, heap)
    _show(broker.start(), as_json)


@app.command()
def stop(config: ConfigFile = None, values: SetValues = None, as_json: AsJson = False) -> None:
    """Stop the broker; its topics stay."""
    _show(_broker(config, values).stop(), as_json)


@app.command()
def status(config: ConfigFile = None, values: SetValues = None, as_json: AsJson = False) -> None:
    """Show whether the broker runs, and where. Exits 3 where it does not."""
    found = _broker(config, values).status()
    _show(found, as_json)
    if found.state != "running":
        raise typer.Exit(3)


@app.command()
def clean(
    force: Annotated[bool, typer.Option("--force", help="Stop the broker first if it runs.")] = False,
    config: ConfigFile = None,
    values: SetValues = None,
) -> None:
    """Delete the broker's topics, offsets and logs."""
    broker = _broker(config, values)
    there = broker.folder.exists()
    broker.clean(force=force)
    print(f"deleted {broker.folder}" if there else f"nothing to delete: there is no {broker.folder}")


@app.command()
def download() -> None:
    """Fetch Kafka's program files; a later start needs no network."""
    from fraudstream.kafka.jars import KAFKA_VERSION, fetch_kafka
    from fraudstream.kafka.java import find_java

    java = find_java()
    print(f"Kafka {KAFKA_VERSION} is in {fetch_kafka()} and runs on Java {java.version} ({java.program})")


def _broker(config: ConfigFile, values: SetValues, heap_mb: int = 512) -> LocalBroker:
    from fraudstream.kafka.local import LocalBroker

    return LocalBroker(settings_from(config=config, values=values).local_kafka_folder, heap_mb=heap_mb)


def _show(status: BrokerStatus, as_json: bool) -> None:
    if as_json:
        show_json({**status._asdict(), "log": status.log})
    elif status.running:
        since = f" since {format_instant(status.started_at)}" if status.started_at else ""
        print(f"Kafka is {status.state} at {status.bootstrap_servers} (process {status.pid}{since})")
        print(f"  folder {status.folder}, log {status.log}")
    elif status.state == "crashed":
        print(f"Kafka is not running: it ended without `fraudstream kafka stop`; its log is {status.log}")
    else:
        print(f"Kafka is stopped (folder {status.folder})")
