"""Wall clocks that jump, a process at a time.

Time namespaces shift only the monotonic and boot clocks, and the machine's own clock is
everybody's. So a small library (``clock_shim.c``, compiled here with gcc, loaded by LD_PRELOAD)
shifts CLOCK_REALTIME of a process and its children by what a mapped file says at the moment.
"""

import shutil
import struct
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parent / "clock_shim.c"


def missing():
    """Why clocks cannot be shifted here, or an empty text."""
    if sys.platform != "linux":
        return "needs Linux and glibc, for LD_PRELOAD"
    if shutil.which("gcc") is None:
        return "needs gcc"
    return ""


def compiled(folder):
    """The library, built into a folder."""
    library = folder / "clock_shim.so"
    subprocess.run(
        ["gcc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"],
        check=True,
    )
    return library


class Clock:
    """The shift of one process."""

    def __init__(self, path, library):
        self._path = path
        self.env = {"LD_PRELOAD": str(library), "LESTO_FAULT_CLOCK": str(path)}
        path.write_bytes(struct.pack("q", 0))

    def jump(self, seconds):
        """Be so far off the true time from now on."""
        with self._path.open("r+b") as file:
            file.write(struct.pack("q", int(seconds * 1e9)))
