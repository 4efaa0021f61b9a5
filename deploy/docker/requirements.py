"""The image's build needs two things of a virtual environment; both are here.

``requirements.py PYPROJECT EXTRAS`` prints Lesto's dependencies with those of the extras, so that
they are a layer that only changes with pyproject.toml. ``requirements.py --trim VENV`` removes what
a running cluster never reads: the libraries' tests, headers and static archives.
"""

from __future__ import annotations

import re
import shutil
import sys
import tomllib
from pathlib import Path

#: What only installing other packages from source, building against these or testing them needs.
UNUSED = (
    "setuptools",
    "setuptools-*.dist-info",
    "pkg_resources",
    "_distutils_hack",
    "distutils-precedence.pth",
    "numba/tests",
    "numba/cuda/tests",
    "numpy/*/tests",
    "numpy/tests",
    "pyarrow/include",
    "pyarrow/tests",
    "pyarrow/src",
)


def requirements(pyproject: Path, extras: list[str]) -> list[str]:
    """Return the dependencies of the project and of some of its extras.

    Raises:
        SystemExit: an extra is unknown.
    """
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    found = list(project["dependencies"])
    for extra in extras:
        if extra not in optional:
            known = ", ".join(sorted(optional))
            sys.exit(f"LESTO_EXTRAS: there is no extra '{extra}'; there are {known}")
        for line in optional[extra]:
            own = re.fullmatch(rf"{project['name']}\[(.*)\]", line)
            found += requirements(pyproject, own[1].split(",")) if own else [line]
    return list(dict.fromkeys(found))


def trim(venv: Path) -> None:
    """Remove what is not needed at run time."""
    for packages in venv.glob("lib/python3*/site-packages"):
        for pattern in UNUSED:
            for found in packages.glob(pattern):
                if found.is_dir():
                    shutil.rmtree(found)
                else:
                    found.unlink()


def main(arguments: list[str]) -> None:
    """Do what the module says."""
    if arguments[0] == "--trim":
        trim(Path(arguments[1]))
        return
    extras = [extra for extra in arguments[1].replace(" ", "").split(",") if extra]
    print("\n".join(requirements(Path(arguments[0]), extras)))


if __name__ == "__main__":
    main(sys.argv[1:])
