"""Paths, directories, globs and URIs as a sorted list of files."""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyarrow import fs

from lesto.common.errors import did_you_mean
from lesto.connectors.errors import InputNotFoundError
from lesto.state.arrow_objects import filesystem

_GLOB_CHARACTERS = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file of the input: its path inside the file system and its size in bytes."""

    path: str
    size_bytes: int


def resolve(uri: str) -> tuple[fs.FileSystem, str]:
    """File system and path of a URI (``s3://bucket/x``, ``file:///x``) or of a local path."""
    if "://" in uri:
        system, path = filesystem(uri)
        return system, str(path)
    return fs.LocalFileSystem(), str(Path(uri).expanduser().resolve())


def is_hidden(path: str) -> bool:
    """Not data: Flink, Hadoop and Lesto hide what begins with a dot or an underscore."""
    return posixpath.basename(path)[:1] in {".", "_"}


def list_files(uris: Iterable[str], *, must_exist: bool = True) -> list[tuple[str, FileInfo]]:
    """(URI as given, file) of everything that the URIs name, sorted by path.

    Raises:
        InputNotFoundError: a URI names nothing, and ``must_exist``.
    """
    found: list[tuple[str, FileInfo]] = []
    for uri in uris:
        matches = _expand(uri)
        if not matches and must_exist:
            raise _nothing_at(uri)
        found.extend((uri, info) for info in matches)
    return sorted(found, key=lambda pair: pair[1].path)


def _nothing_at(uri: str) -> InputNotFoundError:
    """Says whether the path is wrong or only empty, and what is there instead."""
    system, path = resolve(uri)
    wait = "give watch_interval to wait for files"
    if _GLOB_CHARACTERS & set(path):
        return InputNotFoundError(
            f"no file matches '{uri}'", remedy=f"check the pattern, or {wait}"
        )
    if system.get_file_info(path).type == fs.FileType.Directory:
        return InputNotFoundError(
            f"the directory '{uri}' has no files to read",
            remedy=f"put files there (names that begin with . or _ do not count), or {wait}",
        )
    parent, name = posixpath.split(path.rstrip("/"))
    selector = fs.FileSelector(parent, allow_not_found=True)
    near = did_you_mean(name, [i.base_name for i in system.get_file_info(selector)])
    return InputNotFoundError(
        f"'{uri}' does not exist{near}",
        remedy="check the path; relative ones start in the directory where the job is built",
    )


def _expand(uri: str) -> Sequence[FileInfo]:
    system, path = resolve(uri)
    if _GLOB_CHARACTERS & set(path):
        fixed = path.split("*")[0].split("?")[0].split("[")[0]
        return [
            f for f in _walk(system, posixpath.dirname(fixed)) if fnmatch.fnmatchcase(f.path, path)
        ]
    info = system.get_file_info(path)
    if info.type == fs.FileType.File:
        return [FileInfo(info.path, info.size)]
    return [f for f in _walk(system, path) if not _below_hidden(f.path, path)]


def _walk(system: fs.FileSystem, root: str) -> list[FileInfo]:
    selector = fs.FileSelector(root, recursive=True, allow_not_found=True)
    return [
        FileInfo(i.path, i.size)
        for i in system.get_file_info(selector)
        if i.type == fs.FileType.File
    ]


def _below_hidden(path: str, root: str) -> bool:
    relative = posixpath.relpath(path, root)
    return any(part[:1] in {".", "_"} for part in relative.split("/"))
