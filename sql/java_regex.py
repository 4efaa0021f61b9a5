r"""Java's regular expressions in Python's syntax, and in RE2's (Arrow's) where that means the same.

What neither has (intersections of classes, ``\G``, ``\X``, flags in the middle) is an error by
name.

>>> java_regex(r"\p{Alpha}+(?<n>\d)").python.pattern
'[a-zA-Z]+(?P<n>\\d)'
>>> java_regex("a++b").re2 is None, java_regex("(a|b)c").re2
(True, '(?P<g1>a|b)c')
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from typing import Final, NoReturn

from lesto.sql.errors import InvalidPatternError, MalformedPatternError

#: Java's dot leaves out all of its line ends; so must the dot of the others.
_DOT: Final = r"[^\n\r\u0085\u2028\u2029]"
_DOT_RE2: Final = r"[^\n\r\x{85}\x{2028}\x{2029}]"
_POSIX: Final = {
    "Lower": "a-z",
    "Upper": "A-Z",
    "ASCII": r"\x00-\x7F",
    "Alpha": "a-zA-Z",
    "Digit": "0-9",
    "Alnum": "a-zA-Z0-9",
    "Punct": r"!-/:-@\[-`{-~",
    "Graph": "!-~",
    "Print": " -~",
    "Blank": r" \t",
    "Cntrl": r"\x00-\x1F\x7F",
    "XDigit": "0-9a-fA-F",
    "Space": r" \t\n\x0B\f\r",
}
_SPACE: Final = {"h": r" \t\xA0", "v": r"\n\x0B\f\r\x85"}
_SAME: Final = frozenset("dDwWsSbBtnrf")
_QUANTIFIER: Final = re.compile(r"[*+?]|\{\d+(?:,\d*)?\}")
_FLAGS: Final = re.compile(r"\(\?([a-zA-Z]+)\)")


@dataclass(slots=True)
class JavaRegex:
    """A translated pattern.

    Attributes:
        python: compiled for Python.
        re2: for Arrow, each group with a name g1, g2, ...; None if RE2 differs.
        certain: numbers of the groups that take part in every match.
        ends: whether ``$`` occurs, which RE2 reads differently before a last line end.
    """

    python: re.Pattern[str]
    re2: str | None
    certain: frozenset[int]
    ends: bool


@dataclass(slots=True)
class _Group:
    number: int  # 0 for one that captures nothing
    parent: _Group | None
    optional: bool = False
    alternatives: bool = False


@dataclass(slots=True)
class _Scanner:
    text: str
    at: int = 0
    python: list[str] = field(default_factory=list)
    re2: list[str] = field(default_factory=list)
    re2_ok: bool = True
    ends: bool = False
    dot_all: bool = False
    groups: list[_Group] = field(default_factory=list)
    open: list[_Group] = field(default_factory=list)
    captured: int = 0

    def fail(self, what: str) -> NoReturn:
        msg = f"the regular expression {self.text!r} has {what} at character {self.at + 1}"
        raise InvalidPatternError(msg, remedy="write it without")

    def put(self, python: str, re2: str | None = None) -> None:
        self.python.append(python)
        self.re2.append(python if re2 is None else re2)

    def run(self) -> None:
        """Translate everything."""
        flags = _FLAGS.match(self.text)
        if flags:
            self.flags(flags[1])
            self.at = flags.end()
        while self.at < len(self.text):
            self.step()

    def flags(self, letters: str) -> None:
        if set(letters) - set("imsx"):
            self.fail(f"flags {letters!r}, of which Lesto has i, m, s and x,")
        self.dot_all = "s" in letters
        kept = letters.replace("s", "")
        if "x" in kept or "m" in kept:
            self.re2_ok = False
        if kept:
            self.put(f"(?{kept})")

    def step(self) -> None:
        c = self.text[self.at]
        if c == "\\":
            self.escape(in_class=False)
        elif c == "[":
            self.char_class()
        elif c == "(":
            self.group()
        elif c == ")":
            self.close()
        elif c == ".":
            self.put("." if self.dot_all else _DOT, r"(?s:.)" if self.dot_all else _DOT_RE2)
            if self.dot_all:
                self.python[-1] = r"[\s\S]"
            self.at += 1
        elif c == "$":
            self.ends = True
            self.put("$")
            self.at += 1
        elif c == "|":
            self.alternative()
            self.put("|")
            self.at += 1
        elif quantifier := _QUANTIFIER.match(self.text, self.at):
            self.quantify(quantifier[0])
        else:
            self.put(re.escape(c) if c in "{}" else c)
            self.at += 1

    def alternative(self) -> None:
        if self.open:
            self.open[-1].alternatives = True
        else:
            self.groups.append(_Group(-1, None, alternatives=True))

    def quantify(self, quantifier: str) -> None:
        self.at += len(quantifier)
        self.put(quantifier)
        if self.text[self.at : self.at + 1] == "+":
            self.put("+")
            self.re2_ok = False
            self.at += 1

    def group(self) -> None:
        rest = self.text[self.at :]
        number = 0
        if not rest.startswith("(?"):
            self.captured += 1
            number = self.captured
            self.put("(", f"(?P<g{number}>")
            self.at += 1
        elif named := re.match(r"\(\?<([a-zA-Z][a-zA-Z0-9]*)>", rest):
            self.captured += 1
            number = self.captured
            self.put(f"(?P<{named[1]}>", f"(?P<g{number}>")
            self.at += named.end()
        elif opening := re.match(r"\(\?(:|=|!|<=|<!|>)", rest):
            self.put(opening[0])
            self.re2_ok = self.re2_ok and opening[1] == ":"
            self.at += opening.end()
        elif scoped := re.match(r"\(\?([is]+):", rest):
            self.put(scoped[0])
            if "s" in scoped[1]:
                self.fail("the flag s in the middle")
            self.at += scoped.end()
        else:
            self.fail(f"{rest[:4]!r}, which Lesto does not have,")
        parent = self.open[-1] if self.open else None
        made = _Group(number, parent)
        self.groups.append(made)
        self.open.append(made)

    def close(self) -> None:
        if not self.open:
            self.fail("a closing parenthesis without an opening one")
        self.put(")")
        self.at += 1
        closed = self.open.pop()
        found = _QUANTIFIER.match(self.text, self.at)
        if found and (found[0] in "*?" or found[0].startswith(("{0", "{,"))):
            closed.optional = True

    def escape(self, *, in_class: bool) -> None:
        self.at += 1
        if self.at >= len(self.text):
            self.fail("a lone backslash")
        c = self.text[self.at]
        self.at += 1
        if c in _SAME:
            if c == "b" and in_class:
                self.fail("\\b in a class")
            # Java's \s has the vertical tab, RE2's has not.
            self.put("\\" + c, r"[\s\x0B]" if c == "s" and not in_class else "\\" + c)
            if c == "S" or (c == "s" and in_class):
                self.re2_ok = False
        elif c == "Q":
            end = self.text.find("\\E", self.at)
            quoted = self.text[self.at : end if end >= 0 else len(self.text)]
            self.put(re.escape(quoted))
            self.at = len(self.text) if end < 0 else end + 2
        elif c in "pP":
            self.property(negated=c == "P", in_class=in_class)
        elif c in _SPACE:
            self.put(_SPACE[c] if in_class else f"[{_SPACE[c]}]")
        elif c in "xu":
            self.code_point(c)
        elif c == "k" or c.isdigit():
            self.reference(c)
        elif c in "AzZ" and not in_class:
            self.anchor(c)
        elif c == "R" and not in_class:
            self.put(r"(?:\r\n|[\n\x0B\f\r\x85\u2028\u2029])")
            self.re2_ok = False
        elif c in {"a", "e"}:
            self.put({"a": r"\x07", "e": r"\x1B"}[c])
        elif c.isalpha():
            self.fail(f"\\{c}, which Lesto does not have,")
        else:
            self.put("\\" + c)

    def anchor(self, c: str) -> None:
        self.put({"A": r"\A", "z": r"\Z", "Z": r"(?=\n?\Z)"}[c], {"A": r"\A"}.get(c, r"\z"))
        self.re2_ok = self.re2_ok and c != "Z"

    def property(self, *, negated: bool, in_class: bool) -> None:
        found = re.match(r"\{(\w+)\}", self.text[self.at :])
        ranges = _POSIX.get(found[1]) if found else None
        if found is None or ranges is None or (negated and in_class):
            self.fail(f"a property other than {', '.join(_POSIX)}")
        self.at += found.end()
        self.put(ranges if in_class else f"[{'^' if negated else ''}{ranges}]")

    def code_point(self, c: str) -> None:
        found = re.compile(rf"\{{([0-9a-fA-F]+)\}}|([0-9a-fA-F]{{{2 if c == 'x' else 4}}})").match(
            self.text, self.at
        )
        if found is None:
            self.fail(f"a malformed \\{c}")
        self.at = found.end()
        code = int(found[1] or found[2], 16)
        self.put(f"\\U{code:08x}", f"\\x{{{code:x}}}")

    def reference(self, c: str) -> None:
        self.re2_ok = False
        if c == "0":
            self.fail("an octal escape")
        if c == "k":
            found = re.match(r"<(\w+)>", self.text[self.at :])
            if found is None:
                self.fail("a malformed \\k")
            self.at += found.end()
            self.put(f"(?P={found[1]})")
        else:
            self.put("\\" + c)

    def char_class(self) -> None:
        self.put("[")
        self.at += 1
        if self.text[self.at : self.at + 1] == "^":
            self.put("^")
            self.at += 1
        first = True
        while self.at < len(self.text):
            c = self.text[self.at]
            if c == "]" and not first:
                self.put("]")
                self.at += 1
                return
            first = False
            if c == "\\":
                self.escape(in_class=True)
            elif c == "[" or self.text.startswith("&&", self.at):
                self.fail("a class within a class, or an intersection,")
            else:
                self.put("\\" + c if c in "]~|&" else c)
                self.at += 1
        self.fail("a class without its end")

    def certain(self) -> frozenset[int]:
        top = any(g.number < 0 for g in self.groups)
        found: set[int] = set()
        for g in self.groups:
            parent, sure = g.parent, not g.optional and not top
            while parent is not None and sure:
                sure = not (parent.optional or parent.alternatives)
                parent = parent.parent
            if sure and g.number > 0:
                found.add(g.number)
        return frozenset(found)


@functools.lru_cache(maxsize=1024)
def java_regex(pattern: str) -> JavaRegex:
    """Translate a Java regular expression.

    Raises:
        InvalidPatternError: it is malformed, or has what Lesto does not translate.
    """
    scanner = _Scanner(pattern)
    scanner.run()
    try:
        python = re.compile("".join(scanner.python), re.ASCII)
    except re.error as cause:
        msg = f"the regular expression {pattern!r} is malformed: {cause}"
        raise MalformedPatternError(msg, remedy="write it in Java's syntax") from cause
    re2 = "".join(scanner.re2) if scanner.re2_ok else None
    return JavaRegex(python, re2, scanner.certain(), scanner.ends)


_SIMILAR_CLASSES: Final = {
    "[:ALPHA:]": r"\p{Alpha}",
    "[:UPPER:]": r"\p{Upper}",
    "[:LOWER:]": r"\p{Lower}",
    "[:DIGIT:]": r"\d",
    "[:SPACE:]": " ",
    "[:WHITESPACE:]": r"\s",
    "[:ALNUM:]": r"\p{Alnum}",
}


def like_to_regex(pattern: str, escape: str | None) -> str:
    r"""LIKE as a regular expression for a whole text, without its anchors.

    >>> like_to_regex("a%_\\%", "\\")
    'a[\\s\\S]*[\\s\\S]%'

    Raises:
        InvalidPatternError: the escape is not one character, or stands before an ordinary one.
    """
    out: list[str] = []
    i = 0
    escape = one_escape(escape)
    while i < len(pattern):
        c = pattern[i]
        if c == escape:
            if i + 1 >= len(pattern) or pattern[i + 1] not in {"%", "_", escape}:
                msg = f"the escape {escape!r} in {pattern!r} stands before no %, _ or itself"
                raise InvalidPatternError(msg, remedy="double the escape character")
            out.append(re.escape(pattern[i + 1]))
            i += 1
        elif c == "%":
            out.append(r"[\s\S]*")
        elif c == "_":
            out.append(r"[\s\S]")
        else:
            out.append(re.escape(c))
        i += 1
    return "".join(out)


def one_escape(escape: str | None) -> str | None:
    """The escape character, checked."""
    if escape is not None and len(escape) != 1:
        msg = f"an escape is one character, not {escape!r}"
        raise InvalidPatternError(msg, remedy="write ESCAPE '!'")
    return escape


def similar_to_regex(pattern: str, escape: str | None) -> str:
    """SIMILAR TO as a regular expression for a whole text.

    Raises:
        InvalidPatternError: the pattern is malformed.
    """
    out: list[str] = []
    i = 0
    escape = one_escape(escape)
    while i < len(pattern):
        c = pattern[i]
        if c == escape and i + 1 < len(pattern):
            out.append(re.escape(pattern[i + 1]))
            i += 1
        elif c == "%":
            out.append(r"[\s\S]*")
        elif c == "_":
            out.append(r"[\s\S]")
        elif c == "[":
            end = _class_end(pattern, i)
            out.append(_similar_class(pattern[i : end + 1]))
            i = end
        else:
            # . ^ and $ keep their meaning, as in the reference.
            out.append(r"\\" if c == "\\" else c)
        i += 1
    return java_regex("".join(out)).python.pattern


def _class_end(pattern: str, start: int) -> int:
    i = start + 1
    while i < len(pattern):
        if pattern.startswith("[:", i):
            i = pattern.find(":]", i) + 1
            if i == 0:
                break
        elif pattern[i] == "]" and i > start + 1:
            return i
        i += 1
    msg = f"a class in {pattern!r} has no end"
    raise InvalidPatternError(msg, remedy="close it with ]")


def _similar_class(text: str) -> str:
    for name, ranges in _SIMILAR_CLASSES.items():
        text = text.replace(name, ranges).replace(name.lower(), ranges)
    return text
