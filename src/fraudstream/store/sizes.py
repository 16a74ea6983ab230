"""How much the store holds."""

from __future__ import annotations

from sqlalchemy import func, select, text

from fraudstream.store.engine import Store
from fraudstream.store.tables import metadata

_ABOUT = text(
    "SELECT coalesce(pg_partition_root(s.relid), s.relid)::regclass::text, sum(s.n_live_tup)::bigint "
    "FROM pg_stat_user_tables s GROUP BY 1"
)


def row_counts(store: Store) -> dict[str, int]:
    """Rows by table; on PostgreSQL what its statistics say, since counting a large table takes minutes.

    Raises:
        StoreUnreachable, StoreError: The database does not answer, or refuses.
    """
    names = [table.name for table in metadata.sorted_tables]
    with store.begin(read_only=True) as connection:
        if store.is_postgresql:
            about: dict[str, int] = dict(connection.execute(_ABOUT).tuples().all())
            return {name: about.get(name, 0) for name in names}
        counted = {name: select(func.count()).select_from(metadata.tables[name]) for name in names}
        return {name: connection.execute(query).scalar_one() for name, query in counted.items()}
