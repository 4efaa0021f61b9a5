"""The grammar of expressions."""

from __future__ import annotations

from typing import Any, Final

from lesto.client.table.sql.grammar_calls import CallGrammar
from lesto.client.table.sql.trees import NamedArgument, TokenType, TypedLiteral, Words, exp

_COMPARISONS: Final[dict[str, type[exp.Expression]]] = {
    "=": exp.EQ,
    "<>": exp.NEQ,
    "!=": exp.NEQ,
    "<": exp.LT,
    "<=": exp.LTE,
    ">": exp.GT,
    ">=": exp.GTE,
}
_SUMS: Final[dict[str, type[exp.Expression]]] = {"+": exp.Add, "-": exp.Sub, "||": exp.DPipe}
_PRODUCTS: Final[dict[str, type[exp.Expression]]] = {"*": exp.Mul, "/": exp.Div, "%": exp.Mod}
#: Functions that are written without parentheses.
BARE: Final = frozenset(
    {
        "CURRENT_DATE",
        "CURRENT_TIME",
        "CURRENT_TIMESTAMP",
        "CURRENT_ROW_TIMESTAMP",
        "LOCALTIME",
        "LOCALTIMESTAMP",
    }
)
_DATE_LITERALS: Final = ("DATE", "TIME", "TIMESTAMP", "TIMESTAMP_LTZ")
_UNITS_FIRST: Final = ("TIMESTAMPADD", "TIMESTAMPDIFF")
#: Reserved words that are functions too when a parenthesis follows.
_CALLABLE: Final = frozenset({"CAST", "LEFT", "RIGHT", "GROUPING", "ROW", "IF"})


class ExpressionGrammar(CallGrammar):
    """Reads expressions, from the loosest binding to the tightest."""

    def query(self) -> exp.Expression:
        """Read a query; :class:`.grammar_queries.QueryGrammar` knows how."""
        raise NotImplementedError

    def expression(self) -> Any:
        """Read an expression."""
        start = self.here
        left = self._conjunction()
        while self.take("OR"):
            left = self.mark(exp.Or(this=left, expression=self._conjunction()), start)
        return left

    def _conjunction(self) -> Any:
        start = self.here
        left = self._negation()
        while self.take("AND"):
            left = self.mark(exp.And(this=left, expression=self._negation()), start)
        return left

    def _negation(self) -> Any:
        start = self.here
        if self.take("NOT"):
            return self.mark(exp.Not(this=self._negation()), start)
        return self._comparison()

    def _comparison(self) -> Any:
        start = self.here
        left = self.sum()
        while True:
            sign = self.take_any(*_COMPARISONS)
            if sign and self.word() in {"ANY", "SOME", "ALL"} and self.word(1) == "(":
                left = self.mark(self._quantified(left, sign), start)
            elif sign:
                right = self.sum()
                left = self.mark(_COMPARISONS[sign](this=left, expression=right), start)
            elif self.take("IS"):
                left = self.mark(self._is(left), start)
            elif self.take("OVERLAPS"):
                left = self.mark(self._named("OVERLAPS", _periods(left, self.sum())), start)
            else:
                negated = self.peek("NOT") and self.word(1) in {"BETWEEN", "IN", "LIKE", "SIMILAR"}
                if negated:
                    self.at += 1
                found = self._predicate(left)
                if found is None:
                    return left
                left = self.mark(exp.Not(this=found) if negated else found, start)

    def _quantified(self, left: Any, sign: str) -> Any:
        """Read what follows ``=``: ``ANY (...)`` is IN, and ``<> ALL (...)`` is NOT IN."""
        word = self.word()
        every = word == "ALL"
        if sign not in ({"<>", "!="} if every else {"="}):
            least = (sign in {">", ">="}) is not every
            found = "MIN" if least else "MAX"
            self.fail(
                f"{sign} {word} (...) is not supported",
                f"compare with a scalar query: {sign} (SELECT {found}(...) ...)"
                if sign in {"<", "<=", ">", ">="}
                else "write IN or EXISTS",
            )
        self.at += 1
        self.expect("(")
        if self._query_ahead():
            found_in: Any = exp.In(this=left, query=exp.Subquery(this=self.query()))
            self.expect(")")
        else:
            found_in = exp.In(this=left, expressions=self.listed(self.expression))
        return exp.Not(this=found_in) if every else found_in

    def _is(self, left: Any) -> Any:
        negated = self.take("NOT")
        if self.take("DISTINCT", "FROM"):
            node = exp.NullSafeEQ if negated else exp.NullSafeNEQ
            return node(this=left, expression=self.sum())
        if self.take("JSON"):
            kind = self.take_any("VALUE", "SCALAR", "ARRAY", "OBJECT") or "VALUE"
            return self._named("IS NOT JSON" if negated else "IS JSON", [left, Words(this=kind)])
        word = self.expect_any("NULL", "TRUE", "FALSE", "UNKNOWN")
        right: Any = (
            exp.Null()
            if word == "NULL"
            else Words(this=word)
            if word == "UNKNOWN"
            else exp.Boolean(this=word == "TRUE")
        )
        if negated:
            right = exp.Not(this=right)
        return exp.Is(this=left, expression=right)

    def _predicate(self, left: Any) -> Any:
        if self.take("BETWEEN"):
            symmetric = bool(self.take_any("SYMMETRIC", "ASYMMETRIC") == "SYMMETRIC")
            low = self.sum()
            self.expect("AND")
            return exp.Between(this=left, low=low, high=self.sum(), symmetric=symmetric)
        if self.take("IN"):
            self.expect("(")
            if self._query_ahead():
                found: Any = exp.In(this=left, query=exp.Subquery(this=self.query()))
                self.expect(")")
                return found
            return exp.In(this=left, expressions=self.listed(self.expression))
        if self.take("LIKE"):
            found = exp.Like(this=left, expression=self.sum())
        elif self.take("SIMILAR", "TO"):
            found = exp.SimilarTo(this=left, expression=self.sum())
        else:
            return None
        if self.take("ESCAPE"):
            found = exp.Escape(this=found, expression=self.sum())
        return found

    def sum(self) -> Any:
        """Read sums, differences and concatenations."""
        start = self.here
        left = self._product()
        while sign := self.take_any(*_SUMS):
            left = self.mark(_SUMS[sign](this=left, expression=self._product()), start)
        return left

    def _product(self) -> Any:
        start = self.here
        left = self._unary()
        while sign := self.take_any(*_PRODUCTS):
            left = self.mark(_PRODUCTS[sign](this=left, expression=self._unary()), start)
        return left

    def _unary(self) -> Any:
        start = self.here
        if self.take("-"):
            return self.mark(exp.Neg(this=self._unary()), start)
        if self.take("+"):
            return self._unary()
        found = self._primary()
        while True:
            if self.take("["):
                found = exp.Bracket(this=found, expressions=[self.expression()])
                self.expect("]")
            elif self.take("."):
                found = exp.Dot(this=found, expression=self.identifier("a field"))
            else:
                return found
            self.mark(found, start)

    def _query_ahead(self) -> bool:
        ahead = 0
        while self.word(ahead) == "(":
            ahead += 1
        return self.word(ahead) in {"SELECT", "WITH", "VALUES"}

    def _primary(self) -> Any:
        token = self.token()
        if token is None:
            self.fail("expected an expression")
        start = self.here
        kind = token.token_type
        if kind is TokenType.NUMBER or (self.peek(".") and self._number_after_point()):
            return self.mark(self._number(), start)
        if self.is_string():
            value = self.string()
            while self.is_string():  # neighbouring strings are one
                value += self.string()
            return self.mark(exp.Literal.string(value), start)
        if kind is TokenType.HEX_STRING:
            self.at += 1
            return self.mark(exp.HexString(this=token.text), start)
        if self.take("("):
            return self.mark(self._in_parentheses(), start)
        if self.take("*"):
            return self.mark(exp.Star(), start)
        special = getattr(self, f"_at_{self.word().lower()}", None)
        if special is not None:
            found = special()
            if found is not None:
                return self.mark(found, start)
        word = self.word()
        if word in BARE and self.word(1) != "(":
            self.at += 1
            return self.mark(exp.Anonymous(this=word, expressions=[]), start)
        if word in _CALLABLE and self.word(1) == "(":
            self.at += 1
            return self.mark(self._after_call(self._call(word)), start)
        return self._column_or_call()

    def _number_after_point(self) -> bool:
        token = self.token(1)
        return token is not None and token.token_type is TokenType.NUMBER

    def _number(self) -> Any:
        text = ""
        if self.take("."):
            text = "."
        token = self.token()
        assert token is not None
        self.at += 1
        return exp.Literal.number(text + token.text)

    def _in_parentheses(self) -> Any:
        if self._query_ahead():
            found = exp.Subquery(this=self.query())
            self.expect(")")
            return found
        items = self.listed(self.expression)
        return exp.Paren(this=items[0]) if len(items) == 1 else exp.Tuple(expressions=items)

    # ------------------------------------------------------------------ words that begin something

    def _at_true(self) -> Any:
        self.at += 1
        return exp.Boolean(this=True)

    def _at_false(self) -> Any:
        self.at += 1
        return exp.Boolean(this=False)

    def _at_null(self) -> Any:
        self.at += 1
        return exp.Null()

    def _at_case(self) -> Any:
        self.at += 1
        operand = None if self.peek("WHEN") else self.expression()
        branches = []
        while self.take("WHEN"):
            condition = self.expression()
            self.expect("THEN")
            branches.append(exp.If(this=condition, true=self.expression()))
        if not branches:
            self.fail("expected WHEN")
        default = self.expression() if self.take("ELSE") else None
        self.expect("END")
        return exp.Case(this=operand, ifs=branches, default=default)

    def _at_exists(self) -> Any:
        if self.word(1) != "(":
            return None
        self.at += 2
        found = exp.Exists(this=self.query())
        self.expect(")")
        return found

    def _typed_literal(self) -> Any:
        token = self.token(1)
        if token is None or token.token_type is not TokenType.STRING:
            return None
        word = self.word()
        self.at += 1
        return TypedLiteral(this=word, expression=exp.Literal.string(self.string()))

    _at_date = _at_time = _at_timestamp = _at_timestamp_ltz = _typed_literal

    def _at_interval(self) -> Any:
        self.at += 1
        sign = "-" if self.take("-") else ""
        if not self.is_string():
            self.fail("expected the text of an interval", "write INTERVAL '10' SECOND")
        value = sign + self.string()
        unit = self._unit()
        if self.take("TO"):
            last = self._unit()
            return exp.Interval(
                this=exp.Literal.string(value),
                unit=exp.IntervalSpan(this=exp.Var(this=unit), expression=exp.Var(this=last)),
            )
        return exp.Interval(this=exp.Literal.string(value), unit=exp.Var(this=unit))

    def _unit(self) -> str:
        names = ("YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND")
        plural = self.word()
        unit = self.take_any(*names, *(f"{n}S" for n in names))
        if not unit:
            self.fail(f"expected a unit: {', '.join(names)}", nearest=names if plural else ())
        if self.take("("):
            self.listed(self.integer)
        return unit.removesuffix("S")

    def _at_array(self) -> Any:
        if self.word(1) != "[":
            return None
        return self._bracketed("ARRAY")

    def _at_map(self) -> Any:
        if self.word(1) != "[":
            return None
        return self._bracketed("MAP")

    def _bracketed(self, name: str) -> Any:
        self.at += 2
        items = [] if self.take("]") else self.listed(self.expression, "]")
        return exp.Array(expressions=items) if name == "ARRAY" else self._named("MAP", items)

    # ------------------------------------------------------------------ calls

    def _column_or_call(self) -> Any:
        start = self.here
        parts = [self.identifier("an expression")]
        while self.peek("."):
            if self.word(1) == "*":
                self.at += 2
                return self.mark(_column([*parts, exp.Star()]), start)
            if not self.is_name(1) and self.word(1) not in _CALLABLE | {"TABLE", "END"}:
                break
            self.at += 1
            parts.append(self._any_name())
        if not self.peek("("):
            return self.mark(_column(parts), start)
        name = ".".join(str(p.this) for p in parts)
        call = self._call(name)
        return self.mark(self._after_call(call), start)

    def _any_name(self) -> exp.Identifier:
        if self.is_name():
            return self.identifier()
        token = self.token()
        assert token is not None
        self.at += 1
        return self.mark(exp.Identifier(this=str(token.text)), int(token.start))  # type: ignore[no-any-return]

    def _call(self, name: str) -> Any:
        start = self.here
        self.expect("(")
        special = getattr(self, f"_call_{name.lower()}", None)
        if special is not None:
            found = special()
            self.expect(")")
            return found
        if name.upper() in _UNITS_FIRST:
            unit = self._time_unit()
            self.expect(",")
            return self._named(name, [unit, *self.listed(self.expression)])
        distinct = self.take("DISTINCT")
        if not distinct:
            self.take("ALL")
        args = [] if self.take(")") else self._arguments()
        if distinct:
            args = [self.mark(exp.Distinct(expressions=args), start)]
        return self._named(name, args)

    def _arguments(self) -> list[Any]:
        found = [self._argument()]
        while True:
            if self.take(","):
                found.append(self._argument())
            elif self.peek("NULL", "ON", "NULL") or self.peek("ABSENT", "ON", "NULL"):
                found.append(Words(this=f"{self.word()} ON NULL"))
                self.at += 3
            else:
                self.expect(")")
                return found

    def _argument(self) -> Any:
        start = self.here
        if self.is_name() and self.word(1) == "=>":
            name = self.identifier()
            self.at += 1
            return self.mark(NamedArgument(this=name, expression=self._argument()), start)
        if self.peek("TABLE") and (self.is_name(1) or self.word(1) == "("):
            return self.table_argument()
        if self.peek("DESCRIPTOR", "("):
            self.at += 1
            columns = self.parenthesised(lambda: _column([self.identifier("a column")]))
            return self.mark(self._named("DESCRIPTOR", columns), start)
        if self._query_ahead() and self.peek_any("SELECT", "WITH", "VALUES"):
            return self.mark(exp.Subquery(this=self.query()), start)
        return self.expression()

    def table_argument(self) -> Any:
        """Read ``TABLE t`` or ``TABLE (query)`` among a function's arguments."""
        raise NotImplementedError

    def _after_call(self, call: Any) -> Any:
        start = self.here
        if self.take("WITHIN", "GROUP"):
            self.fail("WITHIN GROUP is not supported")
        if self.take("FILTER"):
            self.expect("(", "WHERE")
            where = exp.Where(this=self.expression())
            self.expect(")")
            call = exp.Filter(this=call, expression=where)
        for words, node in (("IGNORE", exp.IgnoreNulls), ("RESPECT", exp.RespectNulls)):
            if self.take(words, "NULLS"):
                call = node(this=call)
        if self.take("OVER"):
            if self.peek("("):
                call = self.window_spec(call)
            else:
                call = exp.Window(this=call, alias=self.identifier("a window"))
            self.mark(call, start)
        return call

    def window_spec(self, call: Any) -> Any:
        """Read ``([name] [PARTITION BY ...] [ORDER BY ...] [ROWS | RANGE ...])``."""
        self.expect("(")
        window = exp.Window(this=call)
        if self.is_name() and not self.peek_any("ROWS", "RANGE"):
            window.set("alias", self.identifier())
        if self.take("PARTITION", "BY"):
            columns = [self.expression()]
            while self.take(","):
                columns.append(self.expression())
            window.set("partition_by", columns)
        if self.peek("ORDER", "BY"):
            window.set("order", self.order())
        kind = self.take_any("ROWS", "RANGE")
        if kind:
            window.set("spec", self._frame(kind))
        self.expect(")")
        return window

    def _frame(self, kind: str) -> Any:
        if not self.take("BETWEEN"):
            start, side = self._bound()
            return exp.WindowSpec(
                kind=kind, start=start, start_side=side, end="CURRENT ROW", end_side=None
            )
        start, side = self._bound()
        self.expect("AND")
        end, end_side = self._bound()
        return exp.WindowSpec(kind=kind, start=start, start_side=side, end=end, end_side=end_side)

    def _bound(self) -> tuple[Any, Any]:
        if self.take("CURRENT", "ROW"):
            return "CURRENT ROW", None
        value: Any = "UNBOUNDED" if self.take("UNBOUNDED") else self.sum()
        return value, self.expect_any("PRECEDING", "FOLLOWING")

    def order(self) -> Any:
        """Read ``ORDER BY a DESC NULLS LAST, ...``."""
        start = self.here
        self.expect("ORDER", "BY")
        items = [self._ordered()]
        while self.take(","):
            items.append(self._ordered())
        return self.mark(exp.Order(expressions=items), start)

    def _ordered(self) -> Any:
        start = self.here
        value = self.expression()
        descending = self.take_any("ASC", "DESC") == "DESC"
        nulls = None
        if self.take("NULLS"):
            nulls = self.expect_any("FIRST", "LAST") == "FIRST"
        return self.mark(exp.Ordered(this=value, desc=descending, nulls_first=nulls), start)


def _column(parts: list[Any]) -> Any:
    """A column of up to four parts, and fields of it behind that."""
    head, fields = (parts[:4], parts[4:])
    keys = ("this", "table", "db", "catalog")
    found: Any = exp.Column(**dict(zip(keys, reversed(head), strict=False)))
    for field in fields:
        found = exp.Dot(this=found, expression=field)
    return found


def _periods(left: Any, right: Any) -> list[Any]:
    """Both sides of OVERLAPS: of each its start, and its end or length."""
    return [
        part for x in (left, right) for part in (x.expressions if isinstance(x, exp.Tuple) else [x])
    ]
