"""Rows of a database by their keys, many keys in a query."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from lesto.connectors.jdbc.drivers import Driver
from lesto.connectors.jdbc.rows import columns_of, quoted, select, tuples_of
from lesto.connectors.jdbc.session import Session
from lesto.connectors.tables.requests import LookupFunction, RowNumbers
from lesto.sql.types import SqlType

#: Parameters of one query: SQLite takes 32,766.
PARAMETERS_MAX: Final = 5_000


class JdbcLookup(LookupFunction):
    """Looks rows up with SELECT ... WHERE key IN (...).

    Args:
        driver: of the database.
        table: its name.
        names: of the table's columns.
        types: of the table's columns.
        keys: positions of the key columns.
        projection: positions of the columns that are given.
        retries: how often a query is tried again.
    """

    def __init__(
        self,
        driver: Driver,
        table: str,
        names: Sequence[str],
        types: Sequence[SqlType],
        keys: Sequence[int],
        projection: Sequence[int],
        retries: int,
    ) -> None:
        driver.library()
        self._driver = driver
        self._key_types = [types[k] for k in keys]
        self._key_names = [names[k] for k in keys]
        self._names = [names[i] for i in projection]
        self._types = [types[i] for i in projection]
        self._schema = pa.schema(
            [(n, k.to_arrow()) for n, k in zip(self._names, self._types, strict=True)]
        )
        self._select = select(table, [*self._key_names, *self._names])
        self._retries = retries
        self._session: Session | None = None

    def open(self) -> None:
        """Nothing is asked yet."""
        self._session = Session(self._driver, self._retries)

    def lookup(self, keys: pa.RecordBatch) -> tuple[RowNumbers, pa.RecordBatch]:
        """The rows with these keys."""
        width = len(self._key_types)
        # Keys are compared as Arrow has them: the database may write a decimal in another way.
        wanted = list(zip(*(c.to_pylist() for c in keys.columns), strict=True))
        sent = tuples_of(keys, self._key_types, texts=self._driver.kind == "sqlite")
        distinct = list(dict(zip(wanted, sent, strict=True)).values())
        rows: list[Any] = []
        step = max(1, PARAMETERS_MAX // width)
        for start in range(0, len(distinct), step):
            rows += self._query(distinct[start : start + step])
        key_columns = columns_of([r[:width] for r in rows], self._key_types, self._key_names)
        found = list(zip(*(c.to_pylist() for c in key_columns.columns), strict=True))
        places: defaultdict[tuple[Any, ...], list[int]] = defaultdict(list)
        for place, key in enumerate(found):
            places[key].append(place)
        pairs = [(n, p) for n, key in enumerate(wanted) for p in places.get(key, ())]
        data = columns_of([r[width:] for r in rows], self._types, self._names)
        numbers = np.array([n for n, _ in pairs], np.int64)
        return numbers, data.take(pa.array([p for _, p in pairs], pa.int64())).cast(self._schema)

    def _query(self, keys: Sequence[tuple[Any, ...]]) -> list[Any]:
        assert self._session is not None, "a lookup is opened before it is used"
        marks = ", ".join("?" * len(self._key_names))
        names = ", ".join(map(quoted, self._key_names))
        if len(self._key_names) == 1:
            sql = f"{self._select} WHERE {names} IN ({', '.join('?' * len(keys))})"
        else:
            # One long IN list of rows is not understood by all databases; a union of values is.
            rows = ", ".join([f"({marks})"] * len(keys))
            sql = f"{self._select} WHERE ({names}) IN (VALUES {rows})"
        values = [v for key in keys for v in key]

        def work(cursor: Any) -> list[Any]:
            cursor.execute(self._driver.statement(sql), values)
            found: list[Any] = cursor.fetchall()
            return found

        return self._session.run(work, self._select)

    def close(self) -> None:
        """Disconnect."""
        if self._session is not None:
            self._session.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_session": None}
