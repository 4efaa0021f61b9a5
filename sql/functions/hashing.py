"""Hashes, URLs, addresses and PRINTF."""

from __future__ import annotations

import hashlib
import math
import re
import urllib.parse
from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa

from lesto.sql import types as t
from lesto.sql.casts.text import java_double, plain_decimal
from lesto.sql.errors import SqlEvaluationError
from lesto.sql.expressions import Call
from lesto.sql.functions import params as p
from lesto.sql.functions.table import ScalarFunction, register, sig
from lesto.sql.types import SqlType, TypeRoot
from lesto.sql.values import Kernel, per_row

_TEXT: Final = pa.string()


def _define(
    group: str,
    name: str,
    signatures: Sequence[Any],
    compute: Callable[..., Any],
    *examples: tuple[str, str | None],
    **more: Any,
) -> None:
    def prepare(call_: Call) -> Kernel:
        return per_row(compute, call_.type.to_arrow())

    register(
        ScalarFunction(
            name, group, tuple(signatures), prepare, examples=examples, costly=True, **more
        )
    )


# ------------------------------------------------------------------------------------------- hashes


def _hasher(algorithm: str) -> Callable[[str | bytes], str]:
    def compute(value: str | bytes) -> str:
        data = value.encode() if isinstance(value, str) else value
        return hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()

    return compute


_HASHED: Final = (sig(p.STRING, to=t.STRING()), sig(p.BYTES, to=t.STRING()))
_HASHES: Final = {
    "MD5": "5d41402abc4b2a76b9719d911017c592",
    "SHA1": "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d",
    "SHA224": "ea09ae9cc6768c50fcee903ed054556e5bfc8347907f12598aa24193",
    "SHA256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
    "SHA384": "59e1748777448c69de6b800d7a33bbfb9ff1b463e44354c3553bcdb9c666fa90"
    "125a3c79f90397bdf5f6a13de828684f",
    "SHA512": "9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca7"
    "2323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043",
}
for _name, _digest in _HASHES.items():
    _define("hash", _name, _HASHED, _hasher(_name.lower()), (f"{_name}('hello')", _digest))

_SHA2: Final = {n: _hasher(f"sha{n}") for n in (224, 256, 384, 512)}


def _sha2(value: str | bytes, bits: int) -> str:
    compute = _SHA2.get(bits)
    if compute is None:
        msg = f"there is no SHA-2 of {bits} bits"
        raise SqlEvaluationError(msg, remedy="write 224, 256, 384 or 512")
    return compute(value)


_define(
    "hash", "SHA2",
    [sig(p.STRING, p.INT, to=t.STRING()), sig(p.BYTES, p.INT, to=t.STRING())], _sha2,
    ("SHA2('hello', 256)", _HASHES["SHA256"]), ("SHA2('hello', CAST(NULL AS INT))", None),
    fallible=True,
)  # fmt: skip


# ---------------------------------------------------------------------------------------------- URL


def _url_encode(text: str) -> str:
    return urllib.parse.quote_plus(text, safe="*").replace("~", "%7E")


_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def _url_decode(text: str) -> str | None:
    return None if _ESCAPE.search(text) else urllib.parse.unquote_plus(text, errors="replace")


_URL: Final = re.compile(
    r"(?P<protocol>[A-Za-z][A-Za-z0-9+.-]*):(?://(?P<authority>[^/?#]*))?(?P<path>[^?#]*)"
    r"(?:\?(?P<query>[^#]*))?(?:#(?P<ref>.*))?$",
    re.DOTALL,
)


def _parse_url(url: str, part: str, key: str | None = None) -> str | None:
    match = _URL.match(url)
    if match is None:
        return None
    query = match["query"]
    if key is not None:
        if part != "QUERY" or query is None:
            return None
        found = re.search(rf"(?:&|^){re.escape(key)}=([^&]*)", query)
        return found[1] if found else None
    authority = match["authority"]
    user, at, host = (authority or "").rpartition("@")
    match part:
        case "PROTOCOL":
            return match["protocol"]
        case "AUTHORITY":
            return authority
        case "HOST":
            return re.sub(r":\d*$", "", host) if authority is not None else None
        case "USERINFO":
            return user if at else None
        case "PATH":
            return match["path"]
        case "QUERY":
            return query
        case "FILE":
            return match["path"] + (f"?{query}" if query is not None else "")
        case "REF":
            return match["ref"]
    return None


_define(
    "string", "URL_ENCODE", [sig(p.STRING, to=t.STRING())], _url_encode,
    ("URL_ENCODE('a b&c=ä')", "a+b%26c%3D%C3%A4"), nullable="always",
)  # fmt: skip
_define(
    "string", "URL_DECODE", [sig(p.STRING, to=t.STRING())], _url_decode,
    ("URL_DECODE('a+b%26c')", "a b&c"), ("URL_DECODE('%zz')", None), nullable="always",
)  # fmt: skip
_define(
    "string", "PARSE_URL",
    [sig(p.STRING, p.STRING, to=t.STRING()), sig(p.STRING, p.STRING, p.STRING, to=t.STRING())],
    _parse_url,
    ("PARSE_URL('http://facebook.com/path1/p.php?k1=v1&k2=v2#Ref1', 'HOST')", "facebook.com"),
    ("PARSE_URL('http://facebook.com/path1/p.php?k1=v1&k2=v2#Ref1', 'QUERY', 'k1')", "v1"),
    ("PARSE_URL('http://user:pw@host:80/a?b=c#d', 'USERINFO')", "user:pw"),
    ("PARSE_URL('http://user:pw@host:80/a?b=c#d', 'FILE')", "/a?b=c"),
    ("PARSE_URL('http://host/a', 'REF')", None), nullable="always",
)  # fmt: skip


# ----------------------------------------------------------------------------------- IPv4 addresses


def _inet_aton(text: str) -> int | None:
    parts = text.split(".")
    if not 1 <= len(parts) <= 4 or not all(x.isdigit() and x.isascii() for x in parts):
        return None
    numbers = [int(x) for x in parts]
    last = numbers.pop()
    if any(n > 255 for n in numbers) or last >= 256 ** (4 - len(numbers)):
        return None
    return sum(n << 8 * (3 - i) for i, n in enumerate(numbers)) + last


def _inet_ntoa(number: int) -> str | None:
    if not 0 <= number < 1 << 32:
        return None
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))


_define(
    "string", "INET_ATON", [sig(p.STRING, to=t.BIGINT())], _inet_aton,
    ("INET_ATON('127.0.0.1')", "2130706433"), ("INET_ATON('x')", None), nullable="always",
)  # fmt: skip
_define(
    "string", "INET_NTOA", [sig(p.BIGINT, to=t.STRING())], _inet_ntoa,
    ("INET_NTOA(2130706433)", "127.0.0.1"), ("INET_NTOA(-1)", None), nullable="always",
)  # fmt: skip


# ------------------------------------------------------------------------------------------- PRINTF

_DIRECTIVE: Final = re.compile(
    r"%(?:(?P<index>\d+)\$)?(?P<flags>[-#+ 0,(]*)(?P<width>\d+)?(?:\.(?P<digits>\d+))?"
    r"(?P<letter>[a-zA-Z%])"
)


def _java_format(template: str, values: Sequence[Any], kinds: Sequence[SqlType]) -> str | None:
    """Like String.format of Java, in the US locale; None where the format is invalid."""
    position = 0

    def render(match: re.Match[str]) -> str:
        nonlocal position
        letter = match["letter"]
        if letter in "n%":
            text = "\n" if letter == "n" else "%"
            return _padded(text, match) if letter == "%" else text
        if match["index"]:
            at = int(match["index"]) - 1
        else:
            at = position
            position += 1
        if at >= len(values):
            msg = "too few values"
            raise ValueError(msg)
        return _padded(_directive(letter, match, values[at], kinds[at]), match)

    rest = _DIRECTIVE.sub("", template)
    if "%" in rest:
        return None
    try:
        return _DIRECTIVE.sub(render, template)
    except (ValueError, TypeError, OverflowError):
        return None


def _padded(text: str, match: re.Match[str]) -> str:
    width = int(match["width"] or 0)
    if "-" in match["flags"]:
        return text.ljust(width)
    return text.rjust(width)


def _directive(letter: str, match: re.Match[str], value: Any, kind: SqlType) -> str:
    lower = letter.lower()
    flags, digits = match["flags"], match["digits"]
    if lower in "sb":
        if lower == "b":
            text = str(value is not None and value is not False).lower()
        else:
            text = "null" if value is None else _plain(value, kind)
        text = text[: int(digits)] if digits else text
    elif value is None:
        text = "null"
    elif lower == "c":
        text = chr(value) if isinstance(value, int) else str(value)
    elif lower in "dxo":
        text = _whole(lower, flags, match, value, kind)
    elif lower in "fe":
        text = _real(lower, flags, match, value)
    else:
        msg = f"no directive %{letter}"
        raise ValueError(msg)
    return text.upper() if letter.isupper() else text


def _plain(value: Any, kind: SqlType) -> str:
    match kind.root:
        case TypeRoot.BOOLEAN:
            return str(value).lower()
        case TypeRoot.DECIMAL:
            return plain_decimal(value)
        case TypeRoot.DOUBLE | TypeRoot.FLOAT:
            return java_double(value)
    return str(value)


def _whole(letter: str, flags: str, match: re.Match[str], value: Any, kind: SqlType) -> str:
    if not isinstance(value, int) or isinstance(value, bool):
        msg = "not a whole number"
        raise TypeError(msg)
    if letter != "d":
        unsigned = value % (1 << kind.to_arrow().bit_width)
        text = f"{unsigned:{letter}}"
        return text.rjust(int(match["width"] or 0), "0") if "0" in flags else text
    return _signed(f"{abs(value):,}" if "," in flags else str(abs(value)), value < 0, flags, match)


def _real(letter: str, flags: str, match: re.Match[str], value: Any) -> str:
    if isinstance(value, int):
        msg = "not a fraction"
        raise TypeError(msg)
    number = abs(value)
    places = int(match["digits"] or 6)
    if isinstance(value, float) and not math.isfinite(value):
        return java_double(value)
    comma = "," if "," in flags and letter == "f" else ""
    text = f"{number:{comma}.{places}{letter}}"
    return _signed(text, value < 0, flags, match)


def _signed(text: str, negative: bool, flags: str, match: re.Match[str]) -> str:
    sign = "-" if negative else "+" if "+" in flags else " " if " " in flags else ""
    if negative and "(" in flags:
        return f"({text})"
    if "0" in flags:
        text = text.rjust(int(match["width"] or 0) - len(sign), "0")
    return sign + text


def _printf(call_: Call) -> Kernel:
    kinds = [a.type for a in call_.args[1:]]
    return per_row(
        lambda f, *v: None if f is None else _java_format(f, v, kinds), _TEXT, strict=False
    )


register(
    ScalarFunction(
        "PRINTF",
        "string",
        (sig(p.STRING, p.ANY, to=t.STRING(), repeats=1),),
        _printf,
        nullable="always",
        costly=True,
        examples=(
            ("PRINTF('%d %s', 5, 'a')", "5 a"),
            ("PRINTF('%05d|%-4s|%.2f', 42, 'x', CAST(1.5 AS DOUBLE))", "00042|x   |1.50"),
            ("PRINTF('%s', CAST(NULL AS INT))", "null"),
            ("PRINTF('%d', 'x')", None),
        ),
    )
)
