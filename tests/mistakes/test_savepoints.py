"""Starting from a savepoint that is missing, damaged, or of another job."""

import itertools
import shutil
import textwrap
import time

import pytest

FAILED = 1
RUNNING_SECONDS_MAX = 90
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.leaks_ok("the shared cluster starts threads when first asked", only=("threads",)),
]
COUNT = """
    import os, sys
    from lesto.connectors.datagen import RowGenSource
    class Count(KeyedProcessFunction):
        def open(self, runtime_context):
            self.count = runtime_context.{state}
        def process_element(self, number, ctx):
            {update}
            yield f"{{ctx.get_current_key()}}"
    env.set_max_parallelism(int(os.environ.get("MAX_PARALLELISM", "128")))
    source = RowGenSource(
        lambda position: position % 5, rows_per_second=2000)
    (env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers").uid("numbers")
        .key_by(lambda number: number)
        .process(Count()).uid("count")
        .sink_to(FileSink(sys.argv[1], "text")).uid("file"))
    env.execute("counting")
"""
VALUE = COUNT.format(
    state='get_state(ValueStateDescriptor("count", Types.LONG()))',
    update="self.count.update((self.count.value() or 0) + 1)",
)
LIST = COUNT.format(
    state='get_list_state(ListStateDescriptor("count", Types.LONG()))',
    update="self.count.add(1)",
)
RENAMED = VALUE.replace('uid("count")', 'uid("counting")')


@pytest.fixture(scope="package")
def shelf():
    """Keeps the savepoint for all tests."""
    return []


@pytest.fixture
def savepoint(shelf, tmp_path, tmp_path_factory, launch, submit, access, header):
    """A copy of a savepoint, to damage: savepoints can be moved."""
    if not shelf:
        shelf.append(take(tmp_path_factory.mktemp("taken"), launch, access, header))
    return shutil.copytree(shelf[0], tmp_path / "savepoint")


def take(folder, launch, access, header):
    """Run the job that counts, stop it with a savepoint."""
    script = folder / "job.py"
    script.write_text(header + textwrap.dedent(VALUE))
    done = launch(folder, ["run", "-d", script, folder / "out"], env=access)
    assert done.code == 0, done.err
    job = done.out.split()[1]
    for number in itertools.count():  # until it has counted something
        early = folder / f"early-{number}"
        once_running(lambda at=early: launch(folder, ["savepoint", job, at], env=access))
        if state_files(early):
            break
    done = launch(folder, ["stop", "-p", folder / "savepoints", job], env=access)
    assert done.code == 0, done.err
    (path,) = (folder / "savepoints").iterdir()
    assert str(path) in done.out
    return path


def once_running(ask):
    """Ask for a savepoint until the job runs and gives one."""
    deadline = time.monotonic() + RUNNING_SECONDS_MAX
    while (done := ask()).code != 0:
        assert "LESTO-4107" in done.err, done.err  # it does not run yet
        assert time.monotonic() < deadline, done.err
        time.sleep(0.05)
    return done


@pytest.fixture
def restore(submit, nothing_published):
    """Run a version of the job from a savepoint; it must fail and publish nothing."""

    def start(text, path, *options):
        done = submit(text, nothing_published, options=["-s", path, *options])
        assert done.code == FAILED, done.err
        return done

    return start


def state_files(savepoint):
    """All files but the metadata."""
    return [f for f in savepoint.rglob("*") if f.is_file() and f.name != "_metadata"]


def state_file(savepoint):
    """The largest one: it holds the keyed state."""
    return max(state_files(savepoint), key=lambda file: file.stat().st_size)


def flip(file, position):
    data = bytearray(file.read_bytes())
    data[position] ^= 0x40
    file.write_bytes(data)


def truncate(file):
    file.write_bytes(file.read_bytes()[:-3])


@pytest.fixture
def goes_on(submit, command, access, tmp_path):
    """Run a version of the job from a savepoint; it must work, so that it can take another."""

    def start(text, path, *options):
        done = submit(text, tmp_path / "restored", options=["-d", "-s", path, *options])
        assert done.code == 0, done.err
        job = done.out.split()[1]
        once_running(lambda: command("savepoint", job, tmp_path / "next", env=access))

    return start


def test_a_whole_savepoint_is_restored(goes_on, savepoint):
    goes_on(VALUE, savepoint)


def test_a_savepoint_that_is_not_there(restore, savepoint):
    wrong = savepoint.parent / "savepiont"
    done = restore(VALUE, wrong)
    done.is_clear(FAILED, "LESTO-5003", str(wrong), remedy="chk-")


def test_a_directory_that_is_no_savepoint(restore, savepoint):
    done = restore(VALUE, savepoint.parent)
    done.is_clear(FAILED, "LESTO-5003", "_metadata", remedy="chk-")


DAMAGE = {
    "flipped": lambda file: flip(file, file.stat().st_size // 2),
    "first byte": lambda file: flip(file, 0),
    "truncated": truncate,
    "emptied": lambda file: file.write_bytes(b""),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_metadata(restore, savepoint, damage):
    damage(savepoint / "_metadata")
    done = restore(VALUE, savepoint)
    done.is_clear(FAILED, "LESTO-5001", f"{savepoint}/_metadata", remedy="another")


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_state_file(restore, savepoint, damage):
    file = state_file(savepoint)
    damage(file)
    done = restore(VALUE, savepoint)
    done.is_clear(FAILED, "LESTO-5001", file.name, remedy="earlier")


def test_a_state_file_that_is_gone(restore, savepoint):
    file = state_file(savepoint)
    file.unlink()
    done = restore(VALUE, savepoint)
    done.is_clear(FAILED, "LESTO-5002", file.name, remedy="another checkpoint")


def test_a_savepoint_of_another_job(restore, goes_on, savepoint):
    done = restore(RENAMED, savepoint)
    done.is_clear(FAILED, "LESTO-5103", "'Keyed Process'", remedy="--allowNonRestoredState (-n)")
    goes_on(RENAMED, savepoint, "-n")


def test_a_state_of_another_kind(restore, savepoint):
    done = restore(LIST, savepoint)
    lines = done.script.read_text().splitlines()
    (line,) = (n for n, text in enumerate(lines, 1) if "self.count = " in text)
    done.is_clear(
        FAILED,
        "LESTO-5005",
        "state 'count' is of kind value, not list",
        remedy="another name",
        traceback="StateMismatchError",
        at=f"{done.script}:{line}",
    )


def test_a_state_of_another_type(restore, savepoint):
    done = restore(VALUE.replace("Types.LONG()", "Types.STRING()"), savepoint)
    lines = done.script.read_text().splitlines()
    (line,) = (n for n, text in enumerate(lines, 1) if "self.count = " in text)
    done.is_clear(
        FAILED,
        "LESTO-5012",
        "state 'count': the value was stored as int64 and is declared as str now",
        remedy="declare it as int64",
        traceback="StateMigrationError",
        at=f"{done.script}:{line}",
    )


def test_another_max_parallelism(restore, savepoint):
    changed = VALUE.replace('"128"', '"64"')
    done = restore(changed, savepoint)
    done.is_clear(FAILED, "LESTO-5103", "128", "64", remedy="pipeline.max-parallelism")
