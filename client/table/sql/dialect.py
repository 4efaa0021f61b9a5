"""Flink's SQL as a dialect of sqlglot: ``sqlglot.parse_one(text, dialect="flink")``.

The grammar is Lesto's own and strict; the trees of queries are sqlglot's, so that its tools
(formatting, lineage, transpiling) work on them. Statements that are no queries come as
:class:`~lesto.client.table.sql.trees.FlinkStatement`.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from sqlglot import generator, parser, tokens
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import TokenError

from lesto.client.table.errors import SqlSyntaxError
from lesto.client.table.sql import statements as s
from lesto.client.table.sql.grammar import Grammar
from lesto.client.table.sql.trees import (
    FlinkStatement,
    NamedArgument,
    RowPattern,
    TableArgument,
    Token,
    TokenType,
    TypedLiteral,
    Words,
    exp,
)


class FlinkTokenizer(tokens.Tokenizer):
    """Words are words: which of them are reserved is the grammar's business."""

    IDENTIFIERS: ClassVar[list[Any]] = ["`"]
    QUOTES: ClassVar[list[Any]] = ["'"]
    STRING_ESCAPES: ClassVar[list[str]] = ["'"]
    UNICODE_STRINGS: ClassVar[list[Any]] = [("U&'", "'"), ("u&'", "'")]
    HEX_STRINGS: ClassVar[list[Any]] = [("X'", "'"), ("x'", "'")]
    TOKENS_PRECEDING_HINT: ClassVar[set[TokenType]] = {
        TokenType.VAR,
        TokenType.IDENTIFIER,
        TokenType.R_PAREN,
    }
    KEYWORDS: ClassVar[dict[str, TokenType]] = {
        "||": TokenType.DPIPE,
        "<>": TokenType.NEQ,
        "!=": TokenType.NEQ,
        "<=": TokenType.LTE,
        ">=": TokenType.GTE,
        "=>": TokenType.FARROW,
        "/*+": TokenType.HINT,
    }


class FlinkParser(parser.Parser):
    """Hands the tokens to Lesto's grammar."""

    def parse(self, raw_tokens: list[Token], sql: str) -> list[exp.Expr | None]:
        """Read the statements of a text.

        Raises:
            SqlSyntaxError: the text is not Flink's SQL.
        """
        return [_tree(parsed) for parsed in Grammar(_with_hints(raw_tokens), sql).script()]


def _with_hints(given: list[Token]) -> list[Token]:
    """Hints come as one token each: put the tokens within in their place."""
    found: list[Token] = []
    for token in given:
        if token.token_type is not TokenType.HINT:
            found.append(token)
            continue
        inner = token.text.removeprefix("/*+").removesuffix("*/")
        shift = token.start + 3
        found.append(Token(TokenType.HINT, "/*+", start=token.start, end=token.start + 2))
        found.extend(
            Token(t.token_type, t.text, start=t.start + shift, end=t.end + shift)
            for t in Flink().tokenize(inner)
        )
        found.append(Token(TokenType.HINT, "*/", start=token.end - 1, end=token.end))
    return found


def _tree(parsed: s.Parsed) -> exp.Expression:
    statement = parsed.statement
    if isinstance(statement, s.QueryStatement):
        return statement.query  # type: ignore[no-any-return]
    word, _, rest = parsed.sql.partition(" ")
    return FlinkStatement(this=word, expression=rest, statement=statement)


def _typed(_: Any, node: exp.Expression) -> str:
    return f"{node.this} {node.expression.sql('flink')}"


def _named(_: Any, node: exp.Expression) -> str:
    return f"{node.this.sql('flink')} => {node.expression.sql('flink')}"


def _table_argument(_: Any, node: exp.Expression) -> str:
    return f"TABLE {node.this.sql('flink')}"


def _lateral(_: Any, node: exp.Expression) -> str:
    inner = node.this.sql("flink")
    body = inner if isinstance(node.this, exp.Subquery) else f"TABLE({inner})"
    alias = node.args.get("alias")
    return f"LATERAL {body}" + (f" AS {alias.sql('flink')}" if alias else "")


def _trim(_: Any, node: exp.Expression) -> str:
    what = node.args.get("expression")
    middle = f"{what.sql('flink')} FROM" if what else "FROM"
    return f"TRIM({node.args['position']} {middle} {node.this.sql('flink')})"


def _pattern(_: Any, node: exp.Expression) -> str:
    return f"{node.this.sql('flink')} MATCH_RECOGNIZE {node.args['body']}"


class FlinkGenerator(generator.Generator):
    """Writes trees as Flink reads them."""

    TRANSFORMS: ClassVar[dict[Any, Any]] = {
        **generator.Generator.TRANSFORMS,
        TypedLiteral: _typed,
        NamedArgument: _named,
        RowPattern: _pattern,
        exp.Lateral: _lateral,
        exp.Trim: _trim,
        TableArgument: _table_argument,
        Words: lambda _, node: str(node.this),
        exp.DataType: lambda _, node: str(node.args["kind"]),
        FlinkStatement: lambda _, node: f"{node.this} {node.args['expression']}",
        exp.Version: lambda _, node: f"FOR SYSTEM_TIME AS OF {node.expression.sql('flink')}",
    }


class Flink(Dialect):
    """The dialect ``flink``."""

    Tokenizer = FlinkTokenizer
    Parser = FlinkParser
    Generator = FlinkGenerator


#: Half of a surrogate pair: Python's texts may hold one, UTF-8 cannot.
_HALF = re.compile("[\ud800-\udfff]")


def _grammar(text: str) -> Grammar:
    half = _HALF.search(text)
    if half is not None:
        msg = f"U+{ord(half[0]):04X} is half of a character"
        raise SqlSyntaxError(
            msg, remedy="write the whole character", text=text, offset=half.start()
        )
    try:
        found = Flink().tokenize(text)
    except TokenError as error:
        if "Numeric string" in str(error.__cause__):
            at = text.upper().find("X'")
            msg = "a binary literal has hexadecimal digits alone"
            raise SqlSyntaxError(msg, remedy="write X'0A1B'", text=text, offset=at) from error
        quote = max(text.rfind("'"), text.rfind("`"), 0)
        msg = "a quote or comment is not closed"
        raise SqlSyntaxError(msg, remedy="close it", text=text, offset=quote) from error
    return Grammar(_with_hints(found), text)


def parse_script(text: str) -> list[s.Parsed]:
    """The statements of a script, which semicolons separate.

    Raises:
        SqlSyntaxError: one cannot be read.
    """
    try:
        return _grammar(text).script()
    except RecursionError:
        msg = "the statement is nested too deeply"
        raise SqlSyntaxError(
            msg, remedy="use views for the parts within", text=text, offset=0
        ) from None


def parse_statement(text: str) -> s.Parsed:
    """The one statement of a text; a semicolon may end it.

    Raises:
        SqlSyntaxError: it cannot be read, is none, or more than one.
    """
    found = parse_script(text)
    if len(found) != 1:
        what = "there is no statement" if not found else f"there are {len(found)} statements"
        msg = f"{what} in the text, and one is expected"
        raise SqlSyntaxError(
            msg,
            remedy="run scripts by `lesto sql -f`" if found else "write a statement",
            text=text,
            offset=found[1].start if found else 0,
        )
    return found[0]


def parse_expression(text: str) -> exp.Expression:
    """An expression on its own, as of a computed column kept in a catalog.

    Raises:
        SqlSyntaxError: it cannot be read.
    """
    grammar = _grammar(text)
    found = grammar.expression()
    if not grammar.done:
        grammar.fail("expected the end of the expression")
    return found  # type: ignore[no-any-return]


def words_of(text: str) -> list[str] | None:
    """Words and signs in capitals, ``'`` for each string; None where a quote is not closed.

    >>> words_of("select 'a;' ;"), words_of("select 'a")
    (['SELECT', "'", ';'], None)
    """
    try:
        found = Flink().tokenize(text)
    except TokenError:
        return None
    return ["'" if t.token_type is TokenType.STRING else str(t.text).upper() for t in found]


def parse_path(text: str) -> s.Path:
    """A name of one to three parts, as programs give it: ``db.t`` or ``db.`order```.

    Raises:
        SqlSyntaxError: it is none.
    """
    grammar = _grammar(text)
    found = grammar.path("a name")
    if not grammar.done:
        grammar.fail(
            "expected the end of the name", "put names with other characters in `backticks`"
        )
    return found


def split_script(text: str) -> list[tuple[int, int]]:
    """Where the statements of a script stand, without reading them: start and end offsets.

    >>> split_script("SELECT ';' ; EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1; END;")
    [(0, 10), (13, 68)]
    """
    found: list[tuple[int, int]] = []
    start, end, inside = -1, 0, False
    words: list[str] = []
    for token in Flink().tokenize(text):
        semicolon = token.token_type is TokenType.SEMICOLON
        if semicolon and not inside:
            if start >= 0:
                found.append((start, end))
            start = -1
            continue
        start = int(token.start) if start < 0 else start
        end = int(token.end) + 1
        words = [*words[-2:], ";" if semicolon else str(token.text).upper()]
        if words in (["STATEMENT", "SET", "BEGIN"], ["BEGIN", "STATEMENT", "SET"]):
            inside = True
        elif words[-2:] == [";", "END"]:  # the END of a CASE has no semicolon before it
            inside = False
    if start >= 0:
        found.append((start, end))
    return found
