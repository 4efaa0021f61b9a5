"""Carries the statements of a session out, as Flink's SQL Gateway answers them."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from lesto.client.table.errors import SqlSyntaxError, UnsupportedSqlError
from lesto.client.table.executor import execute, ok
from lesto.client.table.plan.schema import Column
from lesto.client.table.results import JobBatches, TableResult, local_result
from lesto.client.table.sql import statements as s
from lesto.client.table.sql.dialect import parse_statement, words_of
from lesto.common import options
from lesto.common.config import Configuration
from lesto.sql import types as t

if TYPE_CHECKING:
    from lesto.client.job_client import JobClient
    from lesto.client.table.session import Session

#: How often is asked whether a job that is waited for has ended.
POLL_SECONDS: Final = 0.2
#: Statements of a set.
MAX_SET: Final = 100
MAX_CANDIDATES: Final = 200


class Statements:
    """Carries out one statement at a time.

    Args:
        session: of a table environment.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        #: INSERTs of a statement set that was begun and not ended; None: none was.
        self._set: list[str] | None = None

    def execute(
        self, text: str, config: Mapping[str, str], stopped: Callable[[], bool]
    ) -> TableResult:
        """Carry out a statement.

        Args:
            text: the statement; a semicolon may end it.
            config: options for this statement alone.
            stopped: whether it is not wanted any more.

        Raises:
            LestoError: it cannot be carried out.
        """
        found = self._of_set(text)
        if isinstance(found, TableResult):
            return found
        parsed = parse_statement(found)
        waits = self._session.config.get(options.TABLE_DML_SYNC)
        with self._options({**config, options.TABLE_DML_SYNC.key: "false"}, parsed.statement):
            result = execute(self._session, parsed)
        job = result.get_job_client()
        if job is None or isinstance(result._batches, JobBatches):
            return result
        try:
            if waits or config.get(options.TABLE_DML_SYNC.key) == "true":
                _wait(job, stopped)
        finally:
            job.close()
        return local_result([Column("job id", t.STRING())], [(job.job_id,)], job=job)

    def _of_set(self, text: str) -> str | TableResult:
        """BEGIN STATEMENT SET and END as statements of their own: Flink's clients send them so."""
        words = [word for word in words_of(text) or [] if word != ";"]
        if self._set is None:
            if words == ["BEGIN", "STATEMENT", "SET"]:
                self._set = []
                return ok()
            return text
        if words == ["END"]:
            inserts, self._set = self._set, None
            if not inserts:
                return ok()
            return "EXECUTE STATEMENT SET BEGIN\n" + ";\n".join(inserts) + ";\nEND"
        parsed = parse_statement(text)
        if not isinstance(parsed.statement, s.Insert):
            msg = "only INSERT may stand between BEGIN STATEMENT SET and END"
            raise SqlSyntaxError(msg, remedy="End the set first: END", text=text, offset=0)
        if len(self._set) == MAX_SET:
            msg = f"a statement set has more than {MAX_SET} INSERTs"
            raise UnsupportedSqlError(msg, remedy="Split it.", text=text, offset=0)
        self._set.append(text[parsed.start : parsed.end])
        return ok()

    def check_configures(self, text: str) -> None:
        """Let a statement pass that changes the session and runs no job.

        Raises:
            UnsupportedSqlError: it is another one.
        """
        statement = parse_statement(text).statement
        runs = isinstance(statement, s.QueryStatement | s.Insert | s.StatementSet) or (
            isinstance(statement, s.CreateTable) and statement.query is not None
        )
        if runs:
            msg = "a session is not configured by a statement that runs a job"
            raise UnsupportedSqlError(msg, remedy="Execute it as a statement.", text=text, offset=0)

    @contextmanager
    def _options(self, wanted: Mapping[str, str], statement: s.Statement) -> Iterator[None]:
        """Options for one statement, taken back behind it. SET's own changes stay."""
        if isinstance(statement, s.SetOption | s.ResetOption):
            yield
            return
        config = self._session.config
        before = Configuration(config)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for key, value in wanted.items():
                config.set(key, value, origin="the statement")
        try:
            yield
        finally:
            config._values, config._origins = before._values, before._origins

    def complete(self, statement: str, position: int) -> list[str]:
        """What may stand at a place of a statement that is being written."""
        from lesto.client.table.shell.prompt import completions

        found = [text for text, _ in completions(self._session, statement[:position])]
        return found[:MAX_CANDIDATES]


def _wait(job: JobClient, stopped: Callable[[], bool]) -> None:
    """Wait for a job's end; a statement that is cancelled cancels its job."""
    while not job.status().is_globally_terminal_state():
        if stopped():
            job.cancel_and_wait()
            return
        time.sleep(POLL_SECONDS)
    job.wait()  # raises why it has failed
