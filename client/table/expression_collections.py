"""Methods of expressions on arrays, maps and rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lesto.client.table.expression_calls import call_of, call_with
from lesto.client.table.sql.trees import exp

if TYPE_CHECKING:
    from lesto.client.table.expression import Expression


class CollectionMethods:
    """Part of Expression."""

    __slots__ = ()

    @property
    def cardinality(self) -> Expression:
        """Number of elements."""
        return call_of("CARDINALITY", self)

    @property
    def element(self) -> Expression:
        """The only element; NULL if there is none."""
        return call_of("ELEMENT", self)

    @property
    def array_max(self) -> Expression:
        """The greatest element."""
        return call_of("ARRAY_MAX", self)

    @property
    def map_keys(self) -> Expression:
        """The keys."""
        return call_of("MAP_KEYS", self)

    @property
    def map_values(self) -> Expression:
        """The values."""
        return call_of("MAP_VALUES", self)

    @property
    def map_entries(self) -> Expression:
        """Rows of key and value."""
        return call_of("MAP_ENTRIES", self)

    def array_append(self, addition: Any) -> Expression:
        """With an element at the end."""
        return call_of("ARRAY_APPEND", self, addition)

    def array_contains(self, needle: Any) -> Expression:
        """Whether an element is in it."""
        return call_of("ARRAY_CONTAINS", self, needle)

    def array_distinct(self) -> Expression:
        """Without duplicates."""
        return call_of("ARRAY_DISTINCT", self)

    def array_position(self, needle: Any) -> Expression:
        """Where an element is, from 1; 0 if not."""
        return call_of("ARRAY_POSITION", self, needle)

    def array_prepend(self, addition: Any) -> Expression:
        """With an element at the start."""
        return call_of("ARRAY_PREPEND", self, addition)

    def array_remove(self, needle: Any) -> Expression:
        """Without elements equal to it."""
        return call_of("ARRAY_REMOVE", self, needle)

    def array_reverse(self) -> Expression:
        """From the end to the start."""
        return call_of("ARRAY_REVERSE", self)

    def array_slice(self, start_offset: Any, end_offset: Any = None) -> Expression:
        """The elements from a position to another."""
        return call_with("ARRAY_SLICE", self, start_offset, end_offset)

    def array_sort(self, ascending_order: Any = None, null_first: Any = None) -> Expression:
        """Sorted."""
        return call_with("ARRAY_SORT", self, ascending_order, null_first)

    def array_union(self, array: Any) -> Expression:
        """The elements of both, each once."""
        return call_of("ARRAY_UNION", self, array)

    def array_concat(self, *arrays: Any) -> Expression:
        """All, one behind the other."""
        return call_of("ARRAY_CONCAT", self, *arrays)

    def array_join(self, delimiter: Any, null_replacement: Any = None) -> Expression:
        """The elements as one text."""
        return call_with("ARRAY_JOIN", self, delimiter, null_replacement)

    def array_min(self) -> Expression:
        """The least element."""
        return call_of("ARRAY_MIN", self)

    def array_except(self, array: Any) -> Expression:
        """Without the elements of the other."""
        return call_of("ARRAY_EXCEPT", self, array)

    def array_intersect(self, array: Any) -> Expression:
        """The elements that the other has too."""
        return call_of("ARRAY_INTERSECT", self, array)

    def map_union(self, *maps: Any) -> Expression:
        """The entries of all; later ones win."""
        return call_of("MAP_UNION", self, *maps)

    def at(self, index: Any) -> Expression:
        """The element at a position (1 is the first) or key."""
        return call_of("ITEM", self, index)

    def get(self, name_or_index: Any) -> Expression:
        """A field of a row, by name; by position for one whose names are not known."""
        from lesto.client.table.expression import Expression, as_expression

        row = as_expression(self)
        if isinstance(name_or_index, int):
            name_or_index = f"f{name_or_index}"

        def make(c: Any) -> Any:
            field = exp.Identifier(this=name_or_index)
            return exp.Dot(this=row.tree(c), expression=field)

        return Expression(make)

    @property
    def flatten(self) -> Expression:
        """All fields of a row, as columns."""
        from lesto.client.table.expression import Expression, as_expression

        row = as_expression(self)
        return Expression(row._make, star=("flatten", row))
