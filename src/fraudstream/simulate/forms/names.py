"""The names a world's people, cards and accounts go by, made once a world and looked up by index."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fraudstream.simulate.rows import Rows
from fraudstream.simulate.world import World

FIRST_NAMES = (
    "Ada", "Amir", "Ana", "Ben", "Chen", "Chloé", "Dana", "Diego", "Elif", "Emma", "Femi", "Grace", "Hana", "Hugo",
    "Ines", "Ivan", "Jana", "João", "Kofi", "Lara", "Liam", "Lucía", "Mei", "Mina", "Noah", "Olga", "Omar", "Priya",
    "Quinn", "Rosa", "Sami", "Søren", "Tara", "Uma", "Viktor", "Wei", "Yara", "Yusuf", "Zoë", "Zuri",
)  # fmt: skip
LAST_NAMES = (
    "Adeyemi", "Ali", "Andersson", "Bauer", "Brown", "Chen", "Costa", "Dubois", "Eriksen", "Fischer", "García",
    "Haddad", "Ivanova", "Jansen", "Kim", "Kowalski", "Kumar", "López", "Martin", "Meyer", "Mensah", "Müller",
    "Nakamura", "Novak", "O'Brien", "Okafor", "Park", "Patel", "Rossi", "Sato", "Silva", "Singh", "Smith", "Tanaka",
    "Taylor", "Tran", "Wang", "Weber", "Yılmaz", "Zhang",
)  # fmt: skip


@lru_cache(maxsize=4)
def user_ids(world: World) -> tuple[pl.Series, list[bytes]]:
    """`user_000042` by customer, as text and as keys."""
    return _both([f"user_{customer:06d}" for customer in range(world.customers)])


@lru_cache(maxsize=4)
def accounts(world: World) -> tuple[pl.Series, list[bytes]]:
    """Account `ACC00000042` by customer, as text and as keys."""
    return _both([f"ACC{customer:08d}" for customer in range(world.customers)])


@lru_cache(maxsize=4)
def card_hashes(world: World) -> tuple[pl.Series, list[bytes]]:
    """32 hexadecimal digits by card, as text and as keys."""
    count = int(world.first_card[-1] + world.card_count[-1])
    digits = np.random.default_rng([world.seed, 1]).bytes(16 * count).hex()
    return _both([digits[start : start + 32] for start in range(0, len(digits), 32)])


@lru_cache(maxsize=4)
def people(world: World) -> pl.DataFrame:
    """first_name, last_name and email by customer."""
    rng = np.random.default_rng([world.seed, 2])
    first = pl.Series(FIRST_NAMES).gather(rng.integers(0, len(FIRST_NAMES), world.customers))
    last = pl.Series(LAST_NAMES).gather(rng.integers(0, len(LAST_NAMES), world.customers))
    number = pl.Series(np.arange(world.customers))
    return pl.DataFrame({"first_name": first, "last_name": last}).with_columns(
        email=pl.format("user{}@example.com", number)
    )


def keys_of(names: list[bytes], index: NDArray[np.int32]) -> list[bytes]:
    """The names at those indices."""
    return [names[i] for i in index.tolist()]


def user_keys(world: World, rows: Rows) -> list[bytes]:
    """Each event's user_id as its record key."""
    return keys_of(user_ids(world)[1], rows.customer)


def _both(names: list[str]) -> tuple[pl.Series, list[bytes]]:
    return pl.Series(names), [name.encode() for name in names]
