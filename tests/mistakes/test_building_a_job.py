"""Mistakes that show before anything runs: columns, expressions, functions, names, the script."""

import pytest

USAGE = 2

COLUMNS = {
    "filter": 'flights.filter(col("dep_dealy") > 15)',
    "select": 'flights.select("carrier", "dep_dealy")',
    "with_columns": 'flights.with_columns(late=col("dep_dealy") > 15)',
    "key_by": 'flights.key_by("dep_dealy")',
    "agg": 'flights.key_by("carrier").agg(col("dep_dealy").mean())',
    "timestamp column": (
        "flights.assign_timestamps_and_watermarks("
        'WatermarkStrategy.no_watermarks().with_timestamp_column("dep_dealy"))'
    ),
}


@pytest.mark.parametrize("call", COLUMNS.values(), ids=COLUMNS)
def test_a_wrong_column_name(run, call):
    done = run(f"{call}  # HERE\n")
    done.is_clear(
        USAGE,
        "LESTO-2104",
        "column 'dep_dealy' does not exist",
        "did you mean 'dep_delay'?",
        remedy="carrier",
    )


def test_a_wrong_type_in_an_expression(run):
    done = run("""flights.select((col("carrier") + 1).alias("more"))  # HERE\n""")
    done.is_clear(USAGE, "LESTO-2105", "string", "int64", remedy="cast")


def test_a_filter_that_is_not_boolean(run):
    done = run("""flights.filter(col("dep_delay") + 1)  # HERE\n""")
    done.is_clear(USAGE, "LESTO-2105", "a filter needs a condition", "int64", remedy="compare")


def test_and_instead_of_ampersand(run):
    done = run("""flights.filter(col("dep_delay") > 1 and col("carrier") == "UA")  # HERE\n""")
    done.is_clear(USAGE, "LESTO-2104", "and", remedy="&")


def test_columns_of_a_stream_without_a_schema(run):
    done = run("""env.from_collection([1]).filter(col("value") > 0)  # HERE\n""")
    done.is_clear(USAGE, "LESTO-2006", "opaque Python values", remedy="Types.ROW_NAMED")


CAPTURED = {
    "lock": ("threading.Lock()", "_thread.lock"),
    "open file": ("open(__file__)", "TextIOWrapper"),
    "open file to write": ("open('/dev/null', 'wb')", "BufferedWriter"),
    "socket": ("socket.socket()", "socket"),
}


@pytest.mark.parametrize(("value", "kind"), CAPTURED.values(), ids=CAPTURED)
def test_a_function_that_holds_what_cannot_be_sent(run, value, kind):
    done = run(
        f"""
        import socket, threading
        def build():
            guard = {value}
            flights.map(lambda row: (guard, row)).print()  # HERE
        build()
        env.execute("job")
        """
    )
    done.is_clear(USAGE, "LESTO-2003", "the captured variable 'guard'", kind, remedy="open()")


def test_a_job_without_a_sink(run):
    done = run("""flights.map(lambda row: row)\nenv.execute("job")  # HERE\n""")
    done.is_clear(USAGE, "LESTO-2005", "no sink", remedy="print()")


def test_two_operators_with_one_uid(run):
    done = run(
        """
        flights.map(lambda row: row).uid("mine").print()  # HERE
        flights.map(lambda row: row).uid("mine").print()  # HERE
        env.execute("job")
        """
    )
    done.is_clear(USAGE, "LESTO-2004", "the same uid 'mine'", remedy="uid")


def test_a_job_too_large_to_send(run):
    done = run(
        """
        data = bytes(1 << 28)
        flights.map(lambda row: (row, data)).print()  # HERE
        env.execute("job")
        """
    )
    done.is_clear(USAGE, "LESTO-2009", "Map", "MiB", remedy="open()")


# --------------------------------------------------------------------------------------- options


OPTIONS = {
    "unknown": ("rest.prot=1", "LESTO-1001", "did you mean 'rest.port'", "config"),
    "duration": ("execution.checkpointing.interval=soon", "LESTO-1002", "soon", "10 s"),
    "size": ("state.backend.rocksdb.cache-size=big", "LESTO-1002", "big", "1 gb"),
    "enum": ("state.backend.type=rockdb", "LESTO-1002", "did you mean 'rocksdb'", "hashmap"),
    "bool": ("pipeline.operator-chaining.enabled=maybe", "LESTO-1002", "maybe", "true"),
    "number": ("parallelism.default=0", "LESTO-1002", "0", "1"),
}


@pytest.mark.parametrize(("given", "code", "said", "remedy"), OPTIONS.values(), ids=OPTIONS)
def test_a_wrong_option(run, given, code, said, remedy):
    done = run("flights.print()\nenv.execute()\n", options=["-D", given])
    done.is_clear(USAGE, code, given.split("=")[0], said, remedy=remedy)


@pytest.mark.parametrize(("given", "code", "said", "remedy"), OPTIONS.values(), ids=OPTIONS)
def test_a_wrong_option_in_the_script(run, given, code, said, remedy):
    key, _, value = given.partition("=")
    done = run(f"env.get_configuration().set_string({key!r}, {value!r})  # HERE\n")
    done.is_clear(USAGE, code, key, said, remedy=remedy)


# ---------------------------------------------------------------------------------------- script


def test_a_missing_script(command, tmp_path):
    (tmp_path / "flights.py").touch()
    done = command("run", tmp_path / "flight.py")
    done.is_clear(USAGE, "LESTO-1108", "does not exist", "did you mean 'flights.py'", remedy="path")


def test_a_script_with_a_syntax_error(run):
    done = run("if flights\n    pass\n", header="")
    assert done.code == 1
    assert f'File "{done.script}", line 1' in done.err
    assert done.err.rstrip().splitlines()[-1] == "SyntaxError: expected ':'"
    done.shows_no_internals()


def test_a_script_that_raises_before_it_executes(run):
    done = run("rows = {}\nprint(rows['carrier'])  # HERE\n")
    done.is_clear(1, "", remedy="", traceback="KeyError: 'carrier'")


def test_a_script_that_never_executes(run):
    done = run("flights.print()\n")
    done.is_clear(USAGE, "LESTO-1113", "without submitting a job", remedy="env.execute()")


def test_a_connector_that_does_not_exist(run):
    imported = "from lesto.datastream.connectors.pulsar import PulsarSource\n"
    done = run(f"{imported}PulsarSource.builder()  # HERE\n")
    done.is_clear(2, "LESTO-2001", "PulsarSource", remedy="Kafka")


def test_an_input_path_that_does_not_exist(run, tmp_path):
    (tmp_path / "flights").mkdir()
    (tmp_path / "flights" / "a.csv").write_text("a\n1\n")
    done = run(f"FileSource({str(tmp_path / 'fligths')!r}, format='csv')  # HERE\n")
    done.is_clear(1, "LESTO-3004", "fligths", "did you mean", remedy="path")


def test_an_input_directory_without_files(run, tmp_path):
    (tmp_path / "empty").mkdir()
    done = run(f"FileSource({str(tmp_path / 'empty')!r}, format='csv')  # HERE\n")
    done.is_clear(1, "LESTO-3004", "empty", remedy="watch_interval")


def test_debug_adds_the_internal_traceback(run):
    call = 'flights.filter(col("dep_dealy") > 15)\n'
    assert "Traceback" not in run(call).err
    loud = run(call, options=["--debug"])
    assert loud.code == USAGE
    assert "client/datastream/data_stream.py" in loud.err
    assert "LESTO-2104" in loud.err
