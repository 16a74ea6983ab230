"""The column type of instants: epoch milliseconds in Python, what each database compares and shows best inside."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, DateTime
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime.fromtimestamp(0, UTC)


class Instant(TypeDecorator[int]):
    """An instant, int epoch milliseconds: `timestamptz` on PostgreSQL, where dashboards want it; else an integer."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """The database's own type."""
        return dialect.type_descriptor(DateTime(timezone=True) if dialect.name == "postgresql" else BigInteger())

    def process_bind_param(self, value: int | None, dialect: Dialect) -> Any:
        """What the driver is given."""
        if value is None or dialect.name != "postgresql":
            return value
        return _EPOCH + timedelta(milliseconds=value)

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        """What Python gets."""
        if value is None or isinstance(value, int):
            return value
        return int((value - _EPOCH) // timedelta(milliseconds=1))
