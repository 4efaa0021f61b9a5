"""Lazy loading and the place of the cache."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lesto.kernels import jit

MODULES = ("aggregate", "hashing", "index", "keygroups", "partition", "timestamps", "windows")


def _run(code: str, **env: str) -> str:
    base = {"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(sys.path), **env}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=base, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_does_not_import_numba() -> None:
    imports = ";".join(f"import lesto.kernels.{m}" for m in MODULES)
    assert _run(f"import sys, lesto.kernels;{imports};print('numba' in sys.modules)") == "False"


def test_cache_dir_honours_the_variable(tmp_path: Path) -> None:
    code = "from lesto.kernels import jit; print(jit.cache_dir())"
    found = _run(code, NUMBA_CACHE_DIR=str(tmp_path), HOME=str(tmp_path / "home"))
    assert found == str(tmp_path / f"lesto-{jit.source_digest()}")


def test_cache_dir_falls_back_to_the_user_and_then_to_temp(tmp_path: Path) -> None:
    code = "from lesto.kernels import jit; print(jit.cache_dir())"
    found = _run(code, HOME=str(tmp_path))
    assert found.startswith(str(tmp_path / ".cache"))
    (tmp_path / "file").touch()  # a file where a directory is needed fails for root too
    blocked = str(tmp_path / "file" / "x")
    found = _run(code, NUMBA_CACHE_DIR=blocked, HOME=blocked, TMPDIR=str(tmp_path))
    assert found.startswith(str(tmp_path / "lesto-kernels-"))


def test_temporary_cache_of_another_is_not_trusted(tmp_path: Path) -> None:
    planted = tmp_path / f"lesto-kernels-{os.getuid()}"
    planted.mkdir()
    planted.chmod(0o777)
    blocked = str(tmp_path / "file" / "x")
    (tmp_path / "file").touch()
    code = "from lesto.kernels import jit; print(jit.cache_dir())"
    found = _run(code, HOME=blocked, TMPDIR=str(tmp_path))
    assert not Path(found).is_relative_to(planted)


def test_prebuilt_read_only_cache_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = tmp_path / "image" / f"lesto-{jit.source_digest()}" / "compiled_x"
    built.mkdir(parents=True)
    (built / "loop.nbi").write_bytes(b"index")
    usable = jit._usable
    monkeypatch.setattr(jit, "_usable", lambda p: "image" not in str(p) and usable(p))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "image"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    found = Path(jit.cache_dir.__wrapped__())
    assert found.is_relative_to(tmp_path / "user")
    assert (found / "compiled_x" / "loop.nbi").read_bytes() == b"index"


def test_the_users_own_numba_cache_setting_is_left_alone() -> None:
    from numba import config

    assert os.environ.get("NUMBA_CACHE_DIR", "") == config.CACHE_DIR


def test_only_declared_signatures() -> None:
    assert jit.warm() == jit.warm() > 40
    with pytest.raises(TypeError):
        jit.native("rows").gather(1, 2, 3)


def test_threads_that_load_a_group_at_once_wait_for_each_other(tmp_path):
    """A slot's tasks may call kernels while they are still being compiled in the background."""
    code = (
        "import threading\n"
        "from lesto.kernels import jit, hashing\n"
        "import pyarrow as pa\n"
        "errors = []\n"
        "def use():\n"
        "    try:\n"
        "        for group in ('hashing',):\n"
        "            jit.native(group)\n"
        "        hashing.hash_column(pa.array(['a']))\n"
        "    except BaseException as error:\n"
        "        errors.append(repr(error))\n"
        "threads = [threading.Thread(target=use) for _ in range(4)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
        "assert not errors, errors\n"
    )
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=env, timeout=170)


def test_one_process_compiles_and_the_others_wait(tmp_path):
    """Slots begin together: on a new machine each would compile everything."""
    code = (
        "from lesto.kernels import jit\n"
        "jit.native('windowing')\n"
        "from lesto.kernels.compiled import decorator\n"
        "kernels = decorator._REGISTRY['lesto.kernels.compiled.windowing']\n"
        "print(sum(sum(k.stats.cache_misses.values()) for k, _ in kernels))\n"
    )
    base = {"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(sys.path)}
    env = base | {"XDG_CACHE_HOME": str(tmp_path)}
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=env)
        for _ in range(2)
    ]
    compiled = sorted(int(p.communicate(timeout=120)[0]) for p in both)
    assert compiled[0] == 0 < compiled[1]
