"""What the demo looks like while it runs."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from fraudstream.demo.watch import Alert, Watch

_COLOURS = {"CRITICAL": "bold red", "HIGH": "yellow", "MEDIUM": "cyan", "LOW": "dim"}


def live_screen(watch: Watch, produced: str, elapsed_s: float, lag: int | None, p50_p99: str) -> RenderableType:
    """The running state: counters above, the latest alerts below."""
    outcomes = watch.outcomes
    numbers = Table.grid(padding=(0, 3))
    for _ in range(4):
        numbers.add_column(justify="right")
        numbers.add_column()
    numbers.add_row(
        *(f"[bold]{len(watch.seen):,}[/]", "decisions"),
        *(f"[bold]{watch.rate():,.0f}[/]", "events/s"),
        *(f"[bold]{'?' if lag is None else f'{lag:,}'}[/]", "lag"),
        *(f"[bold]{p50_p99}[/]", "ms p50 / p99"),
    )
    numbers.add_row(
        *(f"[green]{outcomes['approve']:,}[/]", "approve"),
        *(f"[yellow]{outcomes['review']:,}[/]", "review"),
        *(f"[red]{outcomes['block']:,}[/]", "block"),
        *(f"{elapsed_s:.0f} s", produced),
    )
    return Group(
        Panel(numbers, title="fraudstream · card-payments · exactly once", title_align="left", border_style="blue"),
        Panel(alert_table(list(watch.alerts)), title="latest alerts", title_align="left", border_style="blue"),
    )


def alert_table(alerts: list[Alert]) -> Table:
    """The alerts, newest first."""
    table = Table(box=None, expand=True, header_style="dim")
    for heading, justify in (("at", "left"), ("card", "left"), ("amount", "right"), ("score", "right")):
        table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("risk", no_wrap=True)
    table.add_column("action", no_wrap=True)
    table.add_column("reasons", overflow="ellipsis", no_wrap=True, ratio=1)
    for alert in reversed(alerts):
        table.add_row(
            alert.alert_at[11:19],
            alert.key[-8:],
            f"{alert.amount:,.2f}",
            f"{alert.score:.3f}",
            Text(alert.risk_level, style=_COLOURS.get(alert.risk_level, "")),
            alert.action_required,
            ", ".join(alert.reasons),
        )
    return table
