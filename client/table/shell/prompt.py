"""The prompt: history, completion, several lines."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from lesto.client.table.catalog.objects import CatalogTable
from lesto.client.table.shell.runner import Runner, message_of
from lesto.client.table.shows import builtin_functions, objects, users_functions
from lesto.client.table.sql.dialect import words_of
from lesto.common.errors import LestoError
from lesto.common.options import known_options

if TYPE_CHECKING:
    from lesto.client.table.session import Session

HISTORY: Final = ".lesto_sql_history"
_WORDS: Final = (
    *("SELECT", "FROM", "WHERE", "GROUP BY", "HAVING", "ORDER BY", "LIMIT", "JOIN", "LEFT JOIN"),
    *("ON", "AS", "AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "IS NULL", "IS NOT NULL", "CASE"),
    *("WHEN", "THEN", "ELSE", "END", "DISTINCT", "UNION ALL", "WITH", "VALUES", "INSERT INTO"),
    *("CREATE TABLE", "CREATE VIEW", "CREATE FUNCTION", "DROP TABLE", "DROP VIEW", "ALTER TABLE"),
    *("WATERMARK FOR", "PRIMARY KEY", "NOT ENFORCED", "EXPLAIN", "DESCRIBE", "SHOW TABLES"),
    *("SHOW VIEWS", "SHOW FUNCTIONS", "SHOW CREATE TABLE", "SHOW CATALOGS", "SHOW DATABASES"),
    *("USE", "USE CATALOG", "SET", "RESET", "HELP", "QUIT", "CLEAR", "SOURCE", "TUMBLE", "HOP"),
    *("CUMULATE", "SESSION", "DESCRIPTOR", "INTERVAL", "OVER", "PARTITION BY", "ROWS", "RANGE"),
    *("EXECUTE STATEMENT SET BEGIN", "END", "FOR SYSTEM_TIME AS OF", "LATERAL TABLE", "UNNEST"),
)


def candidates(session: Session) -> list[str]:
    """Words, tables, columns, functions and options that may be typed."""
    found = [*_WORDS]
    found += [f"{n.upper()}(" for n in builtin_functions()]
    found += [f"{n}(" for n in users_functions(session)]
    catalogs = session.catalogs
    for name in objects(session):
        found.append(name)
        what = catalogs.find((name,))
        if what is not None and isinstance(what[1], CatalogTable):
            found += [c.name for c in what[1].columns]
    return list(dict.fromkeys(found))


def completions(session: Session, before: str) -> list[tuple[str, int]]:
    """What may stand at the cursor, and how many characters before it that replaces.

    Args:
        session: knows the tables.
        before: the text before the cursor.
    """
    line = before.rsplit(";", 1)[-1].lstrip()
    quoted = line.upper().startswith(("SET ", "RESET ")) and line.count("'") % 2 == 1
    if quoted:
        word = line.rpartition("'")[2]
        return [(key, len(word)) for key in known_options() if key.startswith(word)]
    word = ""
    for character in reversed(before):
        if not (character.isalnum() or character in "_$"):
            break
        word = character + word
    if not word:
        return []
    low = word.lower()
    return [(c, len(word)) for c in candidates(session) if c.lower().startswith(low)]


class SqlCompleter(Completer):
    """Completes words, tables, columns, functions and options."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """Completions at the cursor."""
        for text, back in completions(self._session, document.text_before_cursor):
            yield Completion(text, start_position=-back)


def is_complete(text: str) -> bool:
    """Whether Enter carries the text out: it ends with ; outside of quotes and comments, or is a
    word that needs none.

    >>> is_complete("SELECT ';"), is_complete("SELECT 1;"), is_complete("quit")
    (False, True, True)
    """
    stripped = text.strip()
    if not stripped or stripped.upper() in {"QUIT", "EXIT", "HELP", "CLEAR"}:
        return True
    words = words_of(stripped)
    if words is None:
        return False
    if not words or words[-1] != ";":
        return not words
    begun = "BEGIN" in words[:4] and "SET" in words[:4]
    return not begun or words[-2:] == ["END", ";"]


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if is_complete(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n")

    return keys


def statements(session: Session) -> Iterator[str]:
    """What is typed, statement by statement, until Ctrl-D."""
    prompt: PromptSession[str] = PromptSession(
        history=FileHistory(str(Path.home() / HISTORY)),
        completer=SqlCompleter(session),
        complete_while_typing=False,
        multiline=True,
        key_bindings=_keys(),
        prompt_continuation=lambda width, *_: ">".rjust(width - 1) + " ",
    )
    while True:
        try:
            yield prompt.prompt("Lesto SQL> ")
        except KeyboardInterrupt:
            continue
        except EOFError:
            return


def interact(runner: Runner, source: Iterator[str] | None = None) -> None:
    """Carry out what is typed; an error is shown, and the next statement may follow."""
    for text in source or statements(runner.session):
        if not text.strip():
            continue
        try:
            runner.script(text)
        except LestoError as error:
            sys.stderr.write(message_of(error) + "\n")
        except KeyboardInterrupt:
            sys.stderr.write("[INFO] Interrupted.\n")
        if runner.ended:
            return
