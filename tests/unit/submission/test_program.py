"""What of an uploaded file is run."""

import zipfile

import pytest

from lesto.client.errors import ScriptNotFoundError
from lesto.client.submission.program import Program, find_program


def archive(path, **files):
    with zipfile.ZipFile(path, "w") as zipped:
        for name, content in files.items():
            zipped.writestr(name.replace("__S__", "/"), content)
    return str(path)


def wheel(path, entries):
    return archive(path, job__S____init__="", **{"a-1.dist-info__S__entry_points.txt": entries})


def test_a_script_is_run_itself_or_as_it_is_told(tmp_path):
    script = str(tmp_path / "job.py")
    assert find_program(script, "", "") == Program(script)
    assert find_program(script, "job:main", "") == Program(script, "job", "main")
    assert find_program(script, "", "other.module") == Program(script, "other.module")


def test_entry_points_of_a_wheel(tmp_path):
    path = wheel(
        tmp_path / "a.whl",
        "[lesto.jobs]\nCount = job.count:main\nsum = job:total [extra]\n"
        "[console_scripts]\nx = y:z\n",
    )
    assert find_program(path, "Count", "") == Program(path, "job.count", "main")
    assert find_program(path, "sum", "") == Program(path, "job", "total")
    with pytest.raises(ScriptNotFoundError, match="2 entry points"):
        find_program(path, "", "")
    with pytest.raises(ScriptNotFoundError, match="did you mean 'Count'"):
        find_program(path, "count", "")


def test_the_only_entry_point_needs_no_name(tmp_path):
    path = wheel(tmp_path / "a.whl", "[console_scripts]\nx = job:main\n")
    assert find_program(path, "", "") == Program(path, "job", "main")


def test_a_main_module_comes_first(tmp_path):
    path = archive(tmp_path / "a.pyz", **{"__main__.py": ""})
    assert find_program(path, "", "") == Program(path)


@pytest.mark.parametrize(
    "entries", ["", "nonsense", "[console_scripts]\n= x\n", "[other]\na = b:c"]
)
def test_nothing_says_what_to_run(tmp_path, entries):
    with pytest.raises(ScriptNotFoundError, match="does not say"):
        find_program(wheel(tmp_path / "a.whl", entries), "", "")
