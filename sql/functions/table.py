"""The table of scalar functions: names, signatures, result types, kernels, examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from typing import Literal as Word

from lesto.common.errors import did_you_mean
from lesto.sql.errors import UnknownFunctionError
from lesto.sql.expressions import Call, Expression
from lesto.sql.functions.params import Param
from lesto.sql.types import SqlType
from lesto.sql.values import Kernel

Result = SqlType | Callable[[tuple[SqlType, ...]], SqlType]
Nullability = Word["args", "always", "never", "as given"]


@dataclass(frozen=True, slots=True)
class Signature:
    """One form of a function.

    Attributes:
        params: what it takes.
        result: its type, or a function from the types of the (cast) arguments to it.
        repeats: how many of the last parameters may come again, any number of times.
    """

    params: tuple[Param, ...]
    result: Result
    repeats: int = 0

    def text(self, name: str) -> str:
        """As an error lists it."""
        words = [p.label for p in self.params] + (["..."] if self.repeats else [])
        return f"{name}({', '.join(words)})"


def sig(*params: Param, to: Result, repeats: int = 0) -> Signature:
    """A signature."""
    return Signature(params, to, repeats)


@dataclass(frozen=True, slots=True)
class ScalarFunction:
    """An entry of the table.

    Attributes:
        name: in capitals; unique.
        group: section of the documentation.
        signatures: the forms; none if ``bind`` does it all.
        prepare: from a call to its kernel, once a plan: here literal arguments are compiled.
        bind: builds the expression from arguments of any types, in the place of the signatures.
        aliases: other names.
        nullable: of the result; ``args`` if any argument is.
        fallible: whether a call may raise on a row, so that CASE must guard it.
        costly: whether it runs Python a row, so that CASE had better guard it.
        deterministic: whether calls may be shared and folded.
        dynamic: constant within a batch only (the time, the watermark): never folded.
        syntax: how it is written, where that is not ``NAME(a, b)``.
        examples: SQL text and the result as ``CAST(... AS STRING)`` gives it; None for NULL.
    """

    name: str
    group: str
    signatures: tuple[Signature, ...] = ()
    prepare: Callable[[Call], Kernel] | None = None
    bind: Callable[[Sequence[Expression]], Expression] | None = None
    aliases: tuple[str, ...] = ()
    nullable: Nullability = "args"
    fallible: bool | Callable[[Call], bool] = False
    costly: bool = False
    deterministic: bool = True
    dynamic: bool = False
    syntax: str = ""
    examples: tuple[tuple[str, str | None], ...] = field(default=(), repr=False)

    def may_fail(self, call: Call) -> bool:
        """Whether this call may raise on a row."""
        return self.fallible if isinstance(self.fallible, bool) else self.fallible(call)


#: Functions of Flink 2.3 that need types Lesto does not have (BITMAP, VARIANT, structured types).
MISSING: Final = frozenset(
    {
        *("BITMAP_AND", "BITMAP_ANDNOT", "BITMAP_AND_AGG", "BITMAP_AND_CARDINALITY_AGG"),
        *("BITMAP_BUILD", "BITMAP_BUILD_AGG", "BITMAP_BUILD_CARDINALITY_AGG"),
        *("BITMAP_CARDINALITY", "BITMAP_FROM_BYTES", "BITMAP_OR", "BITMAP_OR_AGG"),
        *("BITMAP_OR_CARDINALITY_AGG", "BITMAP_TO_ARRAY", "BITMAP_TO_BYTES"),
        *("BITMAP_TO_STRING", "BITMAP_XOR", "BITMAP_XOR_AGG", "BITMAP_XOR_CARDINALITY_AGG"),
        *("PARSE_JSON", "TRY_PARSE_JSON", "OBJECT_OF", "OBJECT_UPDATE"),
    }
)

_TABLE: Final[dict[str, ScalarFunction]] = {}
_NAMES: Final[dict[str, str]] = {}


def register(*functions: ScalarFunction) -> None:
    """Add entries; names and aliases are unique."""
    for function in functions:
        for name in (function.name, *function.aliases):
            if name in _NAMES:
                msg = f"two functions are called {name}"
                raise ValueError(msg)
            _NAMES[name] = function.name
        _TABLE[function.name] = function


def kernel(compute: Kernel) -> Callable[[Call], Kernel]:
    """The same kernel for every call."""
    return lambda _call: compute


def pure(compute: Callable[..., object]) -> Callable[[Call], Kernel]:
    """A kernel that needs its values alone, such as a function of pyarrow.compute."""
    return lambda _call: lambda _ev, *values: compute(*values)


def functions() -> list[ScalarFunction]:
    """All entries by name."""
    _load()
    return [_TABLE[name] for name in sorted(_TABLE)]


def names() -> list[str]:
    """All names and aliases."""
    _load()
    return sorted(_NAMES)


def callable_names() -> list[str]:
    """Names and aliases that are written as ``NAME(...)``, for SHOW FUNCTIONS."""
    _load()
    return [
        name
        for name in names()
        if name.isidentifier() and _TABLE[_NAMES[name]].group not in {"internal", "logical"}
    ]


def has_function(name: str) -> bool:
    """Whether a scalar function is called so."""
    _load()
    return name.upper() in _NAMES


def function(name: str) -> ScalarFunction:
    """The entry of a name or alias, in any case.

    Raises:
        UnknownFunctionError: there is none.
    """
    _load()
    canonical = _NAMES.get(name.upper())
    if canonical is None and name.upper() in MISSING:
        msg = f"Lesto does not have Flink's function {name.upper()} yet"
        raise UnknownFunctionError(msg, remedy="write a Python function for it")
    if canonical is None:
        msg = f"there is no function {name}{did_you_mean(name.upper(), _NAMES)}"
        raise UnknownFunctionError(msg, remedy="SHOW FUNCTIONS lists the functions there are")
    return _TABLE[canonical]


def _load() -> None:
    # The modules of the groups import this one.
    from lesto.sql.functions import groups

    groups.load()
