"""`fraudstream revive`: switch on again what `fraudstream kill` switched off."""

from __future__ import annotations

from fraudstream.cli.kill import Code, Kind, PipelineName, Reason, turn_switch
from fraudstream.cli.options import AsJson, BootstrapServers, ConfigFile, SetValues, settings_from


def command(
    pipeline: PipelineName,
    what: Kind = None,
    code: Code = None,
    reason: Reason = "",
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Switch a pipeline's model or one of its rules on again; what the model did not score meanwhile, it scores now."""
    settings = settings_from(bootstrap_servers, config, values)
    turn_switch(pipeline, what, code, reason, settings, off=False, as_json=as_json)
