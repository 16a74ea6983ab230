"""Watches the registry: versions that were given a part are loaded and tried on a thread of their own."""

from __future__ import annotations

import logging
import threading
import time

from fraudstream.errors import FraudstreamError
from fraudstream.models.registry import Registry
from fraudstream.models.scorer import OnnxScorer, load_whole

LOGGER = logging.getLogger("fraudstream.runner")

LOOK_S = 0.5
"""Between two looks at the registry."""
AGAIN_S = 10.0
"""After so long a version that could not be loaded is tried once more: its files may have come later."""


class ModelWatch:
    """The models that are to serve and to be scored in the shadow, ready for use.

    A version that is broken takes no place: the one before stays, and the log says why.

    Args:
        registry: The versions of the model.
        features: The inputs the pipeline declares.
        champion: What serves now.
    """

    def __init__(self, registry: Registry, features: tuple[str, ...], champion: OnnxScorer | None) -> None:
        self._registry = registry
        self._features = features
        self.champion = champion
        self.challengers: tuple[OnnxScorer, ...] = ()
        self._seen: object = None
        self._failed_at: float | None = None
        self._said: set[str] = set()
        self._stopping = threading.Event()

    def start(self) -> None:
        """Takes a first look, and begins to watch."""
        self._look_safely()
        threading.Thread(target=self._watch, name="models", daemon=True).start()

    def close(self) -> None:
        """Ends the thread within a look."""
        self._stopping.set()

    def _watch(self) -> None:
        while not self._stopping.wait(LOOK_S):
            self._look_safely()

    def _look_safely(self) -> None:
        try:
            self.look()
        except Exception as error:  # the scorer goes on with what it has
            self._say(f"The models cannot be looked at: {error!r}.")

    def look(self) -> None:
        """Loads what has a part now and had none at the last look."""
        stamp, now = self._registry.stamp(), time.monotonic()
        again = self._failed_at is not None and now - self._failed_at > AGAIN_S
        if stamp == self._seen and not again:
            return
        self._seen, self._failed_at = stamp, None
        roles = self._registry.roles()
        ready = {scorer.version: scorer for scorer in (self.champion, *self.challengers) if scorer is not None}
        if roles.champion is not None:
            found = ready.get(roles.champion) or self._load(roles.champion)
            if found is not None and found is not self.champion:
                before = "nothing" if self.champion is None else self.champion.version
                about = {"kind": "model", "model": found.version, "before": before}
                LOGGER.warning(
                    "model %s: %s serves in place of %s", self._registry.name, found.version, before, extra=about
                )
                self.champion = found
        waiting = [ready.get(version) or self._load(version) for version in roles.challengers]
        self.challengers = tuple(scorer for scorer in waiting if scorer is not None)

    def _load(self, version: str) -> OnnxScorer | None:
        try:
            return load_whole(self._registry.folder, self._registry.name, version, self._features)
        except FraudstreamError as error:
            self._failed_at = time.monotonic()
            self._say(str(error))
            return None

    def _say(self, text: str) -> None:
        """Says it once."""
        if text not in self._said:
            self._said.add(text)
            LOGGER.error("%s What served before goes on.", text)
