"""Reads SQL expressions into bound trees: enough of the grammar for the examples of functions.

The front end has the real parser; this one keeps the tests of the ``sql`` room independent of it.
"""

import decimal
import re

from lesto.sql import literals
from lesto.sql.builder import call, case, cast, literal, symbol
from lesto.sql.type_parser import parse_type

TOKEN = re.compile(
    r"\s*(?:(?P<hex>[xX]'[0-9a-fA-F]*')|(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)"
    r"|(?P<word>[A-Za-z_][A-Za-z_0-9]*)|(?P<text>'(?:[^']|'')*')|`(?P<quoted>[^`]*)`"
    r"|(?P<sign><>|<=|>=|!=|==|\|\||[-+*/%=<>(),.\[\]]))"
)
COMPARISONS = {"=", "<>", "<", "<=", ">", ">=", "!=", "=="}
NO_PARENTHESES = {
    "CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "LOCALTIME", "LOCALTIMESTAMP",
}  # fmt: skip
JSON_ENDS = ("NULL", "ERROR", "DEFAULT", "EMPTY", "TRUE", "FALSE", "UNKNOWN", "ABSENT")


def parse(text, columns=None):
    """The bound expression; ``columns`` maps names to input references."""
    parser = Parser(text, columns or {})
    found = parser.expression()
    assert parser.at == len(parser.tokens), f"left over: {parser.tokens[parser.at :]} in {text}"
    return found


class Parser:
    def __init__(self, text, columns):
        self.text, self.columns = text, columns
        self.tokens, self.starts, position = [], [], 0
        text = text.rstrip()
        while position < len(text):
            match = TOKEN.match(text, position)
            assert match, f"unexpected {text[position:]!r}"
            self.tokens.append((match.lastgroup, match.group(match.lastgroup)))
            self.starts.append(match.start(match.lastgroup))
            position = match.end()
        self.at = 0

    def peek(self, *words):
        part = self.tokens[self.at : self.at + len(words)]
        return len(part) == len(words) and all(
            kind in {"word", "sign"} and value.upper() == word
            for (kind, value), word in zip(part, words, strict=True)
        )

    def take(self, *words):
        if self.peek(*words):
            self.at += len(words)
            return True
        return False

    def expect(self, word):
        assert self.take(word), f"expected {word} at {self.tokens[self.at :]} in {self.text}"

    def word(self):
        self.at += 1
        return self.tokens[self.at - 1][1].upper()

    def string(self):
        kind, value = self.tokens[self.at]
        assert kind == "text", value
        self.at += 1
        return value[1:-1].replace("''", "'")

    def expression(self):
        found = [self.conjunction()]
        while self.take("OR"):
            found.append(self.conjunction())
        return found[0] if len(found) == 1 else call("OR", found)

    def conjunction(self):
        found = [self.negation()]
        while self.take("AND"):
            found.append(self.negation())
        return found[0] if len(found) == 1 else call("AND", found)

    def negation(self):
        return call("NOT", [self.negation()]) if self.take("NOT") else self.comparison()

    def comparison(self):
        found = self.sum()
        while True:
            if self.tokens[self.at : self.at + 1] and self.tokens[self.at][1] in COMPARISONS:
                self.at += 1
                found = call(self.tokens[self.at - 1][1], [found, self.sum()])
            elif self.take("IS"):
                found = self.is_test(found)
            elif self.take("OVERLAPS"):
                right = self.sum()
                found = call("OVERLAPS", [*found.args, *right.args])
            else:
                negated = self.take("NOT")
                after = self.predicate(found, "NOT " if negated else "")
                if after is None:
                    assert not negated
                    return found
                found = after

    def is_test(self, found):
        name = "IS NOT " if self.take("NOT") else "IS "
        if self.take("DISTINCT", "FROM"):
            return call(name + "DISTINCT FROM", [found, self.sum()])
        word = self.word()
        if word == "JSON":
            kinds = ("VALUE", "SCALAR", "ARRAY", "OBJECT")
            kind = self.word() if any(map(self.peek, kinds)) else "VALUE"
            return call(name + "JSON", [found, symbol(kind)])
        return call(name + word, [found])

    def predicate(self, found, prefix):
        if self.take("BETWEEN"):
            name = prefix + "BETWEEN"
            if self.take("SYMMETRIC"):
                name += " SYMMETRIC"
            low = self.sum()
            self.expect("AND")
            return call(name, [found, low, self.sum()])
        if self.take("IN"):
            self.expect("(")
            return call(prefix + "IN", [found, *self.arguments(")")])
        for name, words in {"LIKE": ("LIKE",), "SIMILAR TO": ("SIMILAR", "TO")}.items():
            if self.take(*words):
                args = [found, self.sum()]
                if self.take("ESCAPE"):
                    args.append(self.sum())
                return call(prefix + name, args)
        return None

    def sum(self):
        found = self.product()
        while any(map(self.peek, "+-")) or self.peek("||"):
            sign = self.word()
            found = call(sign, [found, self.product()])
        return found

    def product(self):
        found = self.unary()
        while any(map(self.peek, "*/%")):
            sign = self.word()
            found = call(sign, [found, self.unary()])
        return found

    def unary(self):
        if self.take("-"):
            return call("-", [self.unary()])
        if self.take("+"):
            return self.unary()
        found = self.primary()
        while True:
            if self.take("["):
                found = call("ITEM", [found, self.expression()])
                self.expect("]")
            elif self.take("."):
                found = call("DOT", [found, literal(self.tokens[self.at][1])])
                self.at += 1
            else:
                return found

    def arguments(self, close):
        found = []
        while not self.take(close):
            if found:
                self.expect(",")
            found.append(self.expression())
        return found

    def primary(self):
        kind, value = self.tokens[self.at]
        if kind == "text":
            return literal(self.string())
        self.at += 1
        if kind == "number":
            if "e" in value.lower():
                return literal(float(value))
            return literal(decimal.Decimal(value) if "." in value else int(value))
        if kind == "hex":
            return literal(bytes.fromhex(value[2:-1]))
        if kind == "quoted":
            return self.columns[value]
        if value == "(":
            found = self.arguments(")")
            return found[0] if len(found) == 1 else call("ROW", found)
        return self.named(value)

    def named(self, value):
        name = value.upper()
        after = self.tokens[self.at] if self.at < len(self.tokens) else (None, "")
        if name in {"TRUE", "FALSE"}:
            return literal(name == "TRUE")
        if name == "NULL":
            return literal(None)
        if name in {"DATE", "TIME", "TIMESTAMP"} and after[0] == "text":
            return getattr(literals, f"{name.lower()}_literal")(self.string())
        if name == "INTERVAL" and after[0] == "text":
            return self.interval()
        if name == "CASE":
            return self.case()
        if name in {"ARRAY", "MAP"} and after[1] == "[":
            self.at += 1
            return call(name, self.arguments("]"))
        if name in NO_PARENTHESES:
            return call(name, [])
        if after[1] != "(":
            return self.columns[value]
        self.at += 1
        special = getattr(self, "call_" + name.lower(), None)
        return special() if special else call(name, self.arguments(")"))

    def interval(self):
        text, first = self.string(), self.word()
        last = ""
        if self.peek("("):
            self.at += 3
        if self.take("TO"):
            last = self.word()
        return literals.interval_literal(text, first, last)

    def case(self):
        operand = None if self.peek("WHEN") else self.expression()
        branches, otherwise = [], None
        while self.take("WHEN"):
            condition = self.expression()
            self.expect("THEN")
            if operand is not None:
                condition = call("=", [operand, condition])
            branches.append((condition, self.expression()))
        if self.take("ELSE"):
            otherwise = self.expression()
        self.expect("END")
        return case(branches, otherwise)

    def type_until(self, *ends):
        """The text of a type, to its closing parenthesis or a word that cannot belong to it."""
        start, depth = self.at, 0
        while depth or not (self.peek(")") or any(self.peek(*(e.split())) for e in ends)):
            depth += self.peek("(") - self.peek(")")
            self.at += 1
        return parse_type(self.text[self.starts[start] : self.starts[self.at]])

    def call_cast(self, attempt=False):
        operand = self.expression()
        self.expect("AS")
        kind = self.type_until()
        self.expect(")")
        return cast(operand, kind, attempt=attempt)

    def call_try_cast(self):
        return self.call_cast(attempt=True)

    def call_extract(self):
        unit = self.word()
        self.expect("FROM")
        return call("EXTRACT", [symbol(unit), *self.arguments(")")])

    def rounding(self, name):
        found = self.expression()
        if self.take("TO"):
            found = call(name, [found, symbol(self.word())])
            self.expect(")")
            return found
        return call(name, [found, *self.more()])

    def more(self):
        self.take(",")
        return self.arguments(")")

    def call_ceil(self):
        return self.rounding("CEIL")

    def call_floor(self):
        return self.rounding("FLOOR")

    def call_timestampadd(self):
        unit = self.word()
        self.expect(",")
        return call("TIMESTAMPADD", [symbol(unit), *self.arguments(")")])

    def call_timestampdiff(self):
        unit = self.word()
        self.expect(",")
        return call("TIMESTAMPDIFF", [symbol(unit), *self.arguments(")")])

    def call_trim(self):
        where = next((w for w in ("BOTH", "LEADING", "TRAILING") if self.take(w)), "BOTH")
        if self.take("FROM"):
            return call("TRIM", [symbol(where), literal(" "), *self.arguments(")")])
        first = self.expression()
        if self.take("FROM"):
            return call("TRIM", [symbol(where), first, *self.arguments(")")])
        self.expect(")")
        return call("TRIM", [symbol(where), literal(" "), first])

    def keyworded(self, name, *words):
        found = [self.expression()]
        for word in words:
            if self.take(word) or self.take(","):
                found.append(self.sum())
        self.expect(")")
        return call(name, found)

    def call_substring(self):
        return self.keyworded("SUBSTRING", "FROM", "FOR")

    def call_overlay(self):
        return self.keyworded("OVERLAY", "PLACING", "FROM", "FOR")

    def call_position(self):
        needle = self.sum()
        self.expect("IN")
        return call("POSITION", [needle, *self.arguments(")")])

    def json_options(self):
        """What follows the path: RETURNING type, wrappers, ... ON EMPTY, ... ON ERROR."""
        found = []
        while not self.take(")"):
            if self.take("RETURNING"):
                kind = self.type_until("WITH", "WITHOUT", *JSON_ENDS)
                found.append(symbol(f"RETURNING {kind.summary()}"))
            elif self.take("DEFAULT"):
                value = self.sum()
                self.expect("ON")
                found += [symbol(f"DEFAULT ON {self.word()}"), value]
            else:
                words = [self.word()]
                while words[-1] not in {"ON", "WRAPPER"}:
                    words.append(self.word())
                if words[-1] == "ON":
                    words.append(self.word())
                found.append(symbol(" ".join(words)))
        return found

    def json_path_call(self, name):
        document = self.expression()
        self.expect(",")
        path = self.expression()
        return call(name, [document, path, *self.json_options()])

    def call_json_value(self):
        return self.json_path_call("JSON_VALUE")

    def call_json_query(self):
        return self.json_path_call("JSON_QUERY")

    def call_json_exists(self):
        return self.json_path_call("JSON_EXISTS")

    def on_null(self):
        if any(self.peek(w, "ON", "NULL") for w in ("NULL", "ABSENT")):
            found = [symbol(f"{self.word()} ON NULL")]
            self.at += 2
            return found
        return []

    def call_json_object(self):
        found = []
        while not self.take(")"):
            if not (more := self.on_null()):
                if found:
                    self.expect(",")
                self.take("KEY")
                key = self.sum()
                self.expect("VALUE")
                more = [key, self.sum()]
            found += more
        return call("JSON_OBJECT", found)

    def call_json_array(self):
        found = []
        while not self.take(")"):
            if not (more := self.on_null()):
                if found:
                    self.expect(",")
                more = [self.sum()]
            found += more
        return call("JSON_ARRAY", found)
