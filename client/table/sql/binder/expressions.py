"""Binds expressions: trees to typed expressions over a scope's columns."""

from __future__ import annotations

import decimal
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

from lesto.client.table.errors import (
    AggregateMisuseError,
    AmbiguousColumnError,
    SqlError,
    SqlTypeError,
    UnknownColumnError,
    UnknownSqlFunctionError,
    UnsupportedSqlError,
)
from lesto.client.table.sql.binder import user_functions as users
from lesto.client.table.sql.binder.scope import Scope
from lesto.client.table.sql.trees import NamedArgument, TypedLiteral, Words, exp, position
from lesto.common.errors import did_you_mean
from lesto.sql import builder, literals
from lesto.sql.aggregates.ranking import RANKING
from lesto.sql.aggregates.table import aggregates, is_aggregate
from lesto.sql.builder import call, literal, symbol
from lesto.sql.errors import SqlExpressionError, UnknownFunctionError
from lesto.sql.expressions import Call, Expression, InputRef, Literal
from lesto.sql.functions import table as scalar_table
from lesto.sql.type_parser import parse_type
from lesto.sql.types import NUMERIC, SqlType, TypeRoot

if TYPE_CHECKING:
    from lesto.client.table.sql.binder.context import Context

_BINARY: Final[dict[type, str]] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.Mod: "%",
    exp.DPipe: "||",
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.And: "AND",
    exp.Or: "OR",
    exp.NullSafeNEQ: "IS DISTINCT FROM",
    exp.NullSafeEQ: "IS NOT DISTINCT FROM",
    exp.Like: "LIKE",
    exp.SimilarTo: "SIMILAR TO",
}
_NEGATED: Final = {"BETWEEN", "BETWEEN SYMMETRIC", "IN", "LIKE", "SIMILAR TO"}
#: Functions of the syntax of windows, which stand beside GROUP BY TUMBLE(...) alone.
GROUP_WINDOWS: Final = ("TUMBLE", "HOP", "SESSION")
WINDOW_PROPERTIES: Final = {
    "START": "start",
    "END": "end",
    "ROWTIME": "rowtime",
    "PROCTIME": "proctime",
}
OUTER: Final = "$OUTER"


class ExpressionBinder:
    """Binds trees over a scope.

    Args:
        context: text, catalogs, and the binder of queries.
        scope: what names mean.
        place: where the expression stands, for messages: ``WHERE``, say.
    """

    def __init__(self, context: Context, scope: Scope, place: str = "") -> None:
        self.context = context
        self.scope = scope
        self.place = place
        self.replaced: dict[int, Expression] = {}

    # ------------------------------------------------------------------ errors

    def fail(self, error: type[SqlError], message: str, tree: Any, remedy: str = "") -> NoReturn:
        """Raise an error at a tree."""
        self.context.fail(error, message, tree, remedy)

    def _guard(self, tree: Any, make: Callable[[], Expression]) -> Expression:
        try:
            return make()
        except SqlExpressionError as error:
            kind = (
                UnknownSqlFunctionError if isinstance(error, UnknownFunctionError) else SqlTypeError
            )
            raise kind(
                error.message, remedy=error.remedy, text=self.context.text, offset=position(tree)
            ) from error

    def call(self, tree: Any, name: str, args: Sequence[Expression]) -> Expression:
        """A builtin function's call; errors show the tree's place."""
        return self._guard(tree, lambda: call(name, args))

    # ------------------------------------------------------------------ binding

    def bind(self, tree: Any) -> Expression:
        """The expression of a tree."""
        if id(tree) in self.replaced:
            return self.replaced[id(tree)]
        name = _BINARY.get(type(tree))
        if name is not None:
            return self._binary(name, tree)
        method = getattr(self, f"_bind_{type(tree).__name__.lower()}", None)
        if method is None:
            self.fail(UnsupportedSqlError, f"{tree.sql('flink')} is not supported here", tree)
        return method(tree)  # type: ignore[no-any-return]

    def condition(self, tree: Any) -> Expression:
        """A condition: it must be BOOLEAN."""
        found = self.bind(tree)
        if found.type.root not in {TypeRoot.BOOLEAN, TypeRoot.NULL}:
            self.fail(
                SqlTypeError,
                f"{self.place or 'a condition'} must be BOOLEAN, and this is {found.type}",
                tree,
                "compare it with something",
            )
        return builder.coerce(found, parse_type("BOOLEAN"))

    def _binary(self, name: str, tree: Any) -> Expression:
        args = [self.bind(tree.this), self.bind(tree.expression)]
        return self.call(tree, name, args)

    def _bind_paren(self, tree: Any) -> Expression:
        return self.bind(tree.this)

    def _bind_literal(self, tree: Any) -> Expression:
        text = str(tree.this)
        if tree.is_string:
            return literal(text)
        if "e" in text.lower():
            value = float(text)
            if math.isinf(value):
                self.fail(SqlTypeError, f"{text} is beyond the range of DOUBLE", tree)
            return literal(value)
        return self._guard(
            tree, lambda: literal(decimal.Decimal(text) if "." in text else int(text))
        )

    def _bind_boolean(self, tree: Any) -> Expression:
        return literal(bool(tree.this))

    def _bind_null(self, _tree: Any) -> Expression:
        return literal(None)

    def _bind_hexstring(self, tree: Any) -> Expression:
        digits = str(tree.this)
        if len(digits) % 2:
            self.fail(SqlTypeError, f"X'{digits}' is half a byte too short", tree, "add a digit")
        return literal(bytes.fromhex(digits))

    def _bind_words(self, tree: Any) -> Expression:
        return symbol(str(tree.this))

    def _bind_typedliteral(self, tree: TypedLiteral) -> Expression:
        text = str(tree.expression.this)
        match str(tree.this):
            case "DATE":
                return self._guard(tree, lambda: literals.date_literal(text))
            case "TIME":
                return self._guard(tree, lambda: literals.time_literal(text))
            case "TIMESTAMP":
                return self._guard(tree, lambda: literals.timestamp_literal(text))
        kind = parse_type("TIMESTAMP_LTZ(3)")
        return self._guard(tree, lambda: builder.cast(literal(text), kind))

    def _bind_interval(self, tree: Any) -> Expression:
        unit = tree.args["unit"]
        span = isinstance(unit, exp.IntervalSpan)
        first = str(unit.this.this if span else unit.this)
        last = str(unit.expression.this) if span else ""
        text = str(tree.this.this)
        return self._guard(tree, lambda: literals.interval_literal(text, first, last))

    def _bind_not(self, tree: Any) -> Expression:
        inner = tree.this
        found = self.bind(inner)
        if isinstance(found, Call) and found.user is None and found.function in _NEGATED and (
            isinstance(inner, (exp.Between, exp.In, exp.Like, exp.SimilarTo, exp.Escape))
        ):  # fmt: skip
            return self.call(tree, f"NOT {found.function}", found.args)
        return self.call(tree, "NOT", [found])

    def _bind_neg(self, tree: Any) -> Expression:
        found = self.bind(tree.this)
        if isinstance(found, Literal) and found.type.is_in(NUMERIC) and found.value is not None:
            return Literal(-found.value, found.type)
        return self.call(tree, "NEGATE", [found])

    def _bind_is(self, tree: Any) -> Expression:
        right = tree.expression
        negated = isinstance(right, exp.Not)
        word = right.this if negated else right
        if isinstance(word, exp.Null):
            name = "NULL"
        elif isinstance(word, Words):
            name = str(word.this)
        else:
            name = "TRUE" if word.this else "FALSE"
        return self.call(tree, f"IS {'NOT ' if negated else ''}{name}", [self.bind(tree.this)])

    def _bind_escape(self, tree: Any) -> Expression:
        inner = tree.this
        name = _BINARY[type(inner)]
        args = [self.bind(inner.this), self.bind(inner.expression), self.bind(tree.expression)]
        return self.call(tree, name, args)

    def _bind_between(self, tree: Any) -> Expression:
        name = "BETWEEN SYMMETRIC" if tree.args.get("symmetric") else "BETWEEN"
        args = [self.bind(tree.this), self.bind(tree.args["low"]), self.bind(tree.args["high"])]
        return self.call(tree, name, args)

    def _bind_in(self, tree: Any) -> Expression:
        if tree.args.get("query") is not None:
            self._subquery_misplaced(tree, "IN")
        args = [self.bind(tree.this), *(self.bind(e) for e in tree.expressions)]
        return self.call(tree, "IN", args)

    def _bind_exists(self, tree: Any) -> Expression:
        self._subquery_misplaced(tree, "EXISTS")

    def _subquery_misplaced(self, tree: Any, word: str) -> NoReturn:
        self.fail(
            UnsupportedSqlError,
            f"{word} (query) can stand in WHERE and HAVING, alone or joined by AND, not here",
            tree,
            "write a LEFT JOIN, or UNION the two cases of an OR",
        )

    def _bind_case(self, tree: Any) -> Expression:
        operand = None if tree.this is None else self.bind(tree.this)
        branches = []
        for branch in tree.args["ifs"]:
            condition = self.bind(branch.this)
            if operand is not None:
                condition = self.call(branch, "=", [operand, condition])
            branches.append((condition, self.bind(branch.args["true"])))
        default = tree.args.get("default")
        otherwise = None if default is None else self.bind(default)
        return self._guard(tree, lambda: builder.case(branches, otherwise))

    def data_type(self, tree: Any) -> SqlType:
        """The type that a CAST names."""
        text = str(tree.args["kind"])
        try:
            return parse_type(text)
        except SqlExpressionError as error:
            raise SqlTypeError(
                error.message, remedy=error.remedy, text=self.context.text, offset=position(tree)
            ) from error

    def _bind_cast(self, tree: Any) -> Expression:
        return self._cast(tree, attempt=False)

    def _bind_trycast(self, tree: Any) -> Expression:
        return self._cast(tree, attempt=True)

    def _cast(self, tree: Any, attempt: bool) -> Expression:
        kind = self.data_type(tree.args["to"])
        operand = self.bind(tree.this)
        return self._guard(tree, lambda: builder.cast(operand, kind, attempt=attempt))

    def _bind_extract(self, tree: Any) -> Expression:
        unit = symbol(str(tree.this.this))
        return self.call(tree, "EXTRACT", [unit, self.bind(tree.expression)])

    def _bind_trim(self, tree: Any) -> Expression:
        what = tree.args.get("expression")
        characters = literal(" ") if what is None else self.bind(what)
        where = symbol(str(tree.args["position"]))
        return self.call(tree, "TRIM", [where, characters, self.bind(tree.this)])

    def _bind_array(self, tree: Any) -> Expression:
        return self.call(tree, "ARRAY", [self.bind(e) for e in tree.expressions])

    def _bind_tuple(self, tree: Any) -> Expression:
        return self.call(tree, "ROW", [self.bind(e) for e in tree.expressions])

    def _bind_bracket(self, tree: Any) -> Expression:
        return self.call(tree, "ITEM", [self.bind(tree.this), self.bind(tree.expressions[0])])

    def _bind_dot(self, tree: Any) -> Expression:
        return self.field(tree, self.bind(tree.this), str(tree.expression.this))

    def field(self, tree: Any, row: Expression, name: str) -> Expression:
        """A field of a row."""
        if row.type.root is not TypeRoot.ROW:
            self.fail(SqlTypeError, f"{row} is {row.type}, which has no field {name}", tree)
        if row.type.field_index(name) < 0:
            meant = did_you_mean(name, row.type.names)
            self.fail(
                UnknownColumnError,
                f"{row} has no field {name}{meant}",
                tree,
                f"its fields are {', '.join(row.type.names)}",
            )
        return self.call(tree, "DOT", [row, literal(name)])

    # ------------------------------------------------------------------ columns

    def _bind_star(self, tree: Any) -> Expression:
        self.fail(SqlTypeError, "* stands for all columns, and one value is expected", tree)

    def _bind_column(self, tree: Any) -> Expression:
        parts = [str(p.this) for p in tree.parts]
        if isinstance(tree.this, exp.Star):
            self._bind_star(tree)
        return self.column(tree, parts)

    def _bind_columnreference(self, tree: Any) -> Expression:
        index = int(tree.args["index"])
        column = self.scope.column(index)
        return InputRef(index, column.type, column.name)

    def column(self, tree: Any, parts: list[str]) -> Expression:
        """The column of a name, and fields of it."""
        found, used = self.scope.find(parts)
        reference: Expression
        if not found and self.scope.outer is not None:
            found, used = self.scope.outer.find(parts)
            if found:
                self._unambiguous(tree, parts, found)
                self.scope.correlated = True
                column = self.scope.outer.column(found[0])
                inner = InputRef(found[0], column.type, column.name)
                reference = Call(OUTER, (inner,), column.type)
                return self._fields(tree, reference, parts[used:])
        if not found:
            self._unknown_column(tree, parts)
        self._unambiguous(tree, parts, found)
        column = self.scope.column(found[0])
        reference = InputRef(found[0], column.type, column.name)
        return self._fields(tree, reference, parts[used:])

    def _fields(self, tree: Any, reference: Expression, names: list[str]) -> Expression:
        for name in names:
            reference = self.field(tree, reference, name)
        return reference

    def _unambiguous(self, tree: Any, parts: list[str], found: list[int]) -> None:
        if len(found) > 1:
            owners = [
                ".".join((*s.names[-1:], s.columns[i - s.start]))
                for i in found
                for s in self.scope.sources
                if s.start <= i < s.start + len(s.columns)
            ]
            self.fail(
                AmbiguousColumnError,
                f"column {'.'.join(parts)} is ambiguous: it may be {' or '.join(owners)}",
                tree,
                "put the table's name or alias before it",
            )

    def _unknown_column(self, tree: Any, parts: list[str]) -> NoReturn:
        name = ".".join(parts)
        scope = self.scope
        tables = [s.names[-1] for s in scope.sources if s.names]
        if len(parts) > 1 and parts[0] not in tables and parts[0] not in scope.names():
            self.fail(
                UnknownColumnError,
                f"there is no table or column {parts[0]} in scope{did_you_mean(parts[0], tables)}",
                tree,
                f"tables in scope are {', '.join(tables)}" if tables else "",
            )
        names = scope.names()
        if len(parts) == 1:
            names = [n for n in names if "." not in n]
        shown = list(dict.fromkeys(c for s in scope.sources for c in s.columns))
        listed = ", ".join(shown[:12]) + (", ..." if len(shown) > 12 else "")
        self.fail(
            UnknownColumnError,
            f"there is no column {name}{did_you_mean(name, names)}",
            tree,
            f"columns in scope are {listed}" if shown else "there are no columns without FROM",
        )

    # ------------------------------------------------------------------ subqueries and calls

    def _bind_subquery(self, tree: Any) -> Expression:
        return self.context.scalar_subquery(self, tree)

    def _bind_distinct(self, tree: Any) -> Expression:
        self.fail(AggregateMisuseError, "DISTINCT among arguments goes with aggregates alone", tree)

    def _bind_namedargument(self, tree: NamedArgument) -> Expression:
        self.fail(UnsupportedSqlError, "named arguments go with window functions alone", tree)

    def _bind_filter(self, tree: Any) -> Expression:
        return self.aggregate(tree)

    def _bind_ignorenulls(self, tree: Any) -> Expression:
        return self.aggregate(tree)

    def _bind_respectnulls(self, tree: Any) -> Expression:
        return self.aggregate(tree)

    def _bind_window(self, tree: Any) -> Expression:
        where = self.place or "here"
        self.fail(
            AggregateMisuseError,
            f"a function with OVER cannot stand in {where}",
            tree,
            "compute it in a subquery, and use its column",
        )

    def aggregate(self, tree: Any) -> Expression:
        """An aggregate's call; outside of SELECT, HAVING and ORDER BY there can be none."""
        self.fail(
            AggregateMisuseError,
            f"an aggregate function cannot stand in {self.place or 'this place'}",
            tree,
            "write HAVING for a condition on groups" if self.place == "WHERE" else "",
        )

    def window_property(self, tree: Any, _name: str) -> Expression:
        """TUMBLE_START and the like."""
        self.fail(
            AggregateMisuseError,
            f"{tree.this} goes with GROUP BY {str(tree.this).partition('_')[0]}(...)",
            tree,
        )

    def _bind_anonymous(self, tree: Any) -> Expression:
        path = str(tree.this).split(".")
        upper = str(tree.this).upper()
        user = self.context.user_function(path)
        if user is not None:
            return self._user(tree, user)
        if upper == "SOURCE_WATERMARK" and self.place == "a watermark":
            return Call(upper, (), parse_type("TIMESTAMP_LTZ(3) NOT NULL"))
        window, _, what = upper.rpartition("_")
        if window in GROUP_WINDOWS and what in WINDOW_PROPERTIES:
            return self.window_property(tree, what)
        if upper in {"GROUPING", "GROUPING_ID"} or is_aggregate(upper):
            return self.aggregate(tree)
        if upper in RANKING:
            self.fail(AggregateMisuseError, f"{upper} needs OVER", tree, RANKING[upper].syntax)
        if not scalar_table.has_function(upper):
            self._unknown_function(tree, upper)
        return self.call(tree, upper, [self.bind(e) for e in tree.expressions])

    def _user(self, tree: Any, user: Any) -> Expression:
        if isinstance(user, users.AggregateDefinition):
            return self.aggregate(tree)
        if isinstance(user, users.TableDefinition):
            self.fail(
                AggregateMisuseError,
                f"{tree.this} is a table function",
                tree,
                f"write LATERAL TABLE({tree.this}(...)) in FROM",
            )
        args = [self.bind(e) for e in tree.expressions]
        return self._guard(tree, lambda: user.bind_scalar(str(tree.this), args))

    def _unknown_function(self, tree: Any, name: str) -> NoReturn:
        known = [*scalar_table.names(), *(a.name for a in aggregates()), *RANKING]
        known += [n.upper() for n in self.context.catalogs.function_names()]
        self.fail(
            UnknownSqlFunctionError,
            f"there is no function {name}{did_you_mean(name, known)}",
            tree,
            "SHOW FUNCTIONS lists the functions there are; CREATE FUNCTION adds one",
        )
