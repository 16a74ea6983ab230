"""Where the settings say that the token keys are."""

from __future__ import annotations

import logging
from pathlib import Path

from fraudstream.errors import SettingError
from fraudstream.settings import Settings
from fraudstream.tokens.keyfile import make_keys, read_keys
from fraudstream.tokens.keys import TokenKeys

LOGGER = logging.getLogger("fraudstream.tokens")
MADE_HERE = "token-keys.toml"
"""The key file in the project folder, where no other is set."""
_THIS_MACHINE = ("localhost", "127.", "[::1]", "::1")


def keys_of(settings: Settings) -> TokenKeys:
    """The token keys that the settings name.

    Without `token_keys_file`, a pipeline whose Kafka is on this machine gets a key of its own in the project folder.
    Elsewhere that would be wrong: another machine would make another key, and its tokens would fit none of these.

    Raises:
        SettingError: The file cannot be read, or none is named and Kafka is elsewhere.
    """
    path = key_file(settings)
    if settings.token_keys_file is not None:
        return read_keys(path, settings.origin("token_keys_file"))
    if not path.exists():
        if not is_here(settings.bootstrap_servers):
            raise SettingError(
                f"The pipeline has sensitive fields, and no token keys are set for the Kafka at "
                f"{settings.bootstrap_servers}.",
                "Make a key file with `fraudstream token new-key FILE`, give the same one to every process of the "
                "pipeline, and name it in token_keys_file (FRAUDSTREAM_TOKEN_KEYS_FILE).",
            )
        if make_keys(path):
            LOGGER.warning(
                "made a token key for sensitive fields: %s. Keep it secret and keep a copy; in production name a key "
                "file of your own in token_keys_file.",
                path,
            )
    return read_keys(path, "the project folder")


def keys_at_hand(settings: Settings) -> TokenKeys | None:
    """The token keys that there are; None where nothing has needed any yet.

    Raises:
        SettingError: Their file cannot be read.
    """
    there = settings.token_keys_file is not None or key_file(settings).exists()
    return keys_of(settings) if there else None


def key_file(settings: Settings) -> Path:
    """Where the token keys are, or would be."""
    return settings.token_keys_file or settings.project_folder / MADE_HERE


def is_here(bootstrap_servers: str) -> bool:
    """Whether these addresses, separated by commas, are of this machine."""
    return all(address.strip().startswith(_THIS_MACHINE) for address in bootstrap_servers.split(","))
