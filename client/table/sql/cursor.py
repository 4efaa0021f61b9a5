"""A reader of tokens: what all parts of the grammar stand on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from string import hexdigits
from typing import Any, Final, NoReturn, TypeVar

from lesto.client.table.errors import SqlSyntaxError
from lesto.client.table.sql.trees import Token, TokenType, exp
from lesto.common.errors import did_you_mean

T = TypeVar("T")

#: Words that cannot be names without backticks: those that end or begin clauses.
RESERVED: Final = frozenset(
    [
        "ALL",
        "AND",
        "ANY",
        "AS",
        "BETWEEN",
        "BY",
        "CASE",
        "CAST",
        "CROSS",
        "CUBE",
        "DISTINCT",
        "ELSE",
        "END",
        "EXCEPT",
        "EXISTS",
        "FALSE",
        "FETCH",
        "FILTER",
        "FOR",
        "FROM",
        "FULL",
        "GROUP",
        "GROUPING",
        "HAVING",
        "IN",
        "INNER",
        "INSERT",
        "INTERSECT",
        "INTERVAL",
        "INTO",
        "IS",
        "JOIN",
        "LATERAL",
        "LEFT",
        "LIKE",
        "LIMIT",
        "MATCH_RECOGNIZE",
        "MINUS",
        "NATURAL",
        "NOT",
        "NULL",
        "OFFSET",
        "ON",
        "OR",
        "ORDER",
        "OUTER",
        "OVER",
        "PARTITION",
        "QUALIFY",
        "RIGHT",
        "ROLLUP",
        "SELECT",
        "SET",
        "TABLE",
        "TABLESAMPLE",
        "THEN",
        "TRUE",
        "UNION",
        "UNNEST",
        "USING",
        "VALUES",
        "WHEN",
        "WHERE",
        "WINDOW",
        "WITH",
        "WITHIN",
    ]
)
_TEXTS: Final = {TokenType.STRING, TokenType.NATIONAL_STRING, TokenType.UNICODE_STRING}
_VALUES: Final = {
    *_TEXTS,
    TokenType.HEX_STRING,
    TokenType.NUMBER,
    TokenType.IDENTIFIER,
}


class Cursor:
    """Reads tokens one after the other.

    Args:
        tokens: of the whole text.
        text: the text, for positions and messages.
    """

    def __init__(self, tokens: Sequence[Token], text: str) -> None:
        self.tokens = list(tokens)
        self.text = text
        self.at = 0
        self._furthest = 0

    # ------------------------------------------------------------------ looking

    @property
    def done(self) -> bool:
        """Whether all tokens are read."""
        return self.at >= len(self.tokens)

    def token(self, ahead: int = 0) -> Token | None:
        """The token that comes, or one after it; None behind the end."""
        at = self.at + ahead
        return self.tokens[at] if 0 <= at < len(self.tokens) else None

    def word(self, ahead: int = 0) -> str:
        """The word or sign that comes, in capitals; empty if it is a value or a quoted name."""
        token = self.token(ahead)
        return "" if token is None or token.token_type in _VALUES else str(token.text).upper()

    def peek(self, *words: str) -> bool:
        """Whether these words and signs come."""
        return all(self.word(i) == w for i, w in enumerate(words))

    def peek_any(self, *words: str) -> bool:
        """Whether one of these words or signs comes."""
        return self.word() in words

    @property
    def here(self) -> int:
        """Offset of what comes."""
        token = self.token()
        return len(self.text.rstrip()) if token is None else int(token.start)

    @property
    def behind(self) -> int:
        """Offset after what was read last."""
        return int(self.tokens[self.at - 1].end) + 1 if self.at else 0

    # ------------------------------------------------------------------ reading

    def take(self, *words: str) -> bool:
        """Read these words if they come."""
        if self.peek(*words):
            self.at += len(words)
            return True
        return False

    def take_any(self, *words: str) -> str:
        """Read one of these words if it comes, and return it."""
        word = self.word()
        if word and word in words:
            self.at += 1
            return word
        return ""

    def expect(self, *words: str) -> None:
        """Read these words.

        Raises:
            SqlSyntaxError: something else comes.
        """
        for word in words:
            if not self.take(word):
                self.fail(f"expected {word}", nearest=word)

    def expect_any(self, *words: str) -> str:
        """Read one of these words and return it.

        Raises:
            SqlSyntaxError: something else comes.
        """
        found = self.take_any(*words)
        if not found:
            self.fail(f"expected {', '.join(words[:-1])} or {words[-1]}", nearest=words)
        return found

    def is_name(self, ahead: int = 0) -> bool:
        """Whether a name comes: quoted, or a word that is not reserved."""
        token = self.token(ahead)
        if token is None:
            return False
        if token.token_type is TokenType.IDENTIFIER:
            return True
        return token.token_type is TokenType.VAR and str(token.text).upper() not in RESERVED

    def identifier(self, what: str = "a name") -> exp.Identifier:
        """Read a name.

        Raises:
            SqlSyntaxError: something else comes.
        """
        token = self.token()
        if token is None or not self.is_name():
            word = self.word()
            if word in RESERVED:
                self.fail(
                    f"{word} is a word of SQL, and {what} is expected", f"write `{word.lower()}`"
                )
            self.fail(f"expected {what}")
        self.at += 1
        quoted = token.token_type is TokenType.IDENTIFIER
        found = exp.Identifier(this=str(token.text), quoted=quoted)
        self.mark(found, int(token.start))
        return found

    def name(self, what: str = "a name") -> str:
        """Read a name and return its text."""
        return str(self.identifier(what).this)

    def path(self, what: str = "a name") -> tuple[str, ...]:
        """Read ``a.b.c``."""
        found = [self.name(what)]
        while self.take("."):
            found.append(self.name(what))
        return tuple(found)

    def string(self, what: str = "a text in single quotes") -> str:
        """Read a string literal and return its value.

        Raises:
            SqlSyntaxError: something else comes.
        """
        token = self.token()
        if token is None or token.token_type not in _TEXTS:
            self.fail(f"expected {what}")
        try:
            value = string_value(token)
        except ValueError:
            self.fail(
                "an escape in U&'...' is no character",
                "write \\ and four hexadecimal digits, \\+ and six, or \\\\ for the sign itself",
            )
        self.at += 1
        return value

    def is_string(self) -> bool:
        """Whether a string literal comes."""
        token = self.token()
        return token is not None and token.token_type in _TEXTS

    def integer(self, what: str = "a whole number") -> int:
        """Read a number without a point.

        Raises:
            SqlSyntaxError: something else comes.
        """
        token = self.token()
        if token is None or token.token_type is not TokenType.NUMBER or not token.text.isdigit():
            self.fail(f"expected {what}")
        self.at += 1
        return int(token.text)

    def listed(self, item: Callable[[], T], close: str = ")") -> list[T]:
        """Read items with commas between them, to a closing sign."""
        found = [item()]
        while self.take(","):
            found.append(item())
        self.expect(close)
        return found

    def parenthesised(self, item: Callable[[], T]) -> list[T]:
        """Read ``(item, item, ...)``."""
        self.expect("(")
        return self.listed(item)

    # ------------------------------------------------------------------ helping

    def mark(self, node: Any, start: int) -> Any:
        """Note where a node stands: from an offset to what was read last."""
        node.meta["start"] = start
        node.meta["end"] = self.behind
        return node

    def fail(self, what: str, remedy: str = "", nearest: str | Sequence[str] = ()) -> NoReturn:
        """Raise a syntax error at what comes.

        Raises:
            SqlSyntaxError: always.
        """
        token = self.token()
        words = [nearest] if isinstance(nearest, str) else list(nearest)
        word = self.word()
        # A word of those that may come, which is at fault by what follows it.
        meant = did_you_mean(word, words) if word and word not in words else ""
        found = "the end of the statement" if token is None else f"{self._shown(token)}"
        msg = f"{what}, found {found}{meant}"
        if not remedy and word == '"':
            remedy = "quote names by ` and texts by '"
        raise SqlSyntaxError(msg, remedy=remedy, text=self.text, offset=self.here)

    def _shown(self, token: Token) -> str:
        return repr(self.text[token.start : token.end + 1])

    def slice(self, start: int) -> str:
        """The text from an offset to what was read last."""
        return self.text[start : self.behind]

    def type_text(self) -> str:
        """Read a data type and return its text, which ``parse_type`` reads."""
        start = self.here
        self._one_type()
        while True:
            if self.take_any("ARRAY", "MULTISET", "NULL"):
                continue
            if not self.take("NOT", "NULL"):
                return self.slice(start)

    def _one_type(self) -> None:
        if not self.word().isidentifier():
            self.fail("expected a data type")
        word = self.word()
        self.at += 1
        if word in {"ARRAY", "MAP", "MULTISET", "ROW"} and self.peek_any("<", "<>"):
            self._balanced("<", ">")
        elif word == "INTERVAL":
            self._interval_type()
        else:
            self.take_any("PRECISION", "VARYING")
            if self.peek("("):
                self._balanced("(", ")")
            self.take("WITH", "LOCAL", "TIME", "ZONE")
            self.take("WITH", "TIME", "ZONE")
            self.take("WITHOUT", "TIME", "ZONE")

    def _interval_type(self) -> None:
        self.at += 1
        if self.peek("("):
            self._balanced("(", ")")
        if self.take("TO"):
            self.at += 1
            if self.peek("("):
                self._balanced("(", ")")

    def _balanced(self, opening: str, closing: str) -> None:
        depth = 0
        if self.take("<>"):
            return
        while True:
            if self.done:
                self.fail(f"expected {closing}")
            depth += (self.word() == opening) - (self.word() == closing)
            self.at += 1
            if not depth:
                return


def string_value(token: Token) -> str:
    """The value of a string token; of ``U&'...'`` with its escapes read.

    Raises:
        ValueError: an escape is no character.
    """
    text = str(token.text)
    if token.token_type is not TokenType.UNICODE_STRING:
        return text
    found: list[str] = []
    at = 0
    while at < len(text):
        if text[at] != "\\":
            found.append(text[at])
            at += 1
        elif text[at + 1 : at + 2] == "\\":
            found.append("\\")
            at += 2
        else:
            digits = 6 if text[at + 1 : at + 2] == "+" else 4
            begin = at + 1 + (digits == 6)
            code = text[begin : begin + digits]
            if len(code) < digits or not set(code) <= set(hexdigits):
                raise ValueError(code)
            character = chr(int(code, 16))
            character.encode()  # half of a pair is none
            found.append(character)
            at = begin + digits
    return "".join(found)
