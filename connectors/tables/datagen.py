"""``'connector' = 'datagen'``: random rows and sequences, with Flink's options."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Final

from lesto.common.errors import did_you_mean
from lesto.common.option_types import ConfigOption
from lesto.connectors.datagen.fields import Field
from lesto.connectors.datagen.random_fields import (
    Lists,
    Now,
    Numbered,
    RandomBoolean,
    RandomNumber,
    RandomText,
    Rows,
    WithNulls,
)
from lesto.connectors.datagen.source import DataGenSource
from lesto.connectors.errors import (
    InvalidTableOptionError,
    UnknownTableOptionError,
    UnsupportedTableUseError,
)
from lesto.connectors.tables.connector import TableConnector
from lesto.connectors.tables.options import SCAN_PARALLELISM, Described, Prefix, TableOptions
from lesto.connectors.tables.requests import ScanPlan, ScanRequest, TableField
from lesto.sql.types import (
    BINARY_STRING,
    CHARACTER,
    DATETIME,
    INTEGER,
    INTERVAL,
    MAX_LENGTH,
    NUMERIC,
    SqlType,
    TypeRoot,
)

ROWS_PER_SECOND: Final = ConfigOption(
    "rows-per-second", int, 10_000, "Rows a second, of all subtasks together.", minimum=1
)
ROWS: Final = ConfigOption(
    "number-of-rows", int, None, "End behind so many rows; unset: never.", minimum=0
)

_TEXT_LENGTH: Final = 100
_LIST_LENGTH: Final = 3
_LENGTH_MAX: Final = 1 << 20
_KEYS: Final = ("kind", "min", "max", "max-past", "length", "var-len", "start", "end", "null-rate")
_BITS: Final = {
    TypeRoot.TINYINT: 7,
    TypeRoot.SMALLINT: 15,
    TypeRoot.INTEGER: 31,
    TypeRoot.BIGINT: 63,
    TypeRoot.YEAR_MONTH: 31,
    TypeRoot.DAY_TIME: 63,
}
_INTERVAL_MONTHS: Final = (0, 120_000)
_FLOAT_MAX: Final = 3.4028234663852886e38
_DOUBLE_MAX: Final = 1.7976931348623157e308


def _option(key: str, kind: Any, default: Any, **limits: Any) -> ConfigOption[Any]:
    return ConfigOption(key, kind, default, "", **limits)


class _Columns:
    """Makes the generators of columns from ``fields.<path>.<key>``."""

    def __init__(self, options: TableOptions) -> None:
        self.options = options
        self.seen: set[str] = set()
        #: Rows after which the first sequence ends.
        self.rows: int | None = None
        self._seed = 0

    def get(self, path: str, key: str, kind: Any, default: Any, **limits: Any) -> Any:
        option = _option(f"fields.{path}.{key}", kind, default, **limits)
        self.seen.add(option.key)
        return self.options.of(option)

    def column(self, path: str, kind: SqlType) -> Field:
        self._seed += 1
        seed = self._seed * 1_009
        way = self.get(path, "kind", str, "random", choices=("random", "sequence"))
        if way == "sequence":
            return self._sequence(path, kind)
        made = self._random(path, kind, seed)
        rate = self.get(path, "null-rate", float, 0.0, minimum=0.0, maximum=1.0)
        return WithNulls(made, rate, seed + 5) if rate else made

    def _sequence(self, path: str, kind: SqlType) -> Field:
        if not kind.is_in(NUMERIC | CHARACTER):
            raise self._refuse(path, "kind", f"{kind.summary()} has no sequences")
        for key in ("start", "end"):
            option = _option(f"fields.{path}.{key}", int, None)
            self.options.needed(option)
        start = self.get(path, "start", int, 0)
        end = self.get(path, "end", int, 0)
        if end < start:
            raise self._refuse(path, "end", f"the sequence begins with {start}")
        rows = end - start + 1
        self.rows = rows if self.rows is None else min(self.rows, rows)
        return Numbered(kind, start)

    def _random(self, path: str, kind: SqlType, seed: int) -> Field:
        if kind.root is TypeRoot.BOOLEAN:
            return RandomBoolean(seed)
        if kind.is_in(NUMERIC | INTERVAL):
            return self._number(path, kind, seed)
        if kind.is_in(CHARACTER | BINARY_STRING):
            return self._text(path, kind, seed)
        if kind.is_in(DATETIME):
            past = self.get(path, "max-past", timedelta, timedelta(0))
            return Now(kind, int(past / timedelta(milliseconds=1)), seed)
        arrow = kind.to_arrow()
        names: tuple[str, ...]
        match kind.root:
            case TypeRoot.ROW:
                inner = zip(kind.names, kind.children, strict=True)
                return Rows(arrow, tuple(self.column(f"{path}.{n}", c) for n, c in inner))
            case TypeRoot.MAP:
                names = ("key", "value")
            case TypeRoot.ARRAY | TypeRoot.MULTISET:
                names = ("element",)
            case _:
                msg = f"table {self.options.table}: datagen makes no {kind.summary()} ('{path}')"
                raise UnsupportedTableUseError(msg, remedy="use a column of another type")
        fields = tuple(
            self.column(f"{path}.{n}", c) for n, c in zip(names, kind.children, strict=True)
        )
        length = self.get(path, "length", int, _LIST_LENGTH, minimum=0, maximum=_LENGTH_MAX)
        return Lists(arrow, fields, length)

    def _number(self, path: str, kind: SqlType, seed: int) -> Field:
        low, high, way = self._range(kind)
        low = self.get(path, "min", way, low)
        high = self.get(path, "max", way, high)
        if high < low:
            raise self._refuse(path, "max", f"the smallest value is {low}")
        limits = self._range(kind)
        if not limits[0] <= low <= high <= limits[1]:
            raise self._refuse(path, "max", f"{kind.summary()} has {limits[0]} to {limits[1]}")
        return RandomNumber(kind, low, high, seed)

    @staticmethod
    def _range(kind: SqlType) -> tuple[Any, Any, Any]:
        if kind.is_in(INTEGER) or kind.root is TypeRoot.DAY_TIME:
            bits = _BITS[kind.root]
            return -(1 << bits), (1 << bits) - 1, int
        if kind.root is TypeRoot.YEAR_MONTH:
            return *_INTERVAL_MONTHS, int
        if kind.root is TypeRoot.DECIMAL:
            top = float(10 ** (kind.precision - kind.scale))
            return -top, top, float
        top = _FLOAT_MAX if kind.root is TypeRoot.FLOAT else _DOUBLE_MAX
        return -top, top, float

    def _text(self, path: str, kind: SqlType, seed: int) -> Field:
        fixed = kind.root in {TypeRoot.CHAR, TypeRoot.BINARY}
        limited = kind.length < MAX_LENGTH
        default = kind.length if limited else _TEXT_LENGTH
        length = self.get(path, "length", int, default, minimum=1, maximum=_LENGTH_MAX)
        if limited and (length > kind.length or (fixed and length != kind.length)):
            raise self._refuse(path, "length", f"the column is {kind.summary()}")
        varied = self.get(path, "var-len", bool, False)
        if varied and fixed:
            raise self._refuse(path, "var-len", f"the column is {kind.summary()}")
        return RandomText(kind.to_arrow(), length, seed, varied)

    def _refuse(self, path: str, key: str, why: str) -> InvalidTableOptionError:
        option = _option(f"fields.{path}.{key}", str, "")
        return self.options.refuse(option, why, "correct the option or the column's type")

    def check_all_known(self, columns: tuple[TableField, ...]) -> None:
        """Refuse options of fields that there are not."""
        for key in self.options:
            if not key.startswith("fields.") or key in self.seen:
                continue
            path, _, what = key.removeprefix("fields.").rpartition(".")
            names = [re.sub(r"^fields\.|\.[^.]*$", "", k) for k in self.seen]
            if path not in names:
                msg = f"table {self.options.table}: option '{key}' is for no column"
                msg += did_you_mean(path, names)
                remedy = f"the columns are {', '.join(c.name for c in columns)}"
            else:
                msg = f"table {self.options.table}: '{path}' has no option '{what}' in datagen"
                own = sorted(k.rpartition(".")[2] for k in self.seen if f"fields.{path}." in k)
                msg += did_you_mean(what, _KEYS)
                remedy = f"for its type and kind there are {', '.join(own)}"
            raise UnknownTableOptionError(msg, remedy=remedy)


def _columns(
    options: TableOptions, columns: tuple[TableField, ...]
) -> tuple[_Columns, list[Field]]:
    made = _Columns(options)
    fields = [made.column(c.name, c.type) for c in columns]
    made.check_all_known(columns)
    return made, fields


def _check(options: TableOptions, columns: tuple[TableField, ...]) -> None:
    if columns:
        _columns(options, columns)


def _scan(request: ScanRequest) -> ScanPlan:
    options = TableOptions(request.options, request.table)
    made, fields = _columns(options, request.columns)
    limits = [n for n in (options.of(ROWS), made.rows) if n is not None]
    rows = min(limits, default=None)
    if request.bounded and rows is None:
        msg = f"table {request.table or '?'} has rows without end, which a batch cannot read"
        raise UnsupportedTableUseError(msg, remedy="add 'number-of-rows' = '...' to its options")
    chosen = {c.name: fields[i] for c, i in zip(request.read, request.projection, strict=True)}
    source = DataGenSource(chosen, rows=rows, rows_per_second=options.of(ROWS_PER_SECOND))
    return ScanPlan(source, parallelism=options.of(SCAN_PARALLELISM))


CONNECTOR: Final = TableConnector(
    Described(
        "datagen",
        "Random rows and sequences.",
        optional=(ROWS_PER_SECOND, ROWS, SCAN_PARALLELISM),
        prefixes=(
            Prefix(
                "fields.",
                "fields.<column>.kind (random, sequence), .min, .max, .max-past, .length, .var-len,"
                " .null-rate, .start, .end; fields of rows and elements by further names.",
            ),
        ),
    ),
    scan=_scan,
    check=_check,
)
