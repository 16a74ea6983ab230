"""Stores to test with, as the store's own tests have them."""

from __future__ import annotations

from store.conftest import postgres_settings, store_settings

__all__ = ["postgres_settings", "store_settings"]
