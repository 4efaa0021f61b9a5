"""Catalogs: names, current and temporary things, files; CREATE, LIKE and ALTER TABLE."""

# ruff: noqa: E501 - a statement reads better on one line

import json

import pytest
from sql_plans import TABLES, planner_of

from lesto.client.table.catalog.files import FileCatalog
from lesto.client.table.catalog.manager import CatalogManager
from lesto.client.table.catalog.objects import CatalogDatabase, CatalogFunction, CatalogView
from lesto.client.table.errors import (
    AlreadyExistsError,
    CatalogError,
    CatalogFileError,
    SqlError,
    UnknownTableError,
    UnknownTableOptionError,
)
from lesto.client.table.sql.ddl import alter_table
from lesto.client.table.sql.dialect import parse_statement


def create(planner, sql):
    parsed = parse_statement(sql)
    planner.define(parsed)
    return planner.catalogs.resolve(parsed.statement.name)[1]


def altered(planner, sql):
    parsed = parse_statement(sql)
    table = planner.catalogs.resolve(parsed.statement.name)[1]
    return alter_table(planner.context(parsed.text), table, parsed.statement.changes)


def names(table):
    return [c.name for c in table.columns]


@pytest.fixture
def fresh():
    return planner_of(TABLES)


def test_create_table(fresh):
    table = create(
        fresh,
        "CREATE TABLE t (a INT, b AS a * 2, m BIGINT METADATA FROM 'offset' VIRTUAL,"
        " ts AS TO_TIMESTAMP_LTZ(m, 3), p AS PROCTIME(), PRIMARY KEY (a) NOT ENFORCED,"
        " WATERMARK FOR ts AS ts - INTERVAL '1' SECOND) WITH ('connector' = 'kafka')",
    )
    assert str(table.schema()) == (
        "a INT NOT NULL, b INT NOT NULL, m BIGINT, ts TIMESTAMP_LTZ(3) *ROWTIME*,"
        " p TIMESTAMP_LTZ(3) NOT NULL *PROCTIME*"
    )
    assert [c.name for c in table.read_columns()] == ["a", "m"]
    assert [c.name for c in table.written_columns()] == ["a"]
    assert fresh.query("SELECT b, ts FROM t").root.schema.names == ("b", "ts")


def test_like(fresh):
    table = create(
        fresh,
        "CREATE TABLE t (extra INT) WITH ('connector' = 'print') LIKE bid (EXCLUDING WATERMARKS)",
    )
    assert names(table) == ["auction", "bidder", "price", "channel", "ts", "p", "extra"]
    assert table.watermark is None
    assert table.connector == "print"
    table = create(fresh, "CREATE TABLE u LIKE rates (EXCLUDING ALL INCLUDING CONSTRAINTS)")
    assert (table.primary_key, table.options, table.watermark) == (("cur",), (), None)


def test_as_select(fresh):
    table = create(
        fresh, "CREATE TABLE t WITH ('connector' = 'print') AS SELECT price AS x, channel FROM bid"
    )
    assert str(table.schema()) == "x BIGINT, channel STRING"


def test_views(fresh):
    create(fresh, "CREATE VIEW v (x, y) AS SELECT auction, price FROM bid WHERE price > 1")
    assert fresh.query("SELECT y FROM v").root.schema.names == ("y",)
    assert fresh.schema(("v",)).names == ("x", "y")
    with pytest.raises(SqlError, match="there is no column z"):
        create(fresh, "CREATE VIEW w AS SELECT z FROM bid")


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("CREATE TABLE t (a INT, a INT)", "two columns are called a"),
        ("CREATE TABLE t (a INT, PRIMARY KEY (b) NOT ENFORCED)", "the primary key names b"),
        ("CREATE TABLE t (a INT, WATERMARK FOR a AS a)", "a watermark goes with TIMESTAMP(3)"),
        ("CREATE TABLE t (a INT, WATERMARK FOR tz AS a)", "there is no column tz"),
        ("CREATE TABLE t (a INT, b AS c + 1)", "there is no column c"),
        ("CREATE TABLE t (a INTT)", "did you mean 'INT'?"),
        ("CREATE TABLE t (a TIMESTAMP(6), WATERMARK FOR a AS a)", "TIMESTAMP(3)"),
        ("CREATE TABLE bid (a INT)", "table or view default_catalog.default_database.bid exists"),
        ("CREATE TABLE t LIKE bids", "there is no table bids (did you mean 'bid'?)"),
        ("CREATE TABLE t WITH ('a' = 'b')", "the table has no columns"),
        ("CREATE TABLE nope.t (a INT)", "there is no database nope"),
    ],
)
def test_bad_tables(fresh, sql, message):
    with pytest.raises(SqlError) as caught:
        create(fresh, sql)
    assert message in str(caught.value)


def test_alter_table(fresh):
    assert names(altered(fresh, "ALTER TABLE plain ADD (c INT FIRST, d STRING AFTER a, e AS a + 1)")) == [
        "c", "a", "d", "b", "ts", "e",
    ]  # fmt: skip
    assert names(altered(fresh, "ALTER TABLE plain DROP (a, b)")) == ["ts"]
    assert names(altered(fresh, "ALTER TABLE plain RENAME a TO z"))[0] == "z"
    assert altered(fresh, "ALTER TABLE plain SET ('x' = 'y')").option("x") == "y"
    assert altered(fresh, "ALTER TABLE plain RESET ('x')").option("x") == ""
    assert altered(fresh, "ALTER TABLE plain ADD WATERMARK FOR ts AS ts").watermark == ("ts", "ts")
    assert altered(fresh, "ALTER TABLE bid DROP WATERMARK").watermark is None
    assert altered(fresh, "ALTER TABLE plain ADD PRIMARY KEY (a) NOT ENFORCED").primary_key == (
        "a",
    )
    assert str(altered(fresh, "ALTER TABLE plain MODIFY a BIGINT").columns[0].type) == "BIGINT"


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("ALTER TABLE plain ADD a INT", "there is a column a"),
        ("ALTER TABLE plain DROP z", "there is no column z"),
        ("ALTER TABLE bid DROP ts", "is used by the primary key, the partitions or the watermark"),
        ("ALTER TABLE bid ADD WATERMARK FOR ts AS ts", "the table has a watermark"),
        ("ALTER TABLE plain RENAME a TO b", "there is a column b"),
    ],
)
def test_bad_changes(fresh, sql, message):
    with pytest.raises(SqlError) as caught:
        altered(fresh, sql)
    assert message in str(caught.value)


def test_names():
    manager = CatalogManager()
    manager.create_catalog("other", {"type": "generic_in_memory", "default-database": "d"})
    manager.catalog("other").create_database("e", CatalogDatabase())
    view = CatalogView("SELECT 1")
    manager.create(("other", "e", "v"), view)
    assert manager.resolve(("other", "e", "v")) == (("other", "e", "v"), view)
    manager.use_catalog("other")
    assert (manager.current_catalog, manager.current_database) == ("other", "d")
    assert manager.resolve(("e", "v"))[1] is view
    manager.use_database(("e",))
    assert manager.resolve(("v",))[1] is view
    with pytest.raises(UnknownTableError, match="did you mean 'other'"):
        manager.use_catalog("othre")
    with pytest.raises(CatalogError, match="is not empty"):
        manager.catalog("other").drop_database("e")
    with pytest.raises(CatalogError, match="is in use"):
        manager.drop_catalog("other")
    with pytest.raises(AlreadyExistsError):
        manager.create(("v",), view)
    assert not manager.create(("v",), view, ignore=True)
    manager.rename(("v",), "w")
    assert manager.list_objects("other", "e") == ["w"]


def test_temporary_things_hide_others():
    manager = CatalogManager()
    kept, passing = CatalogView("SELECT 1"), CatalogView("SELECT 2")
    manager.create(("v",), kept)
    manager.create(("v",), passing, temporary=True)
    assert manager.resolve(("v",))[1] is passing
    with pytest.raises(CatalogError, match="a temporary table or view is called v"):
        manager.drop(("v",))
    manager.drop(("v",), temporary=True)
    assert manager.resolve(("v",))[1] is kept
    with pytest.raises(UnknownTableError, match="is not temporary"):
        manager.drop(("v",), temporary=True)


def test_functions_have_names_of_any_case():
    manager = CatalogManager()
    f = CatalogFunction("m.f")
    manager.create_function(("Foo",), f)
    assert manager.function(("FOO",)) is f
    assert manager.drop_function(("foo",))
    manager.create_function(("bar",), f, system=True)
    assert manager.function_names() == ["bar"]


def test_a_catalog_of_files_lasts(tmp_path):
    planner = planner_of("")
    planner.catalogs.create_catalog("f", {"type": "file", "path": str(tmp_path)})
    planner.catalogs.use_catalog("f")
    table = create(
        planner,
        "CREATE TABLE t (a INT NOT NULL, r ROW<x DECIMAL(5, 2), y ARRAY<STRING NOT NULL>>, b AS a + 1,"
        " ts TIMESTAMP(3), p AS PROCTIME(), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND,"
        " PRIMARY KEY (a) NOT ENFORCED) COMMENT 'c' WITH ('connector' = 'print')",
    )
    create(planner, "CREATE VIEW v AS SELECT a, ts FROM t")
    planner.catalogs.create_function(("g",), CatalogFunction("m.g"))
    again = FileCatalog("f", str(tmp_path))
    assert again.get("default", "t") == table
    assert again.get("default", "v").query == "SELECT a, ts FROM t"
    assert again.function("default", "G") == CatalogFunction("m.g")
    again.create_database("x", CatalogDatabase("about"))
    assert FileCatalog("f", str(tmp_path)).database("x").comment == "about"
    again.drop_database("x")
    assert FileCatalog("f", str(tmp_path)).list_databases() == ["default"]


def test_bad_files_and_options(tmp_path):
    manager = CatalogManager()
    with pytest.raises(UnknownTableOptionError, match="did you mean 'file'"):
        manager.create_catalog("c", {"type": "fil"})
    with pytest.raises(UnknownTableOptionError, match="did you mean 'path'"):
        manager.create_catalog("c", {"type": "file", "pat": "x"})
    with pytest.raises(UnknownTableOptionError, match="needs the option 'path'"):
        manager.create_catalog("c", {"type": "file"})
    (tmp_path / "d.json").write_text("{")
    with pytest.raises(CatalogFileError, match="is not a file of a catalog"):
        FileCatalog("c", str(tmp_path))
    (tmp_path / "d.json").write_text(json.dumps({"version": 9}))
    with pytest.raises(CatalogFileError, match="is of version 9"):
        FileCatalog("c", str(tmp_path))
