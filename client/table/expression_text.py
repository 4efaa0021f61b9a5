"""Methods of expressions on text, JSON and hashes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lesto.client.table.expression_calls import call_of, call_with
from lesto.client.table.expression_units import (
    JsonExistsOnError,
    JsonQueryOnEmptyOrError,
    JsonQueryWrapper,
    JsonType,
    JsonValueOnEmptyOrError,
)
from lesto.client.table.sql.trees import Words, exp
from lesto.client.table.types import sql_type

if TYPE_CHECKING:
    from lesto.client.table.expression import Expression


class TextMethods:
    """Part of Expression."""

    __slots__ = ()

    @property
    def char_length(self) -> Expression:
        """Number of characters."""
        return call_of("CHAR_LENGTH", self)

    @property
    def upper_case(self) -> Expression:
        """In capitals."""
        return call_of("UPPER", self)

    @property
    def lower_case(self) -> Expression:
        """In small letters."""
        return call_of("LOWER", self)

    @property
    def init_cap(self) -> Expression:
        """Each word with a capital."""
        return call_of("INITCAP", self)

    @property
    def from_base64(self) -> Expression:
        """Text that base64 stands for."""
        return call_of("FROM_BASE64", self)

    @property
    def to_base64(self) -> Expression:
        """As base64."""
        return call_of("TO_BASE64", self)

    @property
    def ascii(self) -> Expression:
        """Number of the first character."""
        return call_of("ASCII", self)

    @property
    def chr(self) -> Expression:
        """Character of a number."""
        return call_of("CHR", self)

    @property
    def url_decode(self) -> Expression:
        """Text that percent signs stand for."""
        return call_of("URL_DECODE", self)

    @property
    def url_encode(self) -> Expression:
        """With percent signs."""
        return call_of("URL_ENCODE", self)

    @property
    def inet_aton(self) -> Expression:
        """Number of an IPv4 address."""
        return call_of("INET_ATON", self)

    @property
    def inet_ntoa(self) -> Expression:
        """IPv4 address of a number."""
        return call_of("INET_NTOA", self)

    @property
    def reverse(self) -> Expression:
        """From the end to the start."""
        return call_of("REVERSE", self)

    @property
    def md5(self) -> Expression:
        """Hash in hexadecimal."""
        return call_of("MD5", self)

    @property
    def sha1(self) -> Expression:
        """Hash in hexadecimal."""
        return call_of("SHA1", self)

    @property
    def sha224(self) -> Expression:
        """Hash in hexadecimal."""
        return call_of("SHA224", self)

    @property
    def sha256(self) -> Expression:
        """Hash in hexadecimal."""
        return call_of("SHA256", self)

    @property
    def sha384(self) -> Expression:
        """Hash in hexadecimal."""
        return call_of("SHA384", self)

    @property
    def sha512(self) -> Expression:
        """Hash in hexadecimal."""
        return call_of("SHA512", self)

    @property
    def bin(self) -> Expression:
        """Digits of base 2."""
        return call_of("BIN", self)

    @property
    def hex(self) -> Expression:
        """Digits of base 16."""
        return call_of("HEX", self)

    @property
    def json_quote(self) -> Expression:
        """As a JSON string."""
        return call_of("JSON_QUOTE", self)

    @property
    def json_unquote(self) -> Expression:
        """Text of a JSON string."""
        return call_of("JSON_UNQUOTE", self)

    def unhex(self) -> Expression:
        """Bytes of hexadecimal digits."""
        return call_of("UNHEX", self)

    def concat(self, other: Any) -> Expression:
        """Both, one behind the other."""
        return call_of("CONCAT", self, other)

    def starts_with(self, start_expr: Any) -> Expression:
        """Whether it starts so."""
        return call_of("STARTSWITH", self, start_expr)

    def ends_with(self, end_expr: Any) -> Expression:
        """Whether it ends so."""
        return call_of("ENDSWITH", self, end_expr)

    def substring(self, begin_index: Any, length: Any = None) -> Expression:
        """A part, from a position (1 is the first) on."""
        return call_with("SUBSTRING", self, begin_index, length)

    def substr(self, begin_index: Any, length: Any = None) -> Expression:
        """As substring."""
        return call_with("SUBSTR", self, begin_index, length)

    def trim_leading(self, character: Any = None) -> Expression:
        """Without such characters at the start."""
        return _trim(self, "LEADING", character)

    def trim_trailing(self, character: Any = None) -> Expression:
        """Without such characters at the end."""
        return _trim(self, "TRAILING", character)

    def trim(self, character: Any = None) -> Expression:
        """Without such characters on both sides."""
        return _trim(self, "BOTH", character)

    def replace(self, search: Any = None, replacement: Any = None) -> Expression:
        """With another text in the place of each."""
        return call_of("REPLACE", self, search, replacement)

    def translate(self, from_str: Any, to_str: Any) -> Expression:
        """Each character by that of the other list."""
        return call_of("TRANSLATE", self, from_str, to_str)

    def position(self, haystack: Any = None) -> Expression:
        """Where it is in the other, from 1; 0 if not."""
        return call_of("POSITION", self, haystack)

    def lpad(self, length: Any, pad: Any) -> Expression:
        """Filled on the left."""
        return call_of("LPAD", self, length, pad)

    def rpad(self, length: Any, pad: Any) -> Expression:
        """Filled on the right."""
        return call_of("RPAD", self, length, pad)

    def overlay(self, new_string: Any, starting: Any, length: Any = None) -> Expression:
        """With a text in the place of a part."""
        return call_with("OVERLAY", self, new_string, starting, length)

    def regexp(self, regex: Any) -> Expression:
        """Whether a part matches."""
        return call_of("REGEXP", self, regex)

    def regexp_count(self, regex: Any) -> Expression:
        """Number of matches."""
        return call_of("REGEXP_COUNT", self, regex)

    def regexp_replace(self, regex: Any, replacement: Any) -> Expression:
        """With a text in the place of matches."""
        return call_of("REGEXP_REPLACE", self, regex, replacement)

    def regexp_extract(self, regex: Any, extract_index: Any = None) -> Expression:
        """A group of the first match."""
        return call_with("REGEXP_EXTRACT", self, regex, extract_index)

    def regexp_extract_all(self, regex: Any, extract_index: Any = None) -> Expression:
        """A group of all matches."""
        return call_with("REGEXP_EXTRACT_ALL", self, regex, extract_index)

    def regexp_instr(self, regex: Any) -> Expression:
        """Where the first match is."""
        return call_of("REGEXP_INSTR", self, regex)

    def regexp_substr(self, regex: Any) -> Expression:
        """The first match."""
        return call_of("REGEXP_SUBSTR", self, regex)

    def decode(self, charset: Any) -> Expression:
        """Text of bytes."""
        return call_of("DECODE", self, charset)

    def encode(self, charset: Any) -> Expression:
        """Bytes of text."""
        return call_of("ENCODE", self, charset)

    def left(self, length: Any) -> Expression:
        """Characters at the start."""
        return call_of("LEFT", self, length)

    def right(self, length: Any) -> Expression:
        """Characters at the end."""
        return call_of("RIGHT", self, length)

    def instr(self, s: Any) -> Expression:
        """Where the other is, from 1; 0 if not."""
        return call_of("INSTR", self, s)

    def locate(self, s: Any, pos: Any = None) -> Expression:
        """Where it is in the other, from a position on."""
        return call_with("LOCATE", self, s, pos)

    def parse_url(self, part_to_extract: Any, key: Any = None) -> Expression:
        """A part of an address."""
        return call_with("PARSE_URL", self, part_to_extract, key)

    def printf(self, *obj: Any) -> Expression:
        """A format with its values."""
        return call_of("PRINTF", self, *obj)

    def ltrim(self, trim_str: Any = None) -> Expression:
        """Without such characters at the start."""
        return call_with("LTRIM", self, trim_str)

    def rtrim(self, trim_str: Any = None) -> Expression:
        """Without such characters at the end."""
        return call_with("RTRIM", self, trim_str)

    def btrim(self, trim_str: Any = None) -> Expression:
        """Without such characters on both sides."""
        return call_with("BTRIM", self, trim_str)

    def repeat(self, n: Any) -> Expression:
        """So many times."""
        return call_of("REPEAT", self, n)

    def split_index(self, separator: Any, index: Any) -> Expression:
        """The part at a position, from 0."""
        return call_of("SPLIT_INDEX", self, separator, index)

    def str_to_map(self, list_delimiter: Any = None, key_value_delimiter: Any = None) -> Expression:
        """A map of text such as ``a=1,b=2``."""
        return call_with("STR_TO_MAP", self, list_delimiter, key_value_delimiter)

    def elt(self, expr: Any, *exprs: Any) -> Expression:
        """The argument at this position."""
        return call_of("ELT", self, expr, *exprs)

    def split(self, delimiter: Any) -> Expression:
        """An array of the parts."""
        return call_of("SPLIT", self, delimiter)

    def sha2(self, hash_length: Any) -> Expression:
        """Hash of so many bits in hexadecimal."""
        return call_of("SHA2", self, hash_length)

    def like(self, pattern: Any = None, escape: Any = None) -> Expression:
        """Whether all of it fits a pattern of % and _."""
        from lesto.client.table.expression import Expression, as_expression, wrapped_tree

        a, b = as_expression(self), as_expression(pattern)
        end = None if escape is None else as_expression(escape)

        def make(c: Any) -> Any:
            found: Any = exp.Like(this=wrapped_tree(a, c), expression=wrapped_tree(b, c))
            return found if end is None else exp.Escape(this=found, expression=end.tree(c))

        return Expression(make)

    def similar(self, pattern: Any = None) -> Expression:
        """Whether all of it fits a regular expression of SQL."""
        from lesto.client.table.expression import binary

        return binary(exp.SimilarTo, self, pattern)

    def is_json(self, json_type: JsonType | None = None) -> Expression:
        """Whether it is JSON, of a kind if one is given."""
        words = [] if json_type is None else [Words(this=json_type.name)]
        return call_of("IS JSON", self, *words)

    def json_exists(self, path: str, on_error: JsonExistsOnError | None = None) -> Expression:
        """Whether a path leads to something."""
        words = [] if on_error is None else [Words(this=f"{on_error.name} ON ERROR")]
        return call_of("JSON_EXISTS", self, path, *words)

    def json_value(
        self,
        path: str,
        returning_type: Any = None,
        on_empty: JsonValueOnEmptyOrError = JsonValueOnEmptyOrError.NULL,
        default_on_empty: Any = None,
        on_error: JsonValueOnEmptyOrError = JsonValueOnEmptyOrError.NULL,
        default_on_error: Any = None,
    ) -> Expression:
        """The scalar that a path leads to."""
        args: list[Any] = [self, path]
        if returning_type is not None:
            args.append(Words(this=f"RETURNING {sql_type(returning_type).with_nullable(True)}"))
        for what, choice, default in (
            ("EMPTY", on_empty, default_on_empty),
            ("ERROR", on_error, default_on_error),
        ):
            if choice is JsonValueOnEmptyOrError.DEFAULT:
                args += [Words(this=f"DEFAULT ON {what}"), default]
            else:
                args.append(Words(this=f"{choice.name} ON {what}"))
        return call_of("JSON_VALUE", *args)

    def json_query(
        self,
        path: str,
        wrapping_behavior: JsonQueryWrapper = JsonQueryWrapper.WITHOUT_ARRAY,
        on_empty: JsonQueryOnEmptyOrError = JsonQueryOnEmptyOrError.NULL,
        on_error: JsonQueryOnEmptyOrError = JsonQueryOnEmptyOrError.NULL,
    ) -> Expression:
        """The JSON that a path leads to."""
        wrapper = wrapping_behavior.name.replace("_ARRAY", "").replace("_", " ")
        word = "WITHOUT" if wrapper == "WITHOUT" else f"WITH {wrapper}"
        return call_of(
            "JSON_QUERY",
            self,
            path,
            Words(this=f"{word} ARRAY WRAPPER"),
            Words(this=f"{on_empty.name.replace('_', ' ')} ON EMPTY"),
            Words(this=f"{on_error.name.replace('_', ' ')} ON ERROR"),
        )


def _trim(value: Any, where: str, characters: Any) -> Expression:
    from lesto.client.table.expression import Expression, as_expression

    a = as_expression(value)
    what = None if characters is None else as_expression(characters)

    def make(c: Any) -> Any:
        found = exp.Trim(this=a.tree(c), position=where)
        if what is not None:
            found.set("expression", what.tree(c))
        return found

    return Expression(make)
