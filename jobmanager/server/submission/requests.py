"""What a request to run an uploaded file asks for. Pure.

Members of the body and parameters of the query are Flink's; the body wins over the query.
"""

from __future__ import annotations

import re
import shlex
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lesto.common import options
from lesto.common.config import Configuration
from lesto.jobmanager.server.rest.errors import BadRequestError

MAX_ARGUMENTS: Final = 1_000
MAX_PY_FILES: Final = 20
#: Where a program begins: ``package.module`` or ``package.module:function``.
_ENTRY: Final = re.compile(r"[A-Za-z_][\w-]*(\.\w+)*(:[A-Za-z_]\w*)?", re.ASCII)
_MODULE: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A run of an uploaded file.

    Attributes:
        artifact: its id.
        entry: entry point by name, ``module`` or ``module:function``; empty: the file says it.
        module: to run as ``python -m`` does.
        arguments: ``sys.argv`` behind the program.
        parallelism: by default, of operators that set none.
        job_id: of the first job; empty: any.
        allow_non_restored: ignore state that no operator has.
        savepoint: to start from; empty: from nothing.
        config: over the cluster's.
        py_files: ids of files that are importable.
    """

    artifact: str
    entry: str = ""
    module: str = ""
    arguments: tuple[str, ...] = ()
    parallelism: int | None = None
    job_id: str = ""
    allow_non_restored: bool = False
    savepoint: str = ""
    config: Mapping[str, str] = field(default_factory=dict)
    py_files: tuple[str, ...] = ()


def run_request(
    artifact: str, body: Mapping[str, Any], query: Callable[[str], Any] | None = None
) -> RunRequest:
    """Read a request.

    Args:
        artifact: id in the path.
        body: checked against the endpoint's schema.
        query: gives the value of a parameter of the query.

    Raises:
        BadRequestError: it contradicts itself.
        LestoError: an option is unknown or has no such value.
    """

    def given(name: str, parameter: str = "") -> Any:
        found = body.get(name)
        return query(parameter or name) if found is None and query is not None else found

    entry, module = given("entryClass", "entry-class") or "", body.get("module") or ""
    if entry and module:
        _refuse("entryClass and module are given: one program runs")
    if entry and not _ENTRY.fullmatch(entry):
        _refuse("entryClass is neither an entry point, a module nor module:function")
    if module and not _MODULE.fullmatch(module):
        _refuse("module is no name of a module")
    return RunRequest(
        artifact=artifact,
        entry=entry,
        module=module,
        arguments=_arguments(
            given("programArgsList", "programArg"), given("programArgs", "program-args")
        ),
        parallelism=given("parallelism"),
        job_id=body.get("jobId") or "",
        allow_non_restored=bool(given("allowNonRestoredState")),
        savepoint=given("savepointPath") or "",
        config=_config(body),
        py_files=tuple(body.get("pyFiles") or ()),
    )


def _arguments(listed: list[str] | None, text: str | None) -> tuple[str, ...]:
    if listed and text:
        _refuse("programArgs and programArgsList are given: write all into the list")
    if text:
        try:
            listed = shlex.split(text)
        except ValueError as error:
            _refuse(f"programArgs cannot be split: {error}")
    found = tuple(listed or ())
    if len(found) > MAX_ARGUMENTS:
        _refuse(f"there are more than {MAX_ARGUMENTS} arguments")
    if any("\0" in argument for argument in found):
        _refuse("an argument contains the character 0")
    return found


def _config(body: Mapping[str, Any]) -> dict[str, str]:
    mode = body.get("claimMode") or body.get("restoreMode")
    wanted = dict(body.get("flinkConfiguration") or {})
    if mode is not None:
        wanted[options.CLAIM_MODE.key] = mode
    return checked_config(wanted, "the request")


def checked_config(wanted: Mapping[str, str], origin: str) -> dict[str, str]:
    """Options as texts, those of Flink's that mean nothing here left out.

    Raises:
        LestoError: one is unknown, or has no such value.
    """
    config = Configuration()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for key, value in wanted.items():
            config.set(key, value, origin=origin)
    return config.to_dict()


def _refuse(message: str) -> None:
    raise BadRequestError(message, remedy="See docs/how-to/submit-by-rest.md.")
