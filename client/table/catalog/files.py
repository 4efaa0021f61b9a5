"""A catalog whose databases are JSON files in a directory."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from lesto.client.table.catalog.memory import GenericInMemoryCatalog, _Contents
from lesto.client.table.catalog.objects import (
    CatalogDatabase,
    CatalogFunction,
    CatalogObject,
    CatalogTable,
    CatalogView,
    TableColumn,
)
from lesto.client.table.errors import CatalogError, CatalogFileError
from lesto.sql.type_parser import parse_type

_VERSION: Final = 1


class FileCatalog(GenericInMemoryCatalog):
    """Keeps each database in ``<path>/<database>.json``, written anew at each change.

    One process at a time should change it: a file is replaced as a whole.

    Args:
        name: of the catalog.
        path: a directory; made if it is not there.
        default_database: made at once.

    Raises:
        CatalogFileError: a file is not as this version of Lesto writes it.
    """

    def __init__(self, name: str, path: str, default_database: str = "default") -> None:
        super().__init__(name, default_database)
        self._path = Path(path)
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            for file in sorted(self._path.glob("*.json")):
                self._databases[file.stem] = _read(file)
        except OSError as error:
            msg = f"the directory of catalog {name} cannot be read: {error}"
            raise CatalogFileError(
                msg,
                remedy="give a directory that can be read and written as option 'path'",
            ) from error
        if not (self._path / f"{default_database}.json").exists():
            self._changed(default_database)

    def _changed(self, database: str) -> None:
        file = self._path / f"{database}.json"
        try:
            if database not in self._databases:
                file.unlink(missing_ok=True)
                return
            text = json.dumps(_written(self._databases[database]), indent=1)
            temporary = file.with_suffix(f".{os.getpid()}.tmp")
            temporary.write_text(text)
            temporary.replace(file)
        except OSError as error:
            msg = f"database {database} cannot be written to {file}: {error}"
            raise CatalogFileError(
                msg,
                remedy="give a directory that can be read and written as option 'path'",
            ) from error

    def create_database(self, name: str, database: CatalogDatabase) -> None:
        """Make a database, whose name becomes that of a file."""
        if not name or set(name) & set("/\\\0") or name.startswith("."):
            msg = f"{name!r} cannot be the name of a file"
            raise CatalogError(msg, remedy="use letters, digits and _")
        super().create_database(name, database)


def _written(contents: _Contents) -> dict[str, Any]:
    return {
        "version": _VERSION,
        "database": asdict(contents.database),
        "objects": {name: _object(what) for name, what in contents.objects.items()},
        "functions": {
            name: {"target": f.target, "language": f.language}
            for name, f in contents.functions.items()
        },
    }


def _object(what: CatalogObject) -> dict[str, Any]:
    if isinstance(what, CatalogView):
        if what.plan is not None:
            msg = "a view of a Table has no text that could be kept"
            raise CatalogError(
                msg,
                remedy="create it as a temporary view, or by CREATE VIEW ... AS query",
            )
        return {
            "kind": "view",
            "query": what.query,
            "columns": list(what.columns),
            "comment": what.comment,
            "path": list(what.path),
            "options": dict(what.options),
        }
    return {
        "kind": "table",
        "columns": [_column(c) for c in what.columns],
        "watermark": what.watermark,
        "primary_key": what.primary_key,
        "partition_keys": what.partition_keys,
        "options": dict(what.options),
        "comment": what.comment,
        "distribution": what.distribution,
        "proctime": what.proctime,
        "key_name": what.key_name,
    }


def _column(c: TableColumn) -> dict[str, Any]:
    return {
        "name": c.name,
        "type": c.type.summary(),
        "kind": c.kind,
        "expression": c.expression,
        "metadata": c.metadata,
        "virtual": c.virtual,
        "comment": c.comment,
    }


def _read(file: Path) -> _Contents:
    try:
        found = json.loads(file.read_text())
        if found["version"] != _VERSION:
            msg = f"{file} is of version {found['version']}, this Lesto reads {_VERSION}"
            raise CatalogFileError(
                msg,
                remedy="use the version of Lesto that wrote it",
            )
        database = found["database"]
        contents = _Contents(
            CatalogDatabase(database["comment"], tuple(map(tuple, database["options"])))
        )
        for name, what in found["objects"].items():
            contents.objects[name] = _read_object(what)
        for name, f in found["functions"].items():
            contents.functions[name] = CatalogFunction(f["target"], f["language"])
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{file} is not a file of a catalog: {error!r}"
        raise CatalogFileError(msg, remedy="restore it or remove it") from error
    return contents


def _read_object(what: dict[str, Any]) -> CatalogObject:
    options = tuple(what["options"].items())
    if what["kind"] == "view":
        return CatalogView(
            what["query"], tuple(what["columns"]), what["comment"], tuple(what["path"]), options
        )
    return CatalogTable(
        columns=tuple(TableColumn(**{**c, "type": parse_type(c["type"])}) for c in what["columns"]),
        watermark=None if what["watermark"] is None else tuple(what["watermark"]),
        primary_key=tuple(what["primary_key"]),
        partition_keys=tuple(what["partition_keys"]),
        options=options,
        comment=what["comment"],
        distribution=what["distribution"],
        proctime=tuple(what["proctime"]),
        key_name=what["key_name"],
    )
