"""What ``lesto run`` tells the script it runs, through two environment variables.

``LESTO_JOBMANAGER`` is the JobManager's ``host:port``; unset: an embedded cluster.
``LESTO_RUN_OPTIONS`` is a JSON object with the fields of :class:`RunOptions`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, MutableMapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from lesto.client.errors import BadRunOptionsError

JOBMANAGER_VARIABLE = "LESTO_JOBMANAGER"
OPTIONS_VARIABLE = "LESTO_RUN_OPTIONS"


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of one run. As in Flink, what the script sets itself wins, except over the savepoint.

    Attributes:
        jobmanager: ``host:port``; empty: an embedded cluster.
        parallelism: default parallelism.
        savepoint: checkpoint or savepoint to start from.
        allow_non_restored: ignore state that no operator of the job has.
        detached: return once the job is submitted.
        config: configuration (files, environment, ``-D``), as texts.
        progress: show live progress on the terminal.
        plan_path: do not run: write the plan (JSON) to this file and end the script.
        submitted_path: append the id of each submitted job, a line each, to this file.
        python_paths: folders and archives put on ``sys.path`` where functions run (``-pyfs``).
        graph_path: do not run: write the first job's graph (protobuf) to this file and end the
            script.
        code_folders: folders whose modules travel with the job, besides the script's own folder.
    """

    jobmanager: str = ""
    parallelism: int | None = None
    savepoint: str = ""
    allow_non_restored: bool = False
    detached: bool = False
    config: dict[str, str] = field(default_factory=dict)
    progress: bool = False
    plan_path: str = ""
    submitted_path: str = ""
    python_paths: tuple[str, ...] = ()
    graph_path: str = ""
    code_folders: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> RunOptions:
        """Read the variables.

        Raises:
            BadRunOptionsError: the JSON is not an object of known fields.
        """
        env = os.environ if environment is None else environment
        text = env.get(OPTIONS_VARIABLE, "")
        values: Any = {}
        if text:
            try:
                values = json.loads(text)
            except json.JSONDecodeError as error:
                msg = f"{OPTIONS_VARIABLE} is not JSON: {error}"
                raise BadRunOptionsError(msg, remedy=f"unset {OPTIONS_VARIABLE}") from None
        known = {f.name for f in fields(cls)}
        if not isinstance(values, dict) or set(values) - known:
            msg = f"{OPTIONS_VARIABLE} is not an object of {', '.join(sorted(known))}: {text:.200}"
            raise BadRunOptionsError(msg, remedy=f"unset {OPTIONS_VARIABLE}")
        jobmanager = env.get(JOBMANAGER_VARIABLE) or values.pop("jobmanager", "")
        values.pop("jobmanager", None)
        for name in ("python_paths", "code_folders"):
            values[name] = tuple(values.get(name, ()))
        return cls(jobmanager=jobmanager, **values)

    def export(self, environment: MutableMapping[str, str] | None = None) -> None:
        """Set the variables, for a script about to be run."""
        env = os.environ if environment is None else environment
        values = asdict(self)
        jobmanager = values.pop("jobmanager")
        if jobmanager:
            env[JOBMANAGER_VARIABLE] = jobmanager
        else:
            env.pop(JOBMANAGER_VARIABLE, None)
        env[OPTIONS_VARIABLE] = json.dumps(values)


class PlanWrittenError(SystemExit):
    """Ends the script in plan mode, as a normal exit."""

    def __init__(self) -> None:
        super().__init__(0)
