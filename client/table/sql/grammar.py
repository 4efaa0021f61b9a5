"""The grammar of statements and scripts."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from lesto.client.table.sql import statements as s
from lesto.client.table.sql.grammar_tables import UNSUPPORTED_OBJECTS, TableGrammar

_STARTS: Final = (
    *("SELECT", "WITH", "VALUES", "INSERT", "CREATE", "ALTER", "DROP", "EXPLAIN", "DESCRIBE"),
    *("DESC", "SHOW", "USE", "SET", "RESET", "EXECUTE", "BEGIN", "REPLACE"),
)
#: Statements of Flink that Lesto does not have, and what to do instead.
_ABSENT: Final = {
    "LOAD": "functions of modules are registered by CREATE FUNCTION",
    "UNLOAD": "functions of modules are registered by CREATE FUNCTION",
    "ANALYZE": "plans do not depend on statistics",
    "COMPILE": "run the statement itself",
    "TRUNCATE": "delete the data in the external system",
    "DELETE": "delete the data in the external system",
    "UPDATE": "update the data in the external system",
    "CALL": "there are no procedures",
    "ADD": "Python modules are found by the import path",
    "REMOVE": "Python modules are found by the import path",
    "STOP": "stop the job by `lesto stop`",
    "MERGE": "write INSERT INTO a table with a primary key",
}
_DETAILS: Final = (
    "ESTIMATED_COST",
    "CHANGELOG_MODE",
    "JSON_EXECUTION_PLAN",
    "PLAN_ADVICE",
)
_SHOWN: Final = (
    *("TABLES", "VIEWS", "FUNCTIONS", "DATABASES", "CATALOGS", "COLUMNS", "PARTITIONS", "JOBS"),
    *("MODULES", "JARS"),
)


class Grammar(TableGrammar):
    """Reads statements."""

    def script(self) -> list[s.Parsed]:
        """Read all statements to the end of the text."""
        found: list[s.Parsed] = []
        while True:
            while self.take(";"):
                pass
            if self.done:
                return found
            found.append(self.one())
            if self.word() != ";" and self.token() is not None:
                self.fail("expected ; or the end of the statement", nearest=_CLAUSES)

    def one(self) -> s.Parsed:
        """Read a statement."""
        start = self.here
        statement = self.statement()
        return s.Parsed(statement, self.text, start, self.behind)

    def statement(self) -> s.Statement:
        """Read a statement without its text."""
        if self.peek_any("SELECT", "WITH", "VALUES", "(", "TABLE"):
            return s.QueryStatement(self.query())
        word = self.word()
        if word in _ABSENT:
            self.fail(f"the statement {word} is not supported", _ABSENT[word])
        word = self.expect_any(*_STARTS)
        match word:
            case "CREATE":
                return self.create()
            case "REPLACE":
                return self._replace()
            case "ALTER":
                return self.alter()
            case "DROP":
                return self.drop()
            case "INSERT":
                return self._insert()
            case "EXPLAIN":
                return self._explain()
            case "DESCRIBE" | "DESC":
                return self._describe()
            case "SHOW":
                return self._show()
            case "USE":
                return self._use()
            case "SET":
                return self._set()
            case "RESET":
                if self.done or self.peek(";"):
                    return s.ResetOption()
                return s.ResetOption(self._key())
            case "BEGIN":
                self.expect("STATEMENT", "SET")
                self.take(";")
                return self._set_body()
            case _:
                return self._execute()

    def _replace(self) -> s.Statement:
        """Read what follows REPLACE: a table that is there, AS SELECT."""
        self.expect("TABLE")
        self.at -= 1
        found = self.create()
        if not isinstance(found, s.CreateTable) or found.query is None:
            self.fail("expected AS and a query: REPLACE TABLE fills a table anew")
        return dataclasses.replace(found, replace=True, existing=True)

    def _execute(self) -> s.Statement:
        if self.take("STATEMENT", "SET"):
            self.expect("BEGIN")
            return self._set_body()
        if self.take("PLAN"):
            self.at -= 1
            self.fail("EXECUTE PLAN is not supported", "run the statement itself")
        return self.statement()

    def _set_body(self) -> s.StatementSet:
        found: list[s.Insert] = []
        while True:
            while self.take(";"):
                pass
            if self.take("END"):
                if not found:
                    self.at -= 1
                    self.fail("expected INSERT: the statement set is empty")
                return s.StatementSet(tuple(found))
            self.expect("INSERT")
            found.append(self._insert())
            if not self.peek("END"):
                self.expect(";")

    def _insert(self) -> s.Insert:
        overwrite = self.expect_any("INTO", "OVERWRITE") == "OVERWRITE"
        self.take("TABLE")
        position = self.here
        target = self.path("a table")
        hints = dict(
            (str(arg.this.this), str(arg.expression.this))
            for hint in self.hints()
            for arg in hint.expressions
            if hint.this == "OPTIONS"
        )
        partition: tuple[tuple[str, Any], ...] = ()
        if self.take("PARTITION"):
            partition = tuple(self.parenthesised(self._partition))
        columns: tuple[str, ...] = ()
        if self.peek("(") and not self._query_ahead_deep():
            columns = tuple(self.parenthesised(self.name))
        query = self.query()
        conflict = ""
        if self.take("ON", "CONFLICT"):
            self.expect("DO")
            conflict = self.expect_any("NOTHING", "ERROR", "DEDUPLICATE")
        return s.Insert(
            target, query, columns, partition, overwrite, conflict, tuple(hints.items()), position
        )

    def _partition(self) -> tuple[str, Any]:
        name = self.name("a column")
        self.expect("=")
        return name, self.expression()

    def _explain(self) -> s.Explain:
        details: list[str] = []
        if not self.take("PLAN", "FOR"):
            while word := self.take_any(*_DETAILS):
                details.append(word)
                if not self.take(","):
                    break
        if self.take("STATEMENT", "SET"):
            self.expect("BEGIN")
            statement: s.Statement = self._set_body()
        else:
            statement = self.statement()
        if not isinstance(statement, (s.QueryStatement, s.Insert, s.StatementSet)):
            self.fail("EXPLAIN takes a query, an INSERT or a statement set")
        return s.Explain(statement, tuple(details))

    def _describe(self) -> s.Describe:
        position = self.here
        kind = "TABLE"
        if self.peek_any("MODEL", "CONNECTION") and self.is_name(1):
            word = self.word()
            self.fail(f"DESCRIBE {word} is not supported", UNSUPPORTED_OBJECTS[word])
        if self.peek_any("CATALOG", "DATABASE", "FUNCTION", "JOB") and (
            self.is_name(1) or self.word(1) == "EXTENDED" or self.token(1) is not None
        ) and self.word(1) not in {".", ";"}:  # fmt: skip
            kind = self.word()
            self.at += 1
        extended = False
        if self.peek("EXTENDED") and self.is_name(1):
            self.at += 1
            extended = True
        name = (self.string(),) if self.is_string() else self.path("a name")
        return s.Describe(kind, name, extended, position)

    def _show(self) -> s.Show:
        position = self.here
        if self.take("CREATE"):
            self._shown_absent()
            what = self.expect_any("TABLE", "VIEW", "CATALOG", "DATABASE", "FUNCTION")
            return s.Show(f"CREATE {what}", self.path(), position=position)
        if self.take("CURRENT"):
            what = self.expect_any("CATALOG", "DATABASE")
            return s.Show(f"CURRENT {what}", position=position)
        if self.take("USER", "FUNCTIONS"):
            return self._show_what("USER FUNCTIONS", position)
        if self.take("FULL", "MODULES"):
            return self._show_what("MODULES", position)
        self._shown_absent()
        return self._show_what(self.expect_any(*_SHOWN), position)

    def _shown_absent(self) -> None:
        word = self.word()
        if word == "PROCEDURES":
            self.fail("SHOW PROCEDURES is not supported", "there are no procedures")
        if word.removesuffix("S") in UNSUPPORTED_OBJECTS:
            what = "MATERIALIZED TABLES" if word == "MATERIALIZED" else word
            self.fail(f"SHOW {what} is not supported", UNSUPPORTED_OBJECTS[word.removesuffix("S")])

    def _show_what(self, what: str, position: int) -> s.Show:
        name: s.Path = ()
        scope: s.Path = ()
        if what == "PARTITIONS":
            name = self.path("a table")
        elif self.take_any("FROM", "IN"):
            scope = self.path("a name")
            if what == "COLUMNS":
                name, scope = scope, ()
        elif what == "COLUMNS":
            self.fail("expected FROM")
        negated = self.take("NOT")
        word = self.take_any("LIKE", "ILIKE")
        if negated and not word:
            self.fail("expected LIKE")
        like = self.string() if word else None
        return s.Show(what, name, scope, like, negated, word == "ILIKE", position)

    def _use(self) -> s.Use:
        if self.take("MODULES"):
            self.at -= 1
            self.fail("USE MODULES is not supported", _ABSENT["LOAD"])
        kind = "CATALOG" if self.peek("CATALOG") and self.is_name(1) else "DATABASE"
        if kind == "CATALOG":
            self.at += 1
        position = self.here
        return s.Use(kind, self.path("a name"), position)

    def _set(self) -> s.SetOption:
        if self.done or self.peek(";"):
            return s.SetOption()
        key = self._key()
        self.expect("=")
        if self.is_string():
            return s.SetOption(key, self.string())
        start = self.here
        while self.token() is not None and self.word() != ";":
            self.at += 1
        return s.SetOption(key, self.slice(start))

    def _key(self) -> str:
        if self.is_string():
            return self.string()
        start = self.here
        while not self.done and not self.peek_any(";", "="):
            self.at += 1
        if self.here == start:
            self.fail("expected an option's key")
        return self.slice(start).strip()


_CLAUSES: Final = (
    *("FROM", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "UNION", "JOIN", "LEFT", "RIGHT"),
    *("INNER", "FULL", "CROSS", "INTERSECT", "EXCEPT", "WINDOW", "ON", "USING", "OFFSET", "FETCH"),
)
