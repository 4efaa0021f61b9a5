"""Checkpoints and savepoints as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from lesto.common.errors import did_you_mean
from lesto.common.identity import operator_uid
from lesto.proto.checkpoint_pb2 import CheckpointMetadata, CheckpointType, OperatorState
from lesto.state.descriptors import StateDescriptor
from lesto.state.errors import StateMismatchError, StateNotFoundError
from lesto.state.metadata_file import locate
from lesto.state.reader.operator_lists import enumerator_table, list_table
from lesto.state.reader.streams import read_state
from lesto.state.registry import StateMeta, decode_states
from lesto.state.storage import SnapshotStore

TIMERS_PREFIX: Final = "__timers__"
TIMERS: Final = "timers:"
ENUMERATOR: Final = "enumerator"
LIST, UNION = "operator-list", "union-list"
#: Names that a message lists at most.
NAMED_MAX: Final = 12

#: A state by its name or by the descriptor the job has for it.
StateName = str | StateDescriptor


@dataclass(frozen=True, slots=True)
class StateInfo:
    """One state of an operator.

    Attributes:
        name: as the job named it; timers are ``timers:event`` and ``timers:processing``.
        kind: value, list, map, reducing, aggregating, table, timers, operator-list, union-list or
            enumerator.
        types: types the job declared, as text.
        items: number of items, of operator state; None where that would need reading.
    """

    name: str
    kind: str
    types: tuple[str, ...] = ()
    items: int | None = None


@dataclass(frozen=True, slots=True)
class OperatorInfo:
    """One operator of a snapshot.

    Attributes:
        uid: what the user gave as uid, else the identity made for it.
        uid_hash: the identity, 32 hex digits.
        name: its name.
        parallelism: subtasks it had.
        max_parallelism: key groups of its keyed state.
        state_bytes: bytes of its files and lists.
        states: what it keeps.
    """

    uid: str
    uid_hash: str
    name: str
    parallelism: int
    max_parallelism: int
    state_bytes: int
    states: tuple[StateInfo, ...]


class SavepointReader:
    """State of a checkpoint or savepoint as Arrow tables; as Flink's State Processor API.

    ``uid`` is an operator's uid as the job has it, its hash, or its name when that is unique.
    Everything is read lazily: results are :class:`pyarrow.RecordBatchReader`, which pandas
    (``read_pandas()``), Polars and DuckDB take as they are. Each file is verified before its first
    entry is given; errors are raised by the method, or by the reader while it is consumed.
    """

    def __init__(
        self, metadata: CheckpointMetadata, path: str, root: str, *, allow_pickle: bool
    ) -> None:
        self.metadata = metadata
        self.path = path
        self.root = root
        self._allow_pickle = allow_pickle

    @classmethod
    def read(cls, path: str, *, allow_pickle: bool = False) -> SavepointReader:
        """Open a checkpoint or savepoint.

        Args:
            path: its directory or its ``_metadata``; a local path or any pyarrow.fs URI.
            allow_pickle: load pickled values, which runs code that whoever wrote the snapshot
                chose; else they are given as bytes.

        Raises:
            CheckpointNotFoundError: there is none.
            CorruptFileError: its metadata is damaged.
            StorageError: the storage refused.
        """
        metadata, directory, root = locate(str(path))
        return cls(metadata, directory, root, allow_pickle=allow_pickle)

    # ----------------------------------------------------------------------------------- contents

    @property
    def checkpoint_id(self) -> int:
        """Number of the checkpoint."""
        return int(self.metadata.checkpoint_id)

    @property
    def kind(self) -> str:
        """checkpoint, savepoint or final."""
        name = CheckpointType.Name(self.metadata.type)
        return name.removeprefix("CHECKPOINT_TYPE_").lower()

    def operators(self) -> list[OperatorInfo]:
        """Every operator, those without state too.

        Raises:
            CorruptFileError: the description of a state is damaged.
        """
        return [_info(state) for state in self.metadata.operators]

    def states(self, uid: str) -> tuple[StateInfo, ...]:
        """The states of one operator.

        Raises:
            StateNotFoundError: there is no such operator.
        """
        return _info(self.operator(uid)).states

    def operator(self, uid: str) -> OperatorState:
        """An operator's part of the metadata.

        Raises:
            StateNotFoundError: there is none, or several have this name.
        """
        return find_operator(self.metadata.operators, uid)

    # ---------------------------------------------------------------------------------- keyed state

    def read_keyed_state(
        self,
        uid: str,
        state: StateName,
        *,
        limit: int | None = None,
        last_access: bool = False,
    ) -> pa.RecordBatchReader:
        """Keyed state of any kind.

        Columns of value, list, reducing and aggregating state (for the last two: what is
        accumulated): ``key``, ``value``; of map state: ``key``, ``map_key``, ``value``, a row for
        each entry. State in windows also has ``window_start`` and ``window_end`` (ms), that of
        other namespaces ``namespace``. A state table has its key columns by name, ``window_start``
        (and ``window_end``), and a column for each accumulator.

        Args:
            uid: of the operator.
            state: name or descriptor; a descriptor's kind must be the stored one.
            limit: rows at most; types are then those of these rows.
            last_access: a column ``last_access`` more (ms, of the clock by which the state expires;
                of a list, one for each element): null where state has no time-to-live. Values are
                shown without it in any case, expired ones too.

        Raises:
            StateNotFoundError: no such operator or state.
            StateMismatchError: the state is of another kind.
            MissingFileError: a file is not there.
            CorruptFileError: a file is damaged.
        """
        operator = self.operator(uid)
        name = state if isinstance(state, str) else state.name
        meta = self._meta(operator, name)
        if isinstance(state, StateDescriptor) and state.kind and state.kind != meta.kind:
            msg = f"state '{name}' is of kind {meta.kind}, not {state.kind}"
            raise StateMismatchError(msg, remedy=f"read it as {meta.kind} state")
        return self._read(operator, meta, limit, last_access=last_access)

    def read_timers(
        self, uid: str, domain: str = "event", *, limit: int | None = None
    ) -> pa.RecordBatchReader:
        """Timers: ``timestamp`` (ms), ``key``, and the window or namespace.

        Args:
            uid: of the operator.
            domain: event or processing.
            limit: rows at most.

        Raises:
            StateNotFoundError: no such operator, or it has no such timers.
        """
        operator = self.operator(uid)
        return self._read(operator, self._meta(operator, f"{TIMERS}{domain}"), limit)

    def read_window_state(
        self, uid: str, state: StateName | None = None, *, limit: int | None = None
    ) -> pa.RecordBatchReader:
        """What windows hold: a row for each key and window, with the window's bounds.

        Args:
            uid: of the window operator.
            state: by default the windows' contents; or a state that a window function keeps.
            limit: rows at most.

        Raises:
            StateNotFoundError: no such operator or state.
        """
        if state is not None:
            return self.read_keyed_state(uid, state, limit=limit)
        operator = self.operator(uid)
        known = keyed_states(operator)
        for name in ("_window_contents", "window_aggregate"):
            if name in known:
                return self._read(operator, known[name], limit)
        msg = f"operator '{display_uid(operator)}' has no windows; it has: {_named(known)}"
        raise StateNotFoundError(msg, remedy="read its states with read_keyed_state")

    def _read(
        self,
        operator: OperatorState,
        meta: StateMeta,
        limit: int | None,
        *,
        last_access: bool = False,
    ) -> pa.RecordBatchReader:
        handles = [
            handle
            for subtask in sorted(operator.subtasks, key=lambda s: s.subtask)
            for handle in subtask.keyed
        ]
        return read_state(
            handles,
            self.store(),
            meta,
            limit=limit,
            load_pickles=self._allow_pickle,
            last_access=last_access,
            operator=display_uid(operator),
        )

    def store(self) -> SnapshotStore:
        """Where the files are."""
        return SnapshotStore(self.root)

    def _meta(self, operator: OperatorState, name: str) -> StateMeta:
        known = keyed_states(operator)
        shown = {display_name(stored): stored for stored in known}
        stored = name if name in known else shown.get(name)
        if stored is None:
            raise _no_state(operator, name, shown)
        return known[stored]

    # ------------------------------------------------------------------------------- operator state

    def read_list_state(self, uid: str, state: str, *, limit: int | None = None) -> pa.Table:
        """Operator list state, such as a source's splits or a sink's committables.

        Columns: ``subtask``, ``index``, ``value`` (bytes) and ``text`` (what the bytes say, for
        people, where that can be told).

        Raises:
            StateNotFoundError: no such operator or state.
        """
        return self._list(uid, state, union=False, limit=limit)

    def read_union_state(self, uid: str, state: str, *, limit: int | None = None) -> pa.Table:
        """Operator union list state, of which every subtask gets all; columns as of a list.

        Raises:
            StateNotFoundError: no such operator or state.
        """
        return self._list(uid, state, union=True, limit=limit)

    def read_enumerator_state(self, uid: str) -> pa.Table:
        """What a source's enumerator has stored: one row.

        Raises:
            StateNotFoundError: no such operator, or it is no source.
        """
        operator = self.operator(uid)
        if not operator.HasField("coordinator_state"):
            raise _no_state(operator, ENUMERATOR, [s.name for s in _info(operator).states])
        return enumerator_table(operator)

    def _list(self, uid: str, name: str, *, union: bool, limit: int | None) -> pa.Table:
        operator = self.operator(uid)
        kind = UNION if union else LIST
        known = [s.name for s in _info(operator).states if s.kind == kind]
        if name not in known:
            raise _no_state(operator, name, known)
        return list_table(operator, name, union=union, limit=limit)

    # ------------------------------------------------------------------------------------- anything

    def read_state(
        self, uid: str, state: str | None = None, *, limit: int | None = None
    ) -> pa.RecordBatchReader:
        """Any state by its name as ``states`` gives it.

        Args:
            uid: of the operator.
            state: may be left out when the operator has one.
            limit: rows at most.

        Raises:
            StateNotFoundError: no such operator or state, or several and no name.
        """
        operator = self.operator(uid)
        states = _info(operator).states
        if state is None:
            if len(states) != 1:
                has = _named([s.name for s in states])
                msg = f"operator '{display_uid(operator)}' has {len(states)} states: {has}"
                raise StateNotFoundError(msg, remedy="name one")
            state = states[0].name
        found = next((s for s in states if s.name == state), None)
        readers: dict[str, Callable[[], pa.Table]] = {
            LIST: lambda: list_table(operator, state, union=False, limit=limit),
            UNION: lambda: list_table(operator, state, union=True, limit=limit),
            ENUMERATOR: lambda: enumerator_table(operator),
        }
        if found is not None and found.kind in readers:
            return readers[found.kind]().to_reader()
        if found is None and state not in keyed_states(operator):
            raise _no_state(operator, state, [s.name for s in states])
        return self._read(operator, self._meta(operator, state), limit)


def find_operator(operators: Iterable[OperatorState], uid: str) -> OperatorState:
    """The operator of a uid, uid hash or name.

    Raises:
        StateNotFoundError: there is none, or several have this name.
    """
    operators = list(operators)
    hashed = operator_uid(uid)
    for state in operators:
        if state.uid in (uid, hashed):
            return state
    named = [state for state in operators if state.name == uid]
    if len(named) == 1:
        return named[0]
    if named:
        uids = ", ".join(display_uid(state) for state in named)
        msg = f"{len(named)} operators are named '{uid}'"
        raise StateNotFoundError(msg, remedy=f"give a uid instead: {uids}")
    words = [w for state in operators for w in (state.user_uid, state.name, state.uid) if w]
    has = _named([f"{state.name} ({display_uid(state)})" for state in operators])
    msg = f"the snapshot has no operator '{uid}'{did_you_mean(uid, words)}; it has: {has}"
    raise StateNotFoundError(msg, remedy="give an operator's uid or name, see `lesto state list`")


def display_uid(state: OperatorState) -> str:
    """The user's uid, or the identity that was made for an operator without."""
    return state.user_uid or state.uid


def display_name(stored: str) -> str:
    """A keyed state's name as people see it."""
    if stored.startswith(TIMERS_PREFIX):
        return TIMERS + stored.removeprefix(TIMERS_PREFIX)
    return stored


def keyed_states(operator: OperatorState) -> dict[str, StateMeta]:
    """Keyed states by stored name; subtasks may have registered different ones.

    Raises:
        CorruptFileError: a description is damaged.
    """
    found: dict[str, StateMeta] = {}
    for subtask in operator.subtasks:
        for handle in subtask.keyed:
            for meta in decode_states(handle.states_meta).values():
                known = found.get(meta.name)
                if known is None or (not known.extra and meta.extra):
                    found[meta.name] = meta
    return found


def _info(operator: OperatorState) -> OperatorInfo:
    states = [
        StateInfo(display_name(meta.name), meta.kind, meta.types)
        for meta in keyed_states(operator).values()
    ]
    items: dict[tuple[str, str], int] = {}
    for subtask in operator.subtasks:
        for lst in subtask.lists:
            at = (lst.name, UNION if lst.union else LIST)
            items[at] = items.get(at, 0) + len(lst.items)
    states += [StateInfo(name, kind, items=count) for (name, kind), count in items.items()]
    if operator.HasField("coordinator_state"):
        states.append(StateInfo(ENUMERATOR, ENUMERATOR, items=1))
    return OperatorInfo(
        uid=display_uid(operator),
        uid_hash=operator.uid,
        name=operator.name,
        parallelism=operator.parallelism,
        max_parallelism=operator.max_parallelism,
        state_bytes=sum(s.state_bytes for s in operator.subtasks),
        states=tuple(states),
    )


def _named(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    return (", ".join(names[:NAMED_MAX]) or "nothing") + more


def _no_state(operator: OperatorState, name: str, known: Iterable[str]) -> StateNotFoundError:
    known = list(known)
    msg = (
        f"operator '{display_uid(operator)}' has no state '{name}'{did_you_mean(name, known)}; "
        f"it has: {_named(known)}"
    )
    return StateNotFoundError(msg, remedy="see `lesto state list`")
