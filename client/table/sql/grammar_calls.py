"""The grammar of functions that have a syntax of their own: CAST, EXTRACT, TRIM, JSON_VALUE, ..."""

from __future__ import annotations

from typing import Any, Final

from lesto.client.table.sql.cursor import Cursor
from lesto.client.table.sql.trees import Words, exp

_JSON_ENDS: Final = ("ON", "WRAPPER")


class CallGrammar(Cursor):
    """Reads what stands in the parentheses of such functions."""

    def expression(self) -> Any:
        """Read an expression; :class:`.grammar_expressions.ExpressionGrammar` knows how."""
        raise NotImplementedError

    def sum(self) -> Any:
        """Read what binds tighter than comparisons."""
        raise NotImplementedError

    def _named(self, name: str, args: list[Any]) -> Any:
        return exp.Anonymous(this=name, expressions=args)

    def _time_unit(self) -> Any:
        token = self.token()
        word = self.word().removeprefix("SQL_TSI_")
        if token is None or not word.isidentifier():
            self.fail("expected a unit of time, such as DAY")
        self.at += 1
        return self.mark(Words(this=word), int(token.start))

    def _call_cast(self) -> Any:
        return self._cast(exp.Cast)

    def _call_try_cast(self) -> Any:
        return self._cast(exp.TryCast)

    def _cast(self, node: Any) -> Any:
        operand = self.expression()
        self.expect("AS")
        return node(this=operand, to=self._data_type())

    def _data_type(self) -> Any:
        start = self.here
        text = self.type_text()
        return self.mark(exp.DataType(this=exp.DataType.Type.USERDEFINED, kind=text), start)

    def _call_extract(self) -> Any:
        unit = self._time_unit()
        self.expect("FROM")
        return exp.Extract(this=exp.Var(this=unit.this), expression=self.expression())

    def _call_floor(self) -> Any:
        return self._rounded("FLOOR")

    def _call_ceil(self) -> Any:
        return self._rounded("CEIL")

    _call_ceiling = _call_ceil

    def _rounded(self, name: str) -> Any:
        args = [self.expression()]
        if self.take("TO"):
            args.append(self._time_unit())
        while self.take(","):
            args.append(self.expression())
        return self._named(name, args)

    def _call_trim(self) -> Any:
        where = self.take_any("BOTH", "LEADING", "TRAILING")
        if self.take("FROM"):
            return exp.Trim(this=self.expression(), position=where or "BOTH")
        first = self.expression()
        if self.take("FROM"):
            return exp.Trim(this=self.expression(), expression=first, position=where or "BOTH")
        return exp.Trim(this=first, position="BOTH")

    def _call_substring(self) -> Any:
        return self._keyworded("SUBSTRING", "FROM", "FOR")

    def _call_overlay(self) -> Any:
        return self._keyworded("OVERLAY", "PLACING", "FROM", "FOR")

    def _keyworded(self, name: str, *words: str) -> Any:
        args = [self.expression()]
        for word in words:
            if self.take(word) or self.take(","):
                args.append(self.expression())
        return self._named(name, args)

    def _call_position(self) -> Any:
        needle = self.sum()
        self.expect("IN")
        return self._named("POSITION", [needle, self.expression()])

    def _call_json_value(self) -> Any:
        return self._json("JSON_VALUE")

    def _call_json_query(self) -> Any:
        return self._json("JSON_QUERY")

    def _call_json_exists(self) -> Any:
        return self._json("JSON_EXISTS")

    def _json(self, name: str) -> Any:
        args = [self.expression()]
        self.expect(",")
        args.append(self.expression())
        while not self.peek(")"):
            if self.take("RETURNING"):
                # What follows a type here may begin with NULL, which must not end it.
                start = self.here
                self._one_type()
                args.append(Words(this=f"RETURNING {self.slice(start)}"))
            elif self.take("DEFAULT"):
                value = self.sum()
                self.expect("ON")
                args += [Words(this=f"DEFAULT ON {self.expect_any('EMPTY', 'ERROR')}"), value]
            else:
                args.append(self._json_words())
        return self._named(name, args)

    def _json_words(self) -> Any:
        words: list[str] = []
        while not words or words[-1] not in _JSON_ENDS:
            if not self.word().isidentifier():
                self.fail("expected ON EMPTY, ON ERROR or WRAPPER")
            words.append(self.word())
            self.at += 1
        if words[-1] == "ON":
            words.append(self.expect_any("EMPTY", "ERROR"))
        return Words(this=" ".join(words))

    def _call_json_object(self) -> Any:
        return self._json_pairs("JSON_OBJECT")

    def _call_json_objectagg(self) -> Any:
        return self._json_pairs("JSON_OBJECTAGG")

    def _json_pairs(self, name: str) -> Any:
        args: list[Any] = []
        while not self.peek(")"):
            if self.peek("NULL", "ON") or self.peek("ABSENT", "ON"):
                args.append(Words(this=f"{self.word()} ON NULL"))
                self.at += 2
                self.expect("NULL")
                break
            if args:
                self.expect(",")
            if self.word(1) not in {"VALUE", ":", ")"}:
                self.take("KEY")
            args.append(self.sum())
            if not self.take(":"):
                self.expect("VALUE")
            args.append(self.expression())
        return self._named(name, args)

    def _call_json_array(self) -> Any:
        args: list[Any] = []
        while not self.peek(")"):
            if self.peek("NULL", "ON") or self.peek("ABSENT", "ON"):
                args.append(Words(this=f"{self.word()} ON NULL"))
                self.at += 2
                self.expect("NULL")
                break
            if args:
                self.expect(",")
            args.append(self.expression())
        return self._named("JSON_ARRAY", args)
