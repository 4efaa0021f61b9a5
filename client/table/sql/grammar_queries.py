"""The grammar of queries: SELECT, joins, set operations, table functions."""

from __future__ import annotations

from typing import Any, Final

from lesto.client.table.sql.grammar_expressions import ExpressionGrammar
from lesto.client.table.sql.trees import RowPattern, TableArgument, exp

_JOIN_WORDS: Final = ("JOIN", "INNER", "LEFT", "RIGHT", "FULL", "CROSS", "NATURAL", ",")
#: Words of which an alias without AS cannot be one, though they are not reserved elsewhere.
_NOT_ALIASES: Final = frozenset({"WINDOW", "PARTITION", "PRIMARY", "ROWS", "RANGE", "EMIT", "ON"})


class QueryGrammar(ExpressionGrammar):
    """Reads queries into sqlglot's trees."""

    def query(self) -> Any:
        """Read a query with its WITH, ORDER BY and LIMIT."""
        start = self.here
        with_ = self._with() if self.peek("WITH") else None
        body = self._union()
        body = self._tail(body, start)
        if with_ is not None:
            body.set("with_", with_)
        return self.mark(body, start)

    def _with(self) -> Any:
        start = self.here
        self.expect("WITH")
        if self.peek("RECURSIVE"):
            self.fail("WITH RECURSIVE is not supported: neither does Flink")
        parts = [self._cte()]
        while self.take(","):
            parts.append(self._cte())
        return self.mark(exp.With(expressions=parts), start)

    def _cte(self) -> Any:
        start = self.here
        name = self.identifier("the name of a common table expression")
        columns = self.parenthesised(self.identifier) if self.peek("(") else None
        self.expect("AS", "(")
        query = self.query()
        self.expect(")")
        alias = exp.TableAlias(this=name, columns=columns)
        return self.mark(exp.CTE(this=query, alias=alias), start)

    def _tail(self, body: Any, start: int) -> Any:
        if not self.peek_any("ORDER", "LIMIT", "OFFSET", "FETCH"):
            return body
        if any(body.args.get(k) for k in ("order", "limit", "offset")):
            body = self.mark(exp.Select(
                expressions=[exp.Star()], from_=exp.From(this=exp.Subquery(this=body))
            ), start)  # fmt: skip
        if self.peek("ORDER", "BY"):
            body.set("order", self.order())
        at = self.here
        if self.take("LIMIT"):
            count = None if self.take("ALL") else self._count()
            if count is not None:
                body.set("limit", self.mark(exp.Limit(expression=count), at))
        at = self.here
        if self.take("OFFSET"):
            count = self._count()
            self.take_any("ROW", "ROWS")
            body.set("offset", self.mark(exp.Offset(expression=count), at))
        at = self.here
        if self.take("FETCH"):
            self.expect_any("FIRST", "NEXT")
            count = exp.Literal.number(1) if self.peek_any("ROW", "ROWS") else self._count()
            self.expect_any("ROW", "ROWS")
            self.expect("ONLY")
            body.set("limit", self.mark(exp.Limit(expression=count), at))
        return body

    def _count(self) -> Any:
        start = self.here
        return self.mark(exp.Literal.number(self.integer("a number of rows")), start)

    def _union(self) -> Any:
        start = self.here
        left = self._intersection()
        while word := self.take_any("UNION", "EXCEPT", "MINUS"):
            node = exp.Union if word == "UNION" else exp.Except
            left = self._set_operation(node, left, start, self._intersection)
        return left

    def _intersection(self) -> Any:
        start = self.here
        left = self._simple_query()
        while self.take("INTERSECT"):
            left = self._set_operation(exp.Intersect, left, start, self._simple_query)
        return left

    def _set_operation(self, node: Any, left: Any, start: int, operand: Any) -> Any:
        every = self.take_any("ALL", "DISTINCT") == "ALL"
        right = operand()
        return self.mark(node(this=left, expression=right, distinct=not every), start)

    def _simple_query(self) -> Any:
        start = self.here
        if self.take("("):
            query = self.query()
            self.expect(")")
            return self.mark(exp.Subquery(this=query), start)
        if self.peek("VALUES"):
            return self._values()
        if self.take("TABLE"):
            table = self._named_table()
            return self.mark(
                exp.Select(expressions=[exp.Star()], from_=exp.From(this=table)), start
            )
        if not self.peek("SELECT"):
            self.fail("expected a query", nearest=("SELECT", "VALUES", "WITH"))
        return self._select()

    def _values(self) -> Any:
        start = self.here
        self.expect("VALUES")
        rows = [self._row()]
        while self.take(","):
            rows.append(self._row())
        return self.mark(exp.Values(expressions=rows), start)

    def _row(self) -> Any:
        start = self.here
        if self.peek("ROW", "("):
            self.at += 1
        items = self.parenthesised(self.expression) if self.peek("(") else [self.expression()]
        return self.mark(exp.Tuple(expressions=items), start)

    # ------------------------------------------------------------------ SELECT

    def _select(self) -> Any:
        start = self.here
        self.expect("SELECT")
        hints = self.hints()
        distinct = self.take_any("DISTINCT", "ALL", "STREAM") == "DISTINCT"
        items = [self._item()]
        while self.take(","):
            items.append(self._item())
        select = exp.Select(
            expressions=items,
            distinct=exp.Distinct() if distinct else None,
            hint=exp.Hint(expressions=hints) if hints else None,
        )
        if self.take("FROM"):
            self._from(select)
        at = self.here
        if self.take("WHERE"):
            select.set("where", self.mark(exp.Where(this=self.expression()), at))
        if self.peek("GROUP", "BY"):
            select.set("group", self._group())
        at = self.here
        if self.take("HAVING"):
            select.set("having", self.mark(exp.Having(this=self.expression()), at))
        if self.take("WINDOW"):
            select.set("windows", self._windows())
        at = self.here
        if self.take("QUALIFY"):
            select.set("qualify", self.mark(exp.Qualify(this=self.expression()), at))
        return self.mark(select, start)

    def _item(self) -> Any:
        start = self.here
        value = self.expression()
        alias = self._alias()
        if alias is None:
            return value
        return self.mark(exp.Alias(this=value, alias=alias), start)

    def _alias(self) -> Any:
        if self.take("AS"):
            return self.identifier("an alias")
        if self.is_name() and self.word() not in _NOT_ALIASES:
            return self.identifier("an alias")
        return None

    def _group(self) -> Any:
        start = self.here
        self.expect("GROUP", "BY")
        self.take_any("DISTINCT", "ALL")
        items = [self._grouping()]
        while self.take(","):
            items.append(self._grouping())
        return self.mark(exp.Group(expressions=items), start)

    def _grouping(self) -> Any:
        start = self.here
        if self.take("GROUPING", "SETS"):
            found: Any = exp.GroupingSets(expressions=self.parenthesised(self._grouping))
        elif self.take("CUBE"):
            found = exp.Cube(expressions=self.parenthesised(self._grouping))
        elif self.take("ROLLUP"):
            found = exp.Rollup(expressions=self.parenthesised(self._grouping))
        elif self.take("(", ")"):
            found = exp.Tuple(expressions=[])
        else:
            return self.expression()
        return self.mark(found, start)

    def _windows(self) -> list[Any]:
        found = []
        while True:
            start = self.here
            name = self.identifier("the name of a window")
            self.expect("AS")
            spec = self.window_spec(name)
            found.append(self.mark(spec, start))
            if not self.take(","):
                return found

    # ------------------------------------------------------------------ FROM

    def _from(self, select: Any) -> None:
        start = self.here
        select.set("from_", self.mark(exp.From(this=self._table()), start))
        joins = self._joins()
        if joins:
            select.set("joins", joins)

    def _joins(self) -> list[Any]:
        found = []
        while self.peek_any(*_JOIN_WORDS):
            found.append(self._join())
        return found

    def _join(self) -> Any:
        start = self.here
        if self.take(","):
            return self.mark(exp.Join(this=self._table()), start)
        natural = self.take("NATURAL")
        word = self.take_any("INNER", "LEFT", "RIGHT", "FULL", "CROSS")
        if word in {"LEFT", "RIGHT", "FULL"}:
            self.take("OUTER")
        self.expect("JOIN")
        join = exp.Join(
            this=self._table(),
            kind="CROSS"
            if word == "CROSS"
            else None
            if word in {"LEFT", "RIGHT", "FULL"}
            else "INNER",
        )
        if word in {"LEFT", "RIGHT", "FULL"}:
            join.set("side", word)
        if natural:
            join.set("method", "NATURAL")
        elif self.take("ON"):
            join.set("on", self.expression())
        elif self.take("USING"):
            join.set("using", self.parenthesised(self.identifier))
        elif word != "CROSS" and not isinstance(join.this, (exp.Lateral, exp.Unnest)):
            self.fail("expected ON or USING")
        return self.mark(join, start)

    def _table(self) -> Any:
        start = self.here
        node = self._plain_table()
        hints = self.hints()
        if hints:
            node.set("hints", hints)
        if self.take("FOR"):
            self.expect("SYSTEM_TIME", "AS", "OF")
            at = self.here
            moment = self.sum()
            node.set(
                "version",
                self.mark(exp.Version(this="TIMESTAMP", kind="AS OF", expression=moment), at),
            )
        if self.peek("TABLESAMPLE"):
            self.fail(
                "TABLESAMPLE is not supported", "write WHERE RAND() < 0.1: other rows at each run"
            )
        if self.peek_any("PIVOT", "UNPIVOT") and self.word(1) == "(":
            self.fail(
                f"{self.word()} is not supported",
                "aggregate with FILTER: SUM(x) FILTER (WHERE k = 'a') AS a"
                if self.word() == "PIVOT"
                else "write a SELECT for each column, and UNION ALL",
            )
        if self.take("MATCH_RECOGNIZE"):
            at = self.here
            self._balanced("(", ")")
            node = self.mark(RowPattern(this=node, body=self.slice(at)), start)
        alias = self._table_alias()
        if alias is not None:
            node.set("alias", alias)
        return self.mark(node, start)

    def _table_alias(self) -> Any:
        start = self.here
        name = self._alias()
        if name is None:
            return None
        columns = self.parenthesised(self.identifier) if self.peek("(") else None
        return self.mark(exp.TableAlias(this=name, columns=columns), start)

    def _plain_table(self) -> Any:
        if self.take("("):
            return self._table_in_parentheses()
        if self.take("LATERAL"):
            return self._lateral()
        if self.take("UNNEST"):
            value = self.parenthesised(self.expression)
            ordinality = self.take("WITH", "ORDINALITY")
            return exp.Unnest(expressions=value, offset=ordinality or None)
        if self.take("TABLE"):
            self.expect("(")
            found = self._function_table()
            self.expect(")")
            return found
        return self._named_table()

    def _table_in_parentheses(self) -> Any:
        if self._query_ahead_deep():
            found: Any = exp.Subquery(this=self.query())
        else:
            table = self._table()
            joins = self._joins()
            if joins:
                table.set("joins", joins)
            found = exp.Subquery(this=table)
        self.expect(")")
        return found

    def _query_ahead_deep(self) -> bool:
        ahead = 0
        while self.word(ahead) == "(":
            ahead += 1
        return self.word(ahead) in {"SELECT", "WITH", "VALUES"} or (
            self.word(ahead) == "TABLE" and self.word(ahead + 1) != "("
        )

    def _lateral(self) -> Any:
        if self.take("TABLE"):
            self.expect("(")
            found = self._function_table()
            self.expect(")")
            return exp.Lateral(this=found.this)
        self.expect("(")
        query = self.query()
        self.expect(")")
        return exp.Lateral(this=exp.Subquery(this=query))

    def _function_table(self) -> Any:
        start = self.here
        name = ".".join(self.path("a table function"))
        call = self.mark(self._call(name), start)
        return exp.Table(this=call)

    def _named_table(self) -> Any:
        start = self.here
        parts = [self.identifier("a table")]
        while self.take("."):
            parts.append(self.identifier("a table"))
        if self.peek("("):
            call = self._call(".".join(str(p.this) for p in parts))
            return exp.Table(this=self.mark(call, start))
        if len(parts) > 3:
            self.fail("a table's name has at most three parts: catalog, database, table")
        keys = ("this", "db", "catalog")
        table = exp.Table(**dict(zip(keys, reversed(parts), strict=False)))
        return self.mark(table, start)

    def table_argument(self) -> Any:
        """Read ``TABLE t [PARTITION BY ...] [ORDER BY ...]`` among a function's arguments."""
        start = self.here
        self.expect("TABLE")
        if self.take("("):
            node: Any = exp.Subquery(this=self.query())
            self.expect(")")
        else:
            node = self._named_table()
        hints = self.hints()
        if hints:
            node.set("hints", hints)
        found = TableArgument(this=self.mark(node, start))
        if self.take("PARTITION", "BY"):
            if self.peek("("):
                columns = self.parenthesised(self.expression)
            else:
                columns = [self.expression()]
                while self.word() == "," and self.word(2) != "=>" and self.is_name(1):
                    if self.word(1) == "DESCRIPTOR":
                        break
                    self.at += 1
                    columns.append(self.expression())
            found.set("partition_by", columns)
        if self.peek("ORDER", "BY"):
            found.set("order", self.order())
        return self.mark(found, start)

    def hints(self) -> list[Any]:
        r"""Read ``/*+ OPTIONS('k'='v'), STATE_TTL('a'='1d') */``."""
        if not self.take("/*+"):
            return []
        found = []
        while not self.take("*/"):
            start = self.here
            if self.done:
                self.fail("expected */")
            name = self.name("a hint")
            args = self.parenthesised(self._hint_argument) if self.peek("(") else []
            found.append(self.mark(exp.Anonymous(this=name.upper(), expressions=args), start))
            self.take(",")
        return found

    def _hint_argument(self) -> Any:
        start = self.here
        if self.is_string():
            key = exp.Literal.string(self.string())
        else:
            key = exp.Literal.string(".".join(self.path()))
        if not self.take("="):
            return self.mark(key, start)
        return self.mark(exp.EQ(this=key, expression=exp.Literal.string(self.string())), start)
