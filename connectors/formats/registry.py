"""Confluent's schema registry: schemas by id, and the five bytes that carry the id.

Three requests of its REST interface, over the standard library. Schemas by id never change, so
they are kept.
"""

from __future__ import annotations

import base64
import json
import struct
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lesto.connectors.errors import ConnectorConfigError, SchemaRegistryError

#: First byte of a message with a schema id of four bytes behind it.
MAGIC: Final = 0
TIMEOUT_S: Final = 5.0
ATTEMPTS_MAX: Final = 4
PAUSE_S: Final = 0.2
ANSWER_BYTES_MAX: Final = 8 << 20
_HEADER: Final = struct.Struct(">bI")
_CONTENT: Final = "application/vnd.schemaregistry.v1+json"


def split_message(message: bytes) -> tuple[int, bytes]:
    """(schema id, the rest) of a message.

    Raises:
        ValueError: it does not begin as it should.
    """
    if len(message) < _HEADER.size or message[0] != MAGIC:
        msg = "the message does not begin with the byte 0 and a schema id"
        raise ValueError(msg)
    return _HEADER.unpack_from(message)[1], message[_HEADER.size :]


def header(schema_id: int) -> bytes:
    """What a message with this schema begins with."""
    return _HEADER.pack(MAGIC, schema_id)


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """A schema as the registry has it.

    Attributes:
        text: the schema.
        kind: ``AVRO``, ``PROTOBUF`` or ``JSON``.
        references: (name used in the text, subject, version) of schemas that it uses.
    """

    text: str
    kind: str
    references: tuple[tuple[str, str, int], ...] = ()


class SchemaRegistry:
    """A client of a registry.

    Args:
        url: ``http(s)://host:port``.
        user: for basic authentication.
        password: for basic authentication.

    Raises:
        ConnectorConfigError: not such a URL.
    """

    def __init__(self, url: str, *, user: str = "", password: str = "") -> None:
        if urllib.parse.urlsplit(url).scheme not in {"http", "https"}:
            msg = f"'{url}' is not the URL of a schema registry"
            raise ConnectorConfigError(msg, remedy="SchemaRegistry('http://host:8081')")
        self.url = url.rstrip("/")
        self._user = user
        self._password = password
        self._by_id: dict[int, RegisteredSchema] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (self.url, self._user, self._password))

    def by_id(self, schema_id: int) -> RegisteredSchema:
        """The schema with an id.

        Raises:
            SchemaRegistryError: there is none, or no answer.
        """
        with self._lock:
            found = self._by_id.get(schema_id)
        if found is None:
            answer = self._ask("GET", f"/schemas/ids/{schema_id}")
            found = _schema(answer)
            with self._lock:
                self._by_id[schema_id] = found
        return found

    def version(self, subject: str, version: int) -> RegisteredSchema:
        """A version of a subject, for references."""
        name = urllib.parse.quote(subject, safe="")
        return _schema(self._ask("GET", f"/subjects/{name}/versions/{version}"))

    def register(self, subject: str, text: str, kind: str) -> int:
        """The id of a schema, which becomes a version of the subject unless it is one.

        Raises:
            SchemaRegistryError: it is not compatible with the versions before, or no answer.
        """
        name = urllib.parse.quote(subject, safe="")
        body: dict[str, Any] = {"schema": text}
        if kind != "AVRO":
            body["schemaType"] = kind
        return int(self._ask("POST", f"/subjects/{name}/versions", body)["id"])

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data=data, method=method, headers={"Content-Type": _CONTENT}
        )
        if self._user:
            token = base64.b64encode(f"{self._user}:{self._password}".encode()).decode()
            request.add_header("Authorization", f"Basic {token}")
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                    return json.loads(answer.read(ANSWER_BYTES_MAX))
            except urllib.error.HTTPError as error:
                with error:
                    text = error.read(2000).decode("utf-8", "replace")
                if error.code < 500 or attempt == ATTEMPTS_MAX:
                    msg = f"the schema registry answers {error.code} to {method} {path}: {text}"
                    raise SchemaRegistryError(
                        msg, remedy="check the subject, its compatibility rule and the access"
                    ) from error
            except (OSError, ValueError) as error:
                if attempt == ATTEMPTS_MAX:
                    msg = f"the schema registry {self.url} does not answer: {error}"
                    raise SchemaRegistryError(msg, remedy="is it up and reachable?") from error
            time.sleep(PAUSE_S * attempt)
        raise AssertionError


def _schema(answer: Mapping[str, Any]) -> RegisteredSchema:
    references = tuple(
        (str(r["name"]), str(r["subject"]), int(r["version"]))
        for r in answer.get("references") or ()
    )
    return RegisteredSchema(answer["schema"], answer.get("schemaType", "AVRO"), references)


def _rebuild(url: str, user: str, password: str) -> SchemaRegistry:
    return SchemaRegistry(url, user=user, password=password)
