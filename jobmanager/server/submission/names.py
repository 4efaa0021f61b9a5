"""Names of uploaded files. Pure.

What a client calls a file is never a path here: its last part is kept, made harmless, as a label.
An uploaded file is known by its content and its label: ``<32 digits of its SHA-256>_<label>``.
"""

from __future__ import annotations

import re
from typing import Final

from lesto.jobmanager.server.submission.errors import InvalidUploadError

#: What can be run: a script, or an archive that Python imports from.
SUFFIXES: Final = (".py", ".zip", ".whl", ".pyz")
MAX_LABEL_CHARACTERS: Final = 100
DIGEST_DIGITS: Final = 32
_ID: Final = re.compile(rf"([0-9a-f]{{{DIGEST_DIGITS}}})_([A-Za-z0-9_][A-Za-z0-9_.+-]*)")
_HARMFUL: Final = re.compile(r"[^A-Za-z0-9_.+-]+")


def label_of(filename: str) -> str:
    r"""The label of a file that a client calls so.

    Raises:
        InvalidUploadError: nothing of the name is left, or it is no program by its suffix.

    >>> label_of("../../etc/my job.py"), label_of("C:\\jobs\\Count.PY"), label_of("..hidden.zip")
    ('my_job.py', 'Count.py', 'hidden.zip')
    """
    base = re.split(r"[/\\\0]", filename)[-1]
    stem, dot, suffix = base.rpartition(".")
    kind = (dot + suffix).lower()
    harmless = _HARMFUL.sub("_", stem).lstrip(".+-")
    if kind not in SUFFIXES or not harmless:
        msg = f"the file name does not end with {', '.join(SUFFIXES)}"
        raise InvalidUploadError(
            msg, remedy="Upload a script, or an archive that Python imports from."
        )
    return harmless[: MAX_LABEL_CHARACTERS - len(kind)] + kind


def artifact_id(digest: str, label: str) -> str:
    """The id of a file: of its SHA-256 in hexadecimal, and its label."""
    return f"{digest[:DIGEST_DIGITS]}_{label}"


def parts_of(identifier: str) -> tuple[str, str] | None:
    """The beginning of the digest and the label of an id; None: it is none.

    >>> parts_of("0" * 32 + "_job.py") == ("0" * 32, "job.py")
    True
    >>> parts_of("../x") is None, parts_of("0" * 32 + "_..") is None
    (True, True)
    """
    found = _ID.fullmatch(identifier)
    if found is None or not found[2].endswith(SUFFIXES):
        return None
    return found[1], found[2]
