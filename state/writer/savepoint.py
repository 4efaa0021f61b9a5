"""Makes savepoints: new ones from tables, or changed copies of existing ones."""

from __future__ import annotations

import secrets
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa

from lesto.common.errors import did_you_mean
from lesto.common.identity import operator_uid
from lesto.common.scratch import ScratchDirectory
from lesto.kernels.keygroups import MAX_PARALLELISM_LIMIT
from lesto.proto import checkpoint_pb2
from lesto.proto.checkpoint_pb2 import (
    CheckpointMetadata,
    FileHandle,
    KeyedStateHandle,
    OperatorState,
)
from lesto.state import metadata_file, paths
from lesto.state.errors import SavepointWriteError
from lesto.state.files import Files
from lesto.state.paths import METADATA_NAME
from lesto.state.reader.local_files import LocalHandle
from lesto.state.reader.savepoint import (
    TIMERS,
    TIMERS_PREFIX,
    SavepointReader,
    display_name,
    display_uid,
    find_operator,
    keyed_states,
)
from lesto.state.storage import SnapshotStore
from lesto.state.writer.bootstrap import OperatorBootstrap
from lesto.state.writer.keyed_files import KeyedFiles

DEFAULT_MAX_PARALLELISM: Final = 128


class _TargetStore(SnapshotStore):
    """Everything in one directory, whatever its name."""

    def _name(self, directory: str, checkpoint_id: int, suffix: str) -> str:
        return f"files/{paths.file_name(checkpoint_id, 0, 'writer', suffix)}"


@dataclass(slots=True)
class _Change:
    """What is to be done with one operator.

    Attributes:
        uid: as the user gave it.
        bootstrap: its new state.
        base: its state before; None for a new operator.
    """

    uid: str
    bootstrap: OperatorBootstrap
    base: OperatorState | None = None


@dataclass(slots=True)
class SavepointWriter:
    """A savepoint in the making; as Flink's State Processor API. Methods return the writer.

    ``uid`` is what the job gives with ``uid(...)``; for operators of an existing savepoint also
    their hash, or their name if it is unique.
    """

    _max_parallelism: int
    _base: SavepointReader | None = None
    _changes: dict[str, _Change] = field(default_factory=dict)  # by uid hash
    _removed: set[str] = field(default_factory=set)
    _renamed: dict[str, str] = field(default_factory=dict)  # uid hash -> user's new uid

    @classmethod
    def new_savepoint(cls, max_parallelism: int = DEFAULT_MAX_PARALLELISM) -> SavepointWriter:
        """A savepoint without anything yet.

        Args:
            max_parallelism: key groups of the operators; the job must have the same
                (``pipeline.max-parallelism``).

        Raises:
            SavepointWriteError: the number is not possible.
        """
        return cls(_checked_groups(max_parallelism))

    @classmethod
    def from_existing_savepoint(cls, path: str) -> SavepointWriter:
        """A copy of a checkpoint or savepoint, to be changed; the original stays as it is.

        Raises:
            CheckpointNotFoundError: there is none.
            CorruptFileError: its metadata is damaged.
            SavepointWriteError: it has data under way between operators.
        """
        base = SavepointReader.read(path)
        if base.metadata.in_flight:
            msg = f"{path} is an unaligned checkpoint, with data under way between operators"
            raise SavepointWriteError(msg, remedy="take a savepoint of the job and change that")
        groups = {op.max_parallelism for op in base.metadata.operators if op.max_parallelism}
        return cls(groups.pop() if len(groups) == 1 else DEFAULT_MAX_PARALLELISM, base)

    # ----------------------------------------------------------------------------------- operators

    def with_operator(self, uid: str, bootstrap: OperatorBootstrap) -> SavepointWriter:
        """Add an operator's state.

        Raises:
            SavepointWriteError: the savepoint has the operator.
        """
        hashed = operator_uid(uid)
        present = [op.uid for op in self._operators() if op.uid not in self._removed]
        if hashed in present or hashed in self._changes:
            msg = f"the savepoint has an operator '{uid}' already"
            raise SavepointWriteError(
                msg, remedy="remove_operator(uid) first, or change_operator(uid, ...) parts of it"
            )
        self._changes[hashed] = _Change(uid, bootstrap)
        return self

    def change_operator(self, uid: str, bootstrap: OperatorBootstrap) -> SavepointWriter:
        """Replace or add some states of an operator; those not named stay.

        Raises:
            StateNotFoundError: the savepoint has no such operator.
            SavepointWriteError: it is changed already, or its key groups are to differ.
        """
        base = self._existing(uid)
        if base.uid in self._changes or base.uid in self._removed:
            msg = f"operator '{uid}' is changed or removed already"
            raise SavepointWriteError(msg, remedy="put its states into one OperatorBootstrap")
        if bootstrap.max_parallelism not in (None, base.max_parallelism):
            msg = f"the keyed state of '{uid}' has {base.max_parallelism} key groups"
            raise SavepointWriteError(msg, remedy="key groups are fixed with the state")
        self._changes[base.uid] = _Change(base.user_uid, bootstrap, base)
        return self

    def remove_operator(self, uid: str) -> SavepointWriter:
        """Leave an operator's state out.

        Raises:
            StateNotFoundError: the savepoint has no such operator.
        """
        found = self._existing(uid)
        self._changes.pop(found.uid, None)
        self._removed.add(found.uid)
        return self

    def change_operator_identifier(self, uid: str, new_uid: str) -> SavepointWriter:
        """Give an operator's state to the operator of another uid.

        Raises:
            StateNotFoundError: the savepoint has no such operator.
        """
        self._renamed[self._existing(uid).uid] = new_uid
        return self

    def _operators(self) -> list[OperatorState]:
        return [] if self._base is None else list(self._base.metadata.operators)

    def _existing(self, uid: str) -> OperatorState:
        return find_operator(self._operators(), uid)

    # --------------------------------------------------------------------------------------- write

    def write(self, path: str) -> str:
        """Write the savepoint; ``lesto run -s PATH`` starts from it. Complete or not there at all.

        Args:
            path: its directory, which must not be a savepoint yet; a local path or any URI.

        Returns:
            The path.

        Raises:
            SavepointWriteError: a table does not fit, or there is a savepoint already.
            StateError: a file of the existing savepoint is missing or damaged.
            StorageError: the storage refused.
        """
        root = str(path).rstrip("/")
        files = Files(root)
        if files.exists(METADATA_NAME):
            msg = f"{root} is a savepoint already"
            raise SavepointWriteError(msg, remedy="give another directory")
        if paths.checkpoint_number(root) is not None:
            msg = f"{root} is named as checkpoints are, whose files lie elsewhere"
            raise SavepointWriteError(msg, remedy="name the directory otherwise")
        fresh = not files.exists("")
        scratch = ScratchDirectory("savepoint")
        try:
            metadata = _Writing(self, _TargetStore(root), scratch.path).metadata()
            files.create(METADATA_NAME, metadata_file.encode(metadata))
        except BaseException:
            files.delete_directory("" if fresh else "files")
            raise
        finally:
            scratch.close()
        return root


class _Writing:
    """One run of :meth:`SavepointWriter.write`."""

    def __init__(self, plan: SavepointWriter, store: SnapshotStore, scratch: Path) -> None:
        self._plan = plan
        self._store = store
        self._scratch = scratch
        self._base = plan._base
        self._source = None if plan._base is None else plan._base.store()
        self._copied: dict[str, FileHandle] = {}
        self._id = 1 if plan._base is None else max(1, plan._base.checkpoint_id)

    def metadata(self) -> CheckpointMetadata:
        """Write all files; what makes them a savepoint."""
        import lesto

        metadata = CheckpointMetadata(
            format_version=metadata_file.FORMAT_VERSION,
            job_id=secrets.token_hex(16) if self._base is None else self._base.metadata.job_id,
            checkpoint_id=self._id,
            timestamp_ms=time.time_ns() // 1_000_000,
            type=checkpoint_pb2.CHECKPOINT_TYPE_SAVEPOINT,
            lesto_version=lesto.__version__,
            full=True,
        )
        for operator in self._plan._operators():
            if operator.uid in self._plan._changes or operator.uid in self._plan._removed:
                continue
            metadata.operators.append(self._kept(operator))
        for change in self._plan._changes.values():
            metadata.operators.append(self._changed(change))
        for operator in metadata.operators:
            new = self._plan._renamed.get(operator.uid)
            if new is not None:
                operator.user_uid, operator.uid = new, operator_uid(new)
        _check_unique(metadata)
        return metadata

    # -- operators that stay

    def _kept(self, operator: OperatorState) -> OperatorState:
        kept = OperatorState()
        kept.CopyFrom(operator)
        for subtask in kept.subtasks:
            for handle in subtask.keyed:
                self._copy(handle)
        return kept

    def _copy(self, handle: KeyedStateHandle) -> None:
        assert self._source is not None
        for named in handle.files:
            known = self._copied.get(named.file.path)
            if known is None:
                with tempfile.TemporaryDirectory(dir=self._scratch) as directory:
                    local = Path(directory) / "file"
                    self._source.download(named.file, local)
                    suffix = Path(named.name).suffix
                    known = self._store.write_exclusive(self._id, local, suffix=suffix)
                self._copied[named.file.path] = known
            named.file.CopyFrom(known)
            named.shared = False

    # -- operators with new state

    def _changed(self, change: _Change) -> OperatorState:
        bootstrap, base = change.bootstrap, change.base
        groups = bootstrap.max_parallelism or self._plan._max_parallelism
        made = OperatorState(
            uid=operator_uid(change.uid),
            user_uid=change.uid,
            name=bootstrap.name or change.uid,
            parallelism=1,
            max_parallelism=_checked_groups(groups),
        )
        if base is not None:
            made.CopyFrom(base)
            del made.subtasks[:]
            self._check_removed(bootstrap, base)
        self._write_lists(bootstrap, base, made)
        if bootstrap.enumerator is not None:
            made.coordinator_state = bootstrap.enumerator
        with tempfile.TemporaryDirectory(dir=self._scratch) as directory:
            keyed = KeyedFiles(made.max_parallelism, Path(directory))
            self._fill(keyed, bootstrap, base)
            if not keyed.empty:
                first = made.subtasks[0]
                first.keyed.extend(keyed.write(self._store, self._id))
                first.state_bytes += sum(
                    named.file.length_bytes for handle in first.keyed for named in handle.files
                )
        return made

    def _fill(
        self, keyed: KeyedFiles, bootstrap: OperatorBootstrap, base: OperatorState | None
    ) -> None:
        stored = {} if base is None else keyed_states(base)
        gone = {_stored_name(name) for name in bootstrap.removed} | bootstrap.parts.keys()
        kept = [meta for name, meta in stored.items() if name not in gone]
        if kept:
            assert base is not None
            assert self._source is not None
            with tempfile.TemporaryDirectory(dir=self._scratch) as directory:
                handles = [
                    LocalHandle(handle, self._source, Path(directory))
                    for subtask in base.subtasks
                    for handle in subtask.keyed
                ]
                for meta in kept:
                    keyed.keep(meta, handles)
        for name, make in bootstrap.parts.items():
            known = name in stored and base is not None
            keyed.add(make(self._schema_of(base, name) if known else None))

    def _schema_of(self, base: OperatorState | None, name: str) -> pa.Schema:
        """The columns that the reader gives for a stored state."""
        assert base is not None
        assert self._base is not None
        return self._base.read_keyed_state(base.uid, name).schema

    def _write_lists(
        self, bootstrap: OperatorBootstrap, base: OperatorState | None, made: OperatorState
    ) -> None:
        """Operator lists: those not named stay with their subtasks, new ones go to the first."""
        gone = {name for name, _ in bootstrap.lists} | bootstrap.removed
        for subtask in () if base is None else base.subtasks:
            kept = made.subtasks.add(subtask=subtask.subtask)
            kept.lists.extend(lst for lst in subtask.lists if lst.name not in gone)
        if not made.subtasks:
            made.subtasks.add(subtask=0)
        made.subtasks[0].lists.extend(bootstrap.state_lists())
        for subtask in made.subtasks:
            subtask.state_bytes = sum(len(item) for lst in subtask.lists for item in lst.items)

    def _check_removed(self, bootstrap: OperatorBootstrap, base: OperatorState) -> None:
        lists = {lst.name for subtask in base.subtasks for lst in subtask.lists}
        known = {*keyed_states(base), *lists}
        for name in bootstrap.removed:
            if _stored_name(name) not in known:
                shown = [display_name(stored) for stored in known]
                hint = did_you_mean(name, shown)
                msg = f"operator '{display_uid(base)}' has no state '{name}'{hint}"
                raise SavepointWriteError(msg, remedy=f"it has: {', '.join(sorted(shown))}")


def _stored_name(name: str) -> str:
    return TIMERS_PREFIX + name.removeprefix(TIMERS) if name.startswith(TIMERS) else name


def _checked_groups(number: int) -> int:
    if not 1 <= number <= MAX_PARALLELISM_LIMIT:
        msg = f"max parallelism is 1 to {MAX_PARALLELISM_LIMIT}, not {number}"
        raise SavepointWriteError(msg, remedy="give the job's pipeline.max-parallelism")
    return number


def _check_unique(metadata: CheckpointMetadata) -> None:
    seen: dict[str, OperatorState] = {}
    for operator in metadata.operators:
        if operator.uid in seen:
            msg = f"two operators would have the uid '{display_uid(operator)}'"
            raise SavepointWriteError(msg, remedy="remove one, or give it another uid")
        seen[operator.uid] = operator
