"""Columns of a pair of records: those of the left one and those of the right one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class MergedColumns:
    """Columns of a join's results.

    Attributes:
        names: of the result's columns.
        left: positions of the left columns that come first.
        right: positions of the right columns that follow.
    """

    names: tuple[str, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]

    @staticmethod
    def of(
        left: pa.Schema,
        right: pa.Schema,
        left_keys: Sequence[str],
        right_keys: Sequence[str],
        suffixes: tuple[str, str],
    ) -> MergedColumns:
        """All columns but those right key columns that are called as their left counterparts.

        >>> a = pa.schema([("k", pa.int64()), ("v", pa.int64())])
        >>> MergedColumns.of(a, a, ["k"], ["k"], ("", "_right")).names
        ('k', 'v', 'v_right')
        """
        same = {a for a, b in zip(left_keys, right_keys, strict=True) if a == b}
        kept = [i for i, name in enumerate(right.names) if name not in same]
        ours = set(left.names)
        theirs = {right.names[i] for i in kept}
        names = [name + suffixes[0] if name in theirs else name for name in left.names]
        names += [
            right.names[i] + suffixes[1] if right.names[i] in ours else right.names[i] for i in kept
        ]
        return MergedColumns(tuple(names), tuple(range(len(left.names))), tuple(kept))

    def schema(self, left: pa.Schema, right: pa.Schema) -> pa.Schema:
        """The result's columns with their types; dictionaries have become their values."""
        fields = [left.field(i) for i in self.left] + [right.field(i) for i in self.right]
        return pa.schema(
            [pa.field(n, _plain(f.type)) for f, n in zip(fields, self.names, strict=True)]
        )


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
