"""Carries statements out one after another, and says what came of each."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from lesto.client.table.errors import SqlSyntaxError, TableProgramError
from lesto.client.table.executor import execute
from lesto.client.table.kinds import ResultKind
from lesto.client.table.printing import print_result
from lesto.client.table.results import JobBatches, TableResult
from lesto.client.table.sql import statements as s
from lesto.client.table.sql.dialect import parse_script, split_script
from lesto.common import options
from lesto.common.errors import LestoError

if TYPE_CHECKING:
    from lesto.client.job_client import JobClient
    from lesto.client.table.session import Session

HELP = """\
HELP            this list
CLEAR           clear the screen
QUIT, EXIT      end; jobs on a cluster (-m) go on, others end
SOURCE 'file'   carry out the statements of a file
SET             the options that are set; SET 'key' = 'value'; RESET 'key'
SHOW TABLES     and VIEWS, FUNCTIONS, DATABASES, CATALOGS, COLUMNS FROM t, CREATE TABLE t
DESCRIBE t      columns of a table
EXPLAIN ...     the plan of a query or INSERT

A statement ends with ; and may have several lines. A query's rows are shown as
'sql-client.execution.result-mode' says: TABLE (rows as they are now), CHANGELOG (each change) or
TABLEAU (printed as they come). Ctrl-C ends a query."""
_COMMAND = re.compile(r"\s*(\w+)\s*(.*?)\s*;?\s*$", re.DOTALL)


class Runner:
    """Carries out statements of a session.

    Args:
        session: catalogs, options, jobs.
        out: where results go.
        live: whether a person watches, so that results may be drawn anew.
    """

    def __init__(self, session: Session, out: TextIO | None = None, *, live: bool = False) -> None:
        self.session = session
        self.out = out or sys.stdout
        self.live = live
        self.jobs: list[JobClient] = []
        self.ended = False

    def script(self, text: str) -> None:
        """Carry out the statements of a text, up to the first that fails.

        Raises:
            LestoError: it failed; shows its place in the text.
        """
        for start, end in split_script(text):
            before = re.sub(r"[^\n]", " ", text[:start])
            self.statement(before + text[start:end])
            if self.ended:
                return

    def statement(self, text: str) -> None:
        """Carry out one statement, or a command of the shell.

        Raises:
            LestoError: it failed.
        """
        if self._command(text):
            return
        for parsed in parse_script(text):
            result = execute(self.session, parsed)
            self._tell(parsed.statement, result)

    def finish(self) -> None:
        """Wait for the jobs that were submitted.

        Raises:
            JobExecutionError: one failed.
        """
        while self.jobs:
            self.jobs.pop(0).wait()

    # ------------------------------------------------------------------ commands of the shell

    def _command(self, text: str) -> bool:
        found = _COMMAND.match(text)
        word = found[1].upper() if found else ""
        rest = found[2] if found else ""
        match word:
            case "QUIT" | "EXIT" if not rest:
                self.ended = True
            case "HELP" if not rest:
                self._say(HELP)
            case "CLEAR" if not rest:
                self.out.write("\x1b[2J\x1b[H" if self.live else "")
                self.out.flush()
            case "SOURCE":
                self._source(rest)
            case _:
                return False
        return True

    def _source(self, rest: str) -> None:
        name = rest.strip("'\"")
        if not name:
            msg = "SOURCE takes a file"
            raise SqlSyntaxError(msg, remedy="write SOURCE 'file.sql'")
        self.script(read_script(name))

    # ------------------------------------------------------------------ results

    def _say(self, text: str) -> None:
        self.out.write(text + "\n")
        self.out.flush()

    def _tell(self, statement: s.Statement, result: TableResult) -> None:
        job = result.get_job_client()
        if isinstance(result._batches, JobBatches):
            self._rows(result)
        elif job is not None:
            self._submitted(result, job)
        elif result.get_result_kind() == ResultKind.SUCCESS:
            word = "Option" if isinstance(statement, (s.SetOption, s.ResetOption)) else "Statement"
            self._say(f"[INFO] {word} {'set' if word == 'Option' else 'done'}.")
        else:
            result.print_to(self.out)

    def _submitted(self, result: TableResult, job: JobClient) -> None:
        if self.session.config.get(options.TABLE_DML_SYNC):
            self._say(f"[INFO] Job {job.job_id} has ended.")
            return
        self._say(f"[INFO] Job {job.job_id} submitted.")
        self.jobs.append(job)

    def _rows(self, result: TableResult) -> None:
        mode = self.session.config.get(options.SQL_CLIENT_RESULT_MODE).upper()
        schema, batches = result._schema, result._once()
        try:
            if self.live and mode != "TABLEAU":
                from lesto.client.table.shell.live import show_live

                most = self.session.config.get(options.SQL_CLIENT_MAX_ROWS)
                show_live(
                    schema,
                    batches,
                    changes=mode == "CHANGELOG",
                    width=self.session.width,
                    zone=self.session.zone,
                    most=most,
                    out=self.out,
                )
            else:
                streaming = result._streaming
                print_result(
                    schema, batches, streaming, self.session.width, self.session.zone, self.out
                )
        except KeyboardInterrupt:
            self._say("\n[INFO] Query ended.")
        finally:
            batches.close()


def read_script(name: str) -> str:
    """The text of a file.

    Raises:
        TableProgramError: it cannot be read.
    """
    try:
        return Path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{name} cannot be read: {error}"
        raise TableProgramError(msg, remedy="give a file with SQL") from error


def message_of(error: LestoError) -> str:
    """An error as the shell shows it."""
    return f"[ERROR] {error}"
