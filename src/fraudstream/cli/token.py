"""`fraudstream token`: the tokens that stand for a value, and the keys they are made with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fraudstream.cli.console import read_secretly, show_json, show_note
from fraudstream.cli.options import AsJson, ConfigFile, SetValues, settings_from

app = typer.Typer(no_args_is_help=True, help="Tokens of sensitive values, and the keys they are made with.")


@app.command("show")
def show(config: ConfigFile = None, values: SetValues = None, as_json: AsJson = False) -> None:
    """Show a value's token under every key that is held, the active one first: search by them, also in old decisions.

    The value is read from a prompt, or from the first line of standard input; as an argument others could read it.
    """
    from fraudstream.tokens.held import held_keys

    settings_from(None, config, values)
    keys = held_keys()
    written = read_secretly("Value: ")
    tokens = {key_id: keys.token(written.encode(), key_id) for key_id in keys.held}
    if as_json:
        show_json(tokens)
    else:
        for token in tokens.values():
            print(token)


@app.command("new-key")
def new_key(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="The key file; default: the one of the settings.")
    ] = None,
    config: ConfigFile = None,
    values: SetValues = None,
) -> None:
    """Make a key file, or add a key to it that is used from the next start on; earlier keys stay for looking back.

    Scorers build their state anew from the log when they start with another key.
    """
    from fraudstream.tokens.keyfile import add_key, make_keys, read_keys
    from fraudstream.tokens.source import key_file

    settings = settings_from(None, config, values)
    path = file or key_file(settings)
    if make_keys(path):
        print(f"{path} is made, with the key {read_keys(path, 'this command').active}")
        show_note("Keep it secret and keep a copy: what was sealed with a key that is lost cannot be read again.")
        return
    before = read_keys(path, "this command").active
    print(f"{path} has the new key {add_key(path)}; {before} is kept")
