"""JSON paths: ``lax`` or ``strict``, then ``$`` and steps.

Steps are ``.name``, ``['name']``, ``[0]``, ``[*]``, ``.*``, ``..name``, ``[0,1]`` and ``[0:2]``.

Filters (``[?(@.a > 1)]``), methods (``.length()``) and ``to`` ranges are errors by name.

>>> evaluate(json_path("$.a[0].b"), {"a": [{"b": 1}]})
Found(values=[1], definite=True)
>>> evaluate(json_path("lax $.a[*].b"), {"a": [{"b": 1}, {"b": 2}, {}]})
Found(values=[1, 2], definite=False)
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from lesto.sql.errors import InvalidPatternError

_MODE: Final = re.compile(r"\s*(?:(strict|lax)\s+)?(.*)$", re.IGNORECASE | re.DOTALL)
_NAME: Final = re.compile(r"[^.\[\]()\s,*?@]+")
_QUOTED: Final = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")
_INDEX: Final = re.compile(r"\s*(-?\d+)\s*(?:(:)\s*(-?\d+)?\s*)?|\s*(:)\s*(-?\d+)\s*")

Step = Callable[[Any], Iterator[Any]]


class PathError(Exception):
    """A strict path does not fit the document."""


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A compiled path.

    Attributes:
        text: as written.
        strict: whether a missing member is an error rather than nothing.
        definite: whether it leads to one place at most.
        steps: each from a value to the values below.
    """

    text: str
    strict: bool
    definite: bool
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What a path leads to.

    Attributes:
        values: in order.
        definite: whether there could be one value only.
    """

    values: list[Any]
    definite: bool


def _member(name: str) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and name in value:
            yield value[name]

    return step


def _items(choose: Callable[[list[Any]], list[Any]]) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            yield from choose(value)

    return step


def _index(number: int) -> Step:
    return _items(lambda a: [a[number]] if -len(a) <= number < len(a) else [])


def _slice(low: int | None, high: int | None) -> Step:
    return _items(lambda a: a[low:high])


def _all(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _deep(step: Step) -> Step:
    def run(value: Any) -> Iterator[Any]:
        yield from step(value)
        for below in _all(value):
            yield from run(below)

    return run


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.definite = True

    def fail(self, what: str) -> NoReturn:
        msg = f"the JSON path {self.text!r} {what} at character {self.at + 1}"
        raise InvalidPatternError(msg, remedy="write steps such as $.a['b c'][0][*]")

    def read(self) -> list[Step]:
        if not self.text.startswith("$"):
            self.fail("does not begin with $")
        self.at = 1
        steps: list[Step] = []
        while self.at < len(self.text):
            if self.text[self.at].isspace() and not self.text[self.at :].strip():
                break
            steps.append(self.step())
        return steps

    def step(self) -> Step:
        if self.text.startswith("..", self.at):
            self.at += 2
            self.definite = False
            return _deep(self.bracket() if self.peek("[") else self.named())
        if self.peek("."):
            self.at += 1
            return self.bracket() if self.peek("[") else self.named()
        if self.peek("["):
            return self.bracket()
        self.fail("has an unexpected character")

    def peek(self, c: str) -> bool:
        return self.text.startswith(c, self.at)

    def named(self) -> Step:
        if self.peek("*"):
            self.at += 1
            self.definite = False
            return _all
        quoted = _QUOTED.match(self.text, self.at)
        if quoted:
            self.at = quoted.end()
            return _member(_unescaped(quoted))
        match = _NAME.match(self.text, self.at)
        if match is None:
            self.fail("lacks a name")
        self.at = match.end()
        if self.peek("("):
            self.fail("calls a method, which Lesto does not have,")
        return _member(match[0])

    def bracket(self) -> Step:
        self.at += 1
        parts: list[Step] = []
        while True:
            parts.append(self.part())
            if self.peek("]"):
                self.at += 1
                break
            if not self.peek(","):
                self.fail("lacks a closing bracket")
            self.at += 1
        if len(parts) == 1:
            return parts[0]
        self.definite = False
        return lambda value: (x for part in parts for x in part(value))

    def part(self) -> Step:
        self.at += len(self.text[self.at :]) - len(self.text[self.at :].lstrip())
        if self.peek("*"):
            self.at += 1
            self.definite = False
            return _all
        if self.peek("?"):
            self.fail("has a filter, which Lesto does not have,")
        quoted = _QUOTED.match(self.text, self.at)
        if quoted:
            self.at = quoted.end()
            return _member(_unescaped(quoted))
        match = _INDEX.match(self.text, self.at)
        if match is None:
            self.fail("has neither an index, a name nor *")
        self.at = match.end()
        if match[2] or match[4]:
            self.definite = False
            low = int(match[1]) if match[1] else None
            high = match[3] or match[5]
            return _slice(low, int(high) if high else None)
        return _index(int(match[1]))


def _unescaped(match: re.Match[str]) -> str:
    text = match[1] if match[1] is not None else match[2]
    return re.sub(r"\\(.)", r"\1", text)


@functools.lru_cache(maxsize=512)
def json_path(text: str) -> JsonPath:
    """Compile a path.

    Raises:
        InvalidPatternError: it is malformed, or has what Lesto does not have.
    """
    match = _MODE.match(text)
    assert match is not None
    reader = _Reader(match[2].strip())
    steps = reader.read()
    # Without a word the mode is strict, as in Calcite; a missing member is then an error.
    strict = match[1] is None or match[1].lower() == "strict"
    return JsonPath(text, strict, reader.definite, tuple(steps))


def evaluate(path: JsonPath, document: Any) -> Found:
    """What the path leads to in a document.

    Raises:
        PathError: the path is strict and definite, and a step leads nowhere.
    """
    values = [document]
    for step in path.steps:
        values = [found for value in values for found in step(value)]
        if not values and path.strict and path.definite:
            msg = f"{path.text} leads nowhere"
            raise PathError(msg)
    return Found(values, path.definite)
