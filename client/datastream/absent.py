"""Classes of PyFlink that Lesto does not have: importing one works, using it says so by name."""

from __future__ import annotations

from typing import Any, NoReturn

from lesto.client.datastream.errors import NotSupportedError
from lesto.client.datastream.location import user_location


class _Absent(type):
    """A class that cannot be used: neither made nor asked for its factories."""

    remedy: str

    def __call__(cls, *_: Any, **__: Any) -> NoReturn:
        """Say that it is not there.

        Raises:
            NotSupportedError: always.
        """
        _refuse(cls.__name__, cls.remedy)

    def __getattr__(cls, name: str) -> Any:
        """Say that a factory is not there.

        Raises:
            NotSupportedError: for every public name.
            AttributeError: for others.
        """
        if name.startswith("_"):
            raise AttributeError(name)
        _refuse(f"{cls.__name__}.{name}", cls.remedy)


def _refuse(name: str, remedy: str) -> NoReturn:
    msg = f"Lesto has no {name}"
    raise NotSupportedError(msg, remedy=remedy, location=user_location())


def absent(name: str, remedy: str) -> Any:
    """A stand-in for a class of PyFlink.

    Args:
        name: of the class.
        remedy: what to use instead.
    """
    return _Absent(name, (), {"remedy": remedy, "__doc__": f"Not in Lesto: {remedy}."})
