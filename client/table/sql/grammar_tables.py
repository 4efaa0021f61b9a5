"""The grammar of CREATE, ALTER and DROP."""

from __future__ import annotations

from typing import Final

from lesto.client.table.sql import statements as s
from lesto.client.table.sql.grammar_queries import QueryGrammar

_LIKE_WHAT: Final = (
    *("ALL", "CONSTRAINTS", "DISTRIBUTION", "GENERATED", "METADATA", "OPTIONS", "PARTITIONS"),
    "WATERMARKS",
)
#: What Lesto has not, and what to do instead.
UNSUPPORTED_OBJECTS: Final = {
    "MATERIALIZED": "write INSERT INTO a table with a primary key: the job keeps it up to date",
    "MODEL": "call the model in a function: CREATE FUNCTION ... LANGUAGE PYTHON",
    "CONNECTION": "give the connector's options in WITH",
}
_PARTITIONS: Final = "partitions are directories: INSERT makes them"


class TableGrammar(QueryGrammar):
    """Reads definitions."""

    def create(self) -> s.Statement:
        """Read what follows CREATE."""
        at = self.at
        replace = self.take("OR", "REPLACE")
        if self.peek("OR", "ALTER") and self.word(2) == "MATERIALIZED":
            self.at += 2
        temporary = bool(self.take_any("TEMPORARY"))
        system = temporary and self.take("SYSTEM")
        word = self._kind("CREATE")
        if replace and word not in {"TABLE", "VIEW"}:
            self.at = at
            remedy = "write ALTER FUNCTION" if word == "FUNCTION" else "DROP and CREATE it"
            self.fail(f"CREATE OR REPLACE {word} is not supported", remedy)
        exists = self.take("IF", "NOT", "EXISTS")
        position = self.here
        name = self.path(f"the name of a {word.lower()}")
        match word:
            case "TABLE":
                return self._create_table(name, temporary, exists, replace, position)
            case "VIEW":
                return self._create_view(name, temporary, exists, replace, position)
            case "FUNCTION":
                return self._function(name, position, temporary, system, exists)
            case "DATABASE":
                comment = self._comment()
                options = self._with_options()
                return s.CreateDatabase(name, comment, options, exists, position)
            case _:
                comment = self._comment()
                options = self._with_options()
                return s.CreateCatalog(name[-1], comment, options, exists, position)

    def _kind(self, verb: str) -> str:
        if self.peek_any(*UNSUPPORTED_OBJECTS):
            word = self.word()
            what = "MATERIALIZED TABLE" if word == "MATERIALIZED" else word
            self.fail(f"{verb} {what} is not supported", UNSUPPORTED_OBJECTS[word])
        return self.expect_any("TABLE", "VIEW", "FUNCTION", "DATABASE", "CATALOG")

    def _comment(self) -> str:
        return self.string() if self.take("COMMENT") else ""

    def _with_options(self) -> tuple[tuple[str, str], ...]:
        if not self.take("WITH"):
            return ()
        return self.options()

    def options(self) -> tuple[tuple[str, str], ...]:
        """Read ``('key' = 'value', ...)``."""
        self.expect("(")
        if self.take(")"):
            return ()
        return tuple(self.listed(self._option))

    def _option(self) -> tuple[str, str]:
        key = self.string("an option's key in single quotes")
        self.expect("=")
        return key, self.string("an option's value in single quotes")

    # ------------------------------------------------------------------ tables

    def _create_table(
        self, name: s.Path, temporary: bool, exists: bool, replace: bool, position: int
    ) -> s.Statement:
        parts = _Elements()
        if self.take("(") and not self.take(")"):
            self.listed(lambda: self._element(parts))
        comment = self._comment()
        distributed = self._distribution()
        partitioned: tuple[str, ...] = ()
        if self.take("PARTITIONED", "BY"):
            partitioned = tuple(self.parenthesised(self.name))
        options = self._with_options()
        like = self._like() if self.peek("LIKE") else None
        query = None
        if self.take("AS"):
            query = self.query()
        columns, named = tuple(parts.columns), tuple(parts.bare)
        if named and columns:
            self.fail("columns have either all a type or none")
        if named and query is None:
            self.fail(f"expected a data type for column {named[0]}")
        return s.CreateTable(
            name, columns, parts.watermark, parts.key, parts.key_name, comment, partitioned,
            distributed, options, like, query, named, temporary, exists, replace, position,
        )  # fmt: skip

    def _distribution(self) -> str:
        if not self.take_any("DISTRIBUTED", "DISTRIBUTION"):
            return ""
        start = self.here
        if self.take("INTO"):
            self.integer()
            self.expect("BUCKETS")
            return f"DISTRIBUTED {self.slice(start)}"
        self.expect("BY")
        self.take_any("HASH", "RANGE")
        self.parenthesised(self.name)
        if self.take("INTO"):
            self.integer()
            self.expect("BUCKETS")
        return f"DISTRIBUTED {self.slice(start)}"

    def _element(self, parts: _Elements) -> None:
        if self.peek("WATERMARK", "FOR"):
            if parts.watermark is not None:
                self.fail("a table has one watermark, this is a second")
            parts.watermark = self.watermark()
        elif self.peek("PRIMARY", "KEY") or self.peek("CONSTRAINT"):
            if parts.key:
                self.fail("a table has one primary key, this is a second")
            parts.key_name, parts.key = self.key()
        elif self.peek_any("UNIQUE") and self.word(1) == "(":
            self.fail("UNIQUE is not supported", "declare PRIMARY KEY (...) NOT ENFORCED")
        elif self.is_name() and self.word(1) in {",", ")"}:
            parts.bare.append(self.name())
        else:
            column = self.column()
            parts.columns.append(column)
            if column.primary_key:
                if parts.key:
                    self.fail("a table has one primary key, this is a second")
                parts.key = (column.name,)

    def watermark(self) -> s.WatermarkDefinition:
        """Read ``WATERMARK FOR column AS expression``."""
        self.expect("WATERMARK", "FOR")
        position = self.here
        column = self.path("a column")
        self.expect("AS")
        start = self.here
        expression = self.expression()
        return s.WatermarkDefinition(column, expression, self.slice(start), position)

    def key(self) -> tuple[str, tuple[str, ...]]:
        """Read ``[CONSTRAINT name] PRIMARY KEY (a, b) NOT ENFORCED``."""
        name = self.name() if self.take("CONSTRAINT") else ""
        self.expect("PRIMARY", "KEY")
        columns = tuple(self.parenthesised(self.name))
        self._not_enforced()
        return name, columns

    def _not_enforced(self) -> None:
        if not self.take("NOT", "ENFORCED"):
            self.fail(
                "a primary key is not checked, so it must say so: expected NOT ENFORCED",
                "write PRIMARY KEY (...) NOT ENFORCED",
            )

    def column(self) -> s.ColumnDefinition:
        """Read the definition of a column."""
        position = self.here
        name = self.name("a column")
        if self.take("AS"):
            start = self.here
            expression = self.expression()
            text = self.slice(start)
            comment = self._comment()
            return s.ColumnDefinition(
                name, expression=expression, expression_text=text, comment=comment,
                position=position,
            )  # fmt: skip
        at = self.here
        type_text = self.type_text()
        metadata: str | None = None
        virtual = key = False
        if self.take("METADATA"):
            metadata = self.string() if self.take("FROM") else name
            virtual = self.take("VIRTUAL")
        if self.take("PRIMARY", "KEY"):
            self._not_enforced()
            key = True
            if self.take("NOT", "NULL"):
                type_text += " NOT NULL"
        return s.ColumnDefinition(
            name, type_text, None, "", metadata, virtual, self._comment(), key, position, at
        )

    def _like(self) -> s.Like:
        self.expect("LIKE")
        position = self.here
        source = self.path("a table")
        options: list[tuple[str, str]] = []
        if self.take("("):
            while not self.take(")"):
                how = self.expect_any("INCLUDING", "EXCLUDING", "OVERWRITING")
                options.append((how, self.expect_any(*_LIKE_WHAT)))
                self.take(",")
        return s.Like(source, tuple(options), position)

    # ------------------------------------------------------------------ views and functions

    def _create_view(
        self, name: s.Path, temporary: bool, exists: bool, replace: bool, position: int
    ) -> s.CreateView:
        columns = tuple(self.parenthesised(self.name)) if self.peek("(") else ()
        comment = self._comment()
        self.expect("AS")
        start = self.here
        query = self.query()
        text = self.slice(start)
        return s.CreateView(
            name, query, text, columns, comment, temporary, exists, replace, position
        )

    def _function(
        self,
        name: s.Path,
        position: int,
        temporary: bool,
        system: bool,
        exists: bool,
        alter: bool = False,
    ) -> s.CreateFunction:
        self.expect("AS")
        target = self.string("the function's module and name in single quotes")
        language = "JAVA"
        if self.take("LANGUAGE"):
            language = self.expect_any("PYTHON", "JAVA", "SCALA")
        if self.take("USING"):
            self.fail("USING JAR or ARTIFACT is not supported", "install the module")
        return s.CreateFunction(name, target, language, temporary, system, exists, alter, position)

    # ------------------------------------------------------------------ DROP

    def drop(self) -> s.Drop:
        """Read what follows DROP."""
        temporary = bool(self.take_any("TEMPORARY"))
        system = temporary and self.take("SYSTEM")
        kind = self._kind("DROP")
        exists = self.take("IF", "EXISTS")
        position = self.here
        name = self.path(f"the name of a {kind.lower()}")
        cascade = kind == "DATABASE" and self.take_any("CASCADE", "RESTRICT") == "CASCADE"
        return s.Drop(kind, name, exists, temporary, system, cascade, position)

    # ------------------------------------------------------------------ ALTER

    def alter(self) -> s.Statement:
        """Read what follows ALTER."""
        temporary = bool(self.take_any("TEMPORARY"))
        system = temporary and self.take("SYSTEM")
        kind = self._kind("ALTER")
        exists = self.take("IF", "EXISTS")
        position = self.here
        name = self.path(f"the name of a {kind.lower()}")
        if kind == "FUNCTION":
            return self._function(name, position, temporary, system, exists, alter=True)
        return s.Alter(kind, name, tuple(self._changes(kind)), exists, position)

    def _changes(self, kind: str) -> list[s.Change]:
        at = self.here
        word = self.expect_any("ADD", "MODIFY", "DROP", "RENAME", "SET", "RESET", "AS", "COMMENT")
        match word:
            case "SET":
                self.take_any("OPTIONS")
                return [s.Change("set", options=self.options(), position=at)]
            case "RESET":
                self.take_any("OPTIONS")
                return [s.Change("reset", tuple(self.parenthesised(self.string)), position=at)]
            case "COMMENT":
                return [s.Change("comment", (self.string(),), position=at)]
            case "AS":
                start = self.here
                query = self.query()
                text = self.slice(start)
                return [s.Change("as", query=query, query_text=text, position=at)]
            case "RENAME":
                if self.take("TO"):
                    return [s.Change("rename", self.path(), position=at)]
                old = self.name("a column")
                self.expect("TO")
                return [s.Change("rename column", (old, self.name("a column")), position=at)]
            case "DROP":
                return self._dropped(at)
            case _:
                how = word.lower()
                self.take("COLUMN")
                if self.take("("):
                    return self.listed(lambda: self._added(how))
                return [self._added(how)]

    def _dropped(self, at: int) -> list[s.Change]:
        if self.take("PRIMARY", "KEY"):
            return [s.Change("drop key", position=at)]
        if self.take("CONSTRAINT"):
            return [s.Change("drop key", (self.name(),), position=at)]
        if self.take("WATERMARK"):
            return [s.Change("drop watermark", position=at)]
        if self.take("DISTRIBUTION"):
            return [s.Change("drop distribution", position=at)]
        if self.peek("PARTITION"):
            self.fail("ALTER TABLE ... DROP PARTITION is not supported", _PARTITIONS)
        self.take("COLUMN")
        names = self.parenthesised(self.name) if self.peek("(") else [self.name("a column")]
        return [s.Change("drop column", tuple(names), position=at)]

    def _added(self, how: str) -> s.Change:
        at = self.here
        if self.peek("WATERMARK", "FOR"):
            return s.Change(f"{how} watermark", watermark=self.watermark(), position=at)
        if self.peek("PRIMARY", "KEY") or self.peek("CONSTRAINT"):
            name, columns = self.key()
            return s.Change(f"{how} key", (name, *columns), position=at)
        if self.peek("PARTITION"):
            self.fail("ALTER TABLE ... ADD PARTITION is not supported", _PARTITIONS)
        if self.peek("DISTRIBUTION") and self.word(1) in {"BY", "INTO"}:
            return s.Change(f"{how} distribution", (self._distribution(),), position=at)
        column = self.column()
        first = self.take("FIRST")
        after = self.name("a column") if not first and self.take("AFTER") else ""
        return s.Change(
            f"{how} column", (column.name,), column=column, after=after, first=first, position=at
        )


class _Elements:
    """What stands in the parentheses of CREATE TABLE."""

    def __init__(self) -> None:
        self.columns: list[s.ColumnDefinition] = []
        self.bare: list[str] = []
        self.watermark: s.WatermarkDefinition | None = None
        self.key: tuple[str, ...] = ()
        self.key_name = ""
