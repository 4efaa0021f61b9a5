"""Structured logs: events named ``noun.verb`` with ids bound, for people or for machines.

>>> log = get_logger("lesto.doc")  # log.info("checkpoint.completed", checkpoint_id=7)
>>> redact_secrets(None, "info", {"event": "client.connected", "token": "abc"})["token"]
'******'
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, TextIO

import structlog

REDACTED = "******"
_SECRET_NAME = re.compile(r"token|password|passwd|secret|credential|api_?key|authorization", re.I)
# user:password@ in a URI, and token-like query parameters or settings inside a text.
_SECRET_IN_TEXT = re.compile(
    r"(?P<uri>[a-z][a-z0-9+.-]*://[^/\s:@]+:)[^@/\s]+(?=@)"
    r"|(?P<pair>(?:token|password|passwd|secret|api_?key)['\"]?\s*[=:]\s*['\"]?)[^\s'\"&,;]+"
    r"|(?P<bearer>bearer\s+)[^\s'\"]+",
    re.IGNORECASE,
)


def get_logger(name: str, **ids: Any) -> Any:
    """Return a logger with ids bound (job, operator, subtask, attempt).

    It leaves structlog's global configuration to the user's program. Where ``configure_logging``
    was not called, lines go to the standard library's handlers as ``event key=value`` text.
    """
    logger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.PositionalArgumentsFormatter(),
            _hand_over,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        context_class=dict,
    )
    return logger.bind(**ids) if ids else logger


@contextlib.contextmanager
def bound_ids(**ids: Any) -> Iterator[None]:
    """Add ids to every line logged inside the block, in this thread or coroutine."""
    with structlog.contextvars.bound_contextvars(**ids):
        yield


def configure_logging(
    role: str, level: str = "INFO", json: bool | None = None, *, stream: TextIO | None = None
) -> None:
    """Set up logs of this process, those of libraries included.

    Args:
        role: ``jobmanager``, ``taskmanager``, ``slot`` or ``client``; on every line.
        level: least severe level that is written.
        json: one JSON object a line; by default only when the stream is not a terminal.
        stream: where lines go; by default standard error.
    """
    stream = stream or sys.stderr
    if json is None:
        json = not stream.isatty()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,  # of lines that other libraries log
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=json),
        _Process(role),
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=_final(json, stream)
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        if getattr(old, "_lesto", False):
            root.removeHandler(old)
    handler._lesto = True  # type: ignore[attr-defined]
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.captureWarnings(True)
    _state.chain = shared


def is_configured() -> bool:
    """Return whether this process's logs are ours: ``configure_logging`` was called."""
    return _state.chain is not None


def attach_handler(handler: logging.Handler, level: str = "INFO") -> Callable[[], None]:
    """Send this process's lines, as text, to another handler too; return what ends that.

    Where ``configure_logging`` was not called the logs are the program's own, and nothing happens.

    Args:
        handler: takes the lines.
        level: least severe level it gets, also when the standard stream gets less.
    """
    chain = _state.chain
    if chain is None:
        handler.close()
        return lambda: None
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=chain, processors=_steps(_AS_TEXT))
    )
    root = logging.getLogger()
    for other in root.handlers:
        if getattr(other, "_lesto", False) and other.level == logging.NOTSET:
            other.setLevel(root.level)  # what it was asked for, though the root lets more through
    root.setLevel(min(root.level, logging.getLevelName(level)))
    root.addHandler(handler)

    def end() -> None:
        root.removeHandler(handler)
        handler.close()

    return end


def _final(json: bool, stream: TextIO) -> list[Any]:
    """Return the last steps: tracebacks to text, secrets out, one line."""
    if json:
        return _steps(structlog.processors.JSONRenderer(default=str))
    colors = stream.isatty() and "NO_COLOR" not in os.environ
    return _steps(structlog.dev.ConsoleRenderer(colors=colors))


def _steps(renderer: Any) -> list[Any]:
    return [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redact_secrets,
        renderer,
    ]


_AS_TEXT = structlog.dev.ConsoleRenderer(colors=False)


class _State:
    chain: list[Any] | None = None  # what every line goes through, once configured


_state = _State()


def _hand_over(logger: Any, method: str, event: MutableMapping[str, Any]) -> Any:
    """Give a line to the standard library: as fields for our handler, else as text."""
    if _state.chain is not None:
        for step in _state.chain:
            event = step(logger, method, event)
        return structlog.stdlib.ProcessorFormatter.wrap_for_formatter(logger, method, event)
    failed = event.pop("exc_info", None)
    redact_secrets(logger, method, event)
    fields = " ".join(f"{name}={value!s}" for name, value in event.items() if name != "event")
    return (f"{event['event']} {fields}".rstrip(),), {"exc_info": failed}


class _Process:
    """Adds what identifies the process."""

    def __init__(self, role: str) -> None:
        self._role = role

    def __call__(
        self, _logger: Any, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        event.setdefault("role", self._role)
        event.setdefault("pid", os.getpid())
        return event


def redact_secrets(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace values whose name or shape says secret; the last step before a line is written."""
    for name, value in event.items():
        event[name] = REDACTED if _SECRET_NAME.search(name) and value else _redact(value)
    return event


def _redact(value: Any) -> Any:
    match value:
        case str():
            return _SECRET_IN_TEXT.sub(lambda match: match[match.lastgroup or 0] + REDACTED, value)
        case dict():
            return {
                key: REDACTED if _SECRET_NAME.search(str(key)) and item else _redact(item)
                for key, item in value.items()
            }
        case list() | tuple():
            return [_redact(item) for item in value]
        case _:
            return value
