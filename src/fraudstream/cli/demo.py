"""`fraudstream demo`: the whole of it on one machine, in about a minute and a half."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    seconds: Annotated[int, typer.Option("--seconds", min=5, help="How long live traffic lasts.")] = 45,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE.svg", help="Also save what was shown as a picture.")
    ] = None,
) -> None:
    """Start a real Kafka, make history, train, score live traffic exactly once, and prove it."""
    from rich.console import Console

    from fraudstream.demo.story import Demo, summary

    console = Console(record=picture is not None, width=110 if picture else None)
    folder = Path(".fraudstream") / "demo"
    figures = Demo(folder, console, seconds).run()
    console.print()
    console.print(summary(figures))
    console.print(
        f"Everything it made is in {folder}. Next: `fraudstream explain card-payments`, and your own pipeline.",
        highlight=False,
    )
    if picture is not None:
        console.save_svg(str(picture), title="make demo")
    if not figures.proof.holds:
        raise typer.Exit(1)
