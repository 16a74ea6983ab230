"""Options that many commands share, with one wording, and the settings they lead to."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fraudstream.errors import SettingError, UsageError
from fraudstream.models.seal import Seal, use_seal
from fraudstream.settings import Settings, load_settings
from fraudstream.telemetry import logs
from fraudstream.tokens.held import use_keys
from fraudstream.tokens.source import keys_of

BootstrapServers = Annotated[
    str | None,
    typer.Option(
        "--bootstrap-servers",
        "-b",
        metavar="HOST:PORT,…",
        help="Kafka's address; default: settings, or the local broker.",
    ),
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Settings file in place of fraudstream.toml.")
]
SetValues = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Any other setting, e.g. sasl_username=scorer; repeatable."),
]
MetricsPort = Annotated[
    int | None,
    typer.Option("--metrics-port", metavar="PORT", help="Serve metrics and health there; 0: any free port."),
]


class LogForm(StrEnum):
    """How log lines are written."""

    TEXT = "text"
    JSON = "json"


LogFormat = Annotated[
    LogForm | None,
    typer.Option("--log-format", help="json: one object a line on stderr."),
]
_SHORTEST_KEY = 32
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def settings_from(
    bootstrap_servers: str | None = None,
    config: Path | None = None,
    values: Sequence[str] | None = None,
    **options: str | int | None,
) -> Settings:
    """The settings of a command from its shared options, and from options of its own that are named like settings.

    Raises:
        UsageError: A `--set` is not written NAME=VALUE.
        SettingError: A setting is unknown or wrong.
    """
    flags: dict[str, str | Path | int | None] = {}
    for pair in values or ():
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise UsageError(f"--set {pair} is not understood.", "Write --set NAME=VALUE.")
        flags[name.strip()] = value
    own = {"bootstrap_servers": bootstrap_servers, **options}
    flags |= {name: value for name, value in own.items() if value is not None}
    settings = load_settings(flags, config)
    if settings.log_format == "JSON":
        logs.begin_json()
    use_seal(_seal_of(settings))
    use_keys(lambda: keys_of(settings))
    return settings


def _seal_of(settings: Settings) -> Seal:
    """Which signatures of models this process trusts."""
    key, demanded = settings.model_key, settings.model_signatures == "REQUIRED"
    if key is not None and len(key.reveal()) < _SHORTEST_KEY:
        raise SettingError(
            f"model_key (from {settings.origin('model_key')}) is shorter than {_SHORTEST_KEY} characters.",
            "Make one with `openssl rand -hex 32`.",
        )
    if demanded and key is None:
        raise SettingError(
            f"model_signatures is REQUIRED (from {settings.origin('model_signatures')}), and no model_key "
            "verifies them.",
            "Set FRAUDSTREAM_MODEL_KEY, or name a file that holds it with model_key_file.",
        )
    return Seal(None if key is None else key.reveal().encode(), demanded)
