"""Identities of operators, under which their state is kept."""

from __future__ import annotations

import hashlib


def digest(*parts: str) -> str:
    """A stable id (32 hex digits) of some texts."""
    text = "\0".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def operator_uid(user_uid: str) -> str:
    """The identity of an operator that was given a ``uid(...)``.

    >>> operator_uid("counter") == operator_uid("counter") != operator_uid("counter ")
    True
    """
    return digest("user", user_uid)
