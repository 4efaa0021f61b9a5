"""Formats of messages: there and back, and what becomes of bad ones."""

import datetime
import decimal
import json
import pickle

import numpy as np
import pyarrow as pa
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from lesto.common import Row, Types
from lesto.common.elements import ColumnarBatch, RowBatch
from lesto.connectors.errors import (
    ConnectorConfigError,
    SchemaMismatchError,
    SchemaRegistryError,
)
from lesto.connectors.formats import message_format
from lesto.connectors.formats.avro import AvroFormat, AvroRowDeserializationSchema
from lesto.connectors.formats.csv import CsvMessageFormat, CsvRowDeserializationSchema
from lesto.connectors.formats.json import (
    JsonFormat,
    JsonRowDeserializationSchema,
    JsonRowSerializationSchema,
)
from lesto.connectors.formats.protobuf import ProtobufFormat
from lesto.connectors.formats.raw import RawFormat, SimpleStringSchema
from lesto.connectors.formats.registry import SchemaRegistry
from tests.unit.connectors.fake_registry import FakeRegistry

SCHEMA = pa.schema([("id", pa.int64()), ("name", pa.string()), ("x", pa.float64())])


def records(decoded):
    batch = decoded.batch
    return batch.data.to_pylist() if isinstance(batch, ColumnarBatch) else batch.values


def columns(rows, schema=SCHEMA):
    return ColumnarBatch(pa.RecordBatch.from_pylist(rows, schema))


# -------------------------------------------------------------------------------------- JSON


def test_json_objects_become_columns_missing_fields_are_null_others_ignored():
    messages = [b'{"id":1,"name":"a","x":0.5}', b'{"name":"b","more":[1]}', b"{}"]
    decoded = JsonFormat(SCHEMA).decode(messages)
    assert decoded.bad == ()
    assert decoded.batch.data.schema.equals(SCHEMA)
    assert records(decoded) == [
        {"id": 1, "name": "a", "x": 0.5},
        {"id": None, "name": "b", "x": None},
        {"id": None, "name": None, "x": None},
    ]


@pytest.mark.parametrize(
    "bad",
    [
        [b'{"id":2}{"id":3}', b"  "],  # as many objects as messages
        [b'{"id":2}\n{"id":3}', b""],
        [b"\n", b'{"id":2}{"id":3}'],
        [b"\n"],
    ],
)
def test_json_records_never_shift_between_messages(bad):
    decoded = JsonFormat(SCHEMA).decode([b'{"id":1}', *bad, b'{"id":4}'])
    assert [b.index for b in decoded.bad] == list(range(1, len(bad) + 1))
    assert [r["id"] for r in records(decoded)] == [1, 4]


def test_json_over_several_lines_is_one_record():
    decoded = JsonFormat(SCHEMA).decode([b'{"id":1}', b'{\n "id": 2,\n "name": "b"\n}\n'])
    assert [r["id"] for r in records(decoded)] == [1, 2]


def test_bad_json_is_told_message_by_message():
    messages = [b'{"id":1}', None, b"{", b"[1]", b'{"id":"x"}', b'{"id":2}']
    decoded = JsonFormat(SCHEMA).decode(messages)
    assert [b.index for b in decoded.bad] == [1, 2, 3, 4]
    assert [r["id"] for r in records(decoded)] == [1, 2]


def test_json_without_schema_gives_python_values():
    decoded = JsonFormat().decode([b'{"a":[1,{"b":null}]}', b"7", b"nonsense"])
    assert records(decoded) == [{"a": [1, {"b": None}]}, 7]
    assert [b.index for b in decoded.bad] == [2]


def test_json_builders_of_flink():
    rows = Types.ROW_NAMED(["id", "name"], [Types.LONG(), Types.STRING()])
    made = JsonRowDeserializationSchema.builder().type_info(rows).ignore_parse_errors().build()
    assert pickle.loads(pickle.dumps(made)).skips_bad_messages
    strict = JsonRowDeserializationSchema.builder().type_info(rows).fail_on_missing_field().build()
    assert [b.index for b in strict.decode([b'{"id":1}', b'{"id":1,"name":"a"}']).bad] == [0]
    writer = JsonRowSerializationSchema.builder().with_type_info(rows).build()
    assert writer.encode(RowBatch([Row(id=1, name="a")])) == [b'{"id":1,"name":"a"}']
    with pytest.raises(ConnectorConfigError, match="type_info"):
        JsonRowDeserializationSchema.builder().build()


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "id": st.none() | st.integers(-(2**63), 2**63 - 1),
                "name": st.none() | st.text(st.characters(codec="utf-8")),
                "x": st.none() | st.floats(allow_nan=False, allow_infinity=False),
            }
        ),
        max_size=20,
    )
)
def test_columns_survive_json(rows):
    made = JsonFormat(SCHEMA)
    decoded = made.decode(made.encode(columns(rows)))
    assert records(decoded) == rows


# ------------------------------------------------------------------------------- raw and CSV


def test_raw_and_string_messages():
    assert records(RawFormat().decode([b"\xff", b"", None])) == [
        {"value": b"\xff"},
        {"value": b""},
        {"value": None},
    ]
    text = RawFormat("line", pa.string()).decode([b"a", b"\xff", b"c"])
    assert records(text) == [{"line": "a"}, {"line": "c"}]
    assert [b.index for b in text.bad] == [1]
    plain = SimpleStringSchema().decode([b"a", b"\xff", None])
    assert plain.batch.values == ["a"]
    assert [b.index for b in plain.bad] == [1, 2]
    assert SimpleStringSchema("latin-1").encode(RowBatch(["ä", 7])) == [b"\xe4", b"7"]
    assert RawFormat().encode(RowBatch([b"a", "ä", None])) == [b"a", "ä".encode(), None]
    one = columns([{"id": 1}, {"id": None}], pa.schema([("id", pa.int64())]))
    assert RawFormat().encode(one) == [b"1", None]
    with pytest.raises(ConnectorConfigError, match="one column"):
        RawFormat().encode(columns([]))


def test_csv_messages():
    made = CsvMessageFormat(SCHEMA)
    messages = made.encode(columns([{"id": 1, "name": 'a,"b', "x": 0.5}, {"id": 2}]))
    assert messages == [b'1,"a,""b",0.5', b"2,,"]
    messages += [b"x,y,z", None, b"3,c\n4,d,1", b"5,e,2"]
    decoded = made.decode(messages)
    assert [b.index for b in decoded.bad] == [2, 3, 4]
    assert [r["id"] for r in records(decoded)] == [1, 2, 5]
    with pytest.raises(ConnectorConfigError, match="line end"):
        made.encode(columns([{"name": "a\nb"}]))
    rows = Types.ROW_NAMED(["id", "name"], [Types.LONG(), Types.STRING()])
    other = CsvRowDeserializationSchema.Builder(rows).set_field_delimiter(";").build()
    assert records(other.decode([b"1;a"])) == [{"id": 1, "name": "a"}]


def test_formats_by_name():
    assert isinstance(message_format("json", SCHEMA), JsonFormat)
    for name, match in [
        ("jsno", "did you mean"),
        ("csv", "schema"),
        ("avro", "more than its name"),
    ]:
        with pytest.raises(ConnectorConfigError, match=match):
            message_format(name)
    with pytest.raises(ConnectorConfigError, match="takes no schema"):
        message_format("raw", SCHEMA)


# -------------------------------------------------------------------------------------- Avro

AVRO = json.dumps({
    "type": "record", "name": "Order", "fields": [
        {"name": "id", "type": "long"},
        {"name": "name", "type": ["null", "string"], "default": None},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "price",
         "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "inner", "type": ["null", {"type": "record", "name": "Inner", "fields": [
            {"name": "x", "type": "double"}]}]},
    ],
})  # fmt: skip
ORDER = {
    "id": 1, "name": None, "kind": "B", "tags": ["x", "y"],
    "at": datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), "price": decimal.Decimal("3.50"),
    "inner": {"x": 0.5},
}  # fmt: skip


def test_avro_there_and_back():
    made = pickle.loads(pickle.dumps(AvroFormat(AVRO)))
    messages = made.encode(columns([ORDER, {**ORDER, "inner": None}], made.schema))
    decoded = made.decode([*messages, messages[0][:-1], messages[0] + b"x", None])
    assert records(decoded) == [ORDER, {**ORDER, "inner": None}]
    assert [b.index for b in decoded.bad] == [2, 3, 4]
    flink = AvroRowDeserializationSchema(avro_schema_string=AVRO)
    assert records(flink.decode(messages)) == records(decoded)


@pytest.mark.parametrize(
    ("schema", "match"),
    [
        ("{", "not an Avro schema"),
        ('"string"', "must be a record"),
        ('{"type":"record","name":"R","fields":[{"name":"a","type":["int","string"]}]}', "union"),
        ('{"type":"record","name":"R","fields":[{"name":"a","type":["null","R"]}]}', "no column"),
    ],
)
def test_avro_schemas_without_columns_are_named(schema, match):
    with pytest.raises(ConnectorConfigError, match=match):
        AvroFormat(schema)


def test_a_record_that_does_not_fit_the_avro_schema_is_named():
    with pytest.raises(SchemaMismatchError, match="does not fit the Avro schema"):
        AvroFormat(AVRO).encode(RowBatch([{"id": "one"}]))


def test_avro_with_a_registry_resolves_the_writers_schema():
    old = json.dumps({"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}]})
    added = {"name": "b", "type": "string", "default": "none"}
    fields = [{"name": "a", "type": "long"}, added]
    new = json.dumps({"type": "record", "name": "R", "fields": fields})
    with FakeRegistry() as fake:
        writer = AvroFormat(old, SchemaRegistry(fake.url))
        writer.open("topic-value")
        (message,) = writer.encode(RowBatch([{"a": 7}]))
        assert message[:5] == b"\0\0\0\0\1"
        reader = pickle.loads(pickle.dumps(AvroFormat(new, SchemaRegistry(fake.url))))
        decoded = reader.decode([message] * 3 + [b"\1nothing"])
        assert records(decoded) == [{"a": 7, "b": "none"}] * 3
        assert [b.index for b in decoded.bad] == [3]
        assert sum(r[1] == "/schemas/ids/1" for r in fake.requests) == 1, "schemas are kept"
        assert fake.subjects == {"topic-value": [1]}
        reader.open("topic-value")
        incompatible = json.loads(new)
        incompatible["fields"].append({"name": "c", "type": "int"})
        with pytest.raises(SchemaRegistryError, match="409"):
            AvroFormat(json.dumps(incompatible), SchemaRegistry(fake.url)).open("topic-value")
        with pytest.raises(SchemaRegistryError, match="404"):
            reader.decode([b"\0\0\0\0\x63rest"])


def test_a_registry_that_stumbles_is_asked_again_and_one_that_is_away_is_named(monkeypatch):
    monkeypatch.setattr("lesto.connectors.formats.registry.PAUSE_S", 0.001)
    with FakeRegistry() as fake:
        fake.failures = [(503, {"message": "later"})] * 2
        registry = SchemaRegistry(fake.url, user="me", password="secret")
        assert registry.register("s", '{"type":"record","name":"R","fields":[]}', "AVRO") == 1
        assert {r[2] for r in fake.requests} == {"Basic bWU6c2VjcmV0"}
        url = fake.url
    with pytest.raises(SchemaRegistryError, match="does not answer"):
        SchemaRegistry(url).by_id(1)
    with pytest.raises(ConnectorConfigError, match="URL"):
        SchemaRegistry("localhost:8081")


# ---------------------------------------------------------------------------------- Protobuf


def field(name, number, kind, *, label="OPTIONAL", type_name=None, **more):
    return descriptor_pb2.FieldDescriptorProto(
        name=name, number=number, type=f"TYPE_{kind}", label=f"LABEL_{label}",
        type_name=type_name, **more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def message():
    """``Order`` behind another message of its file."""
    entry = descriptor_pb2.DescriptorProto(name="CountsEntry")
    entry.options.map_entry = True
    entry.field.extend([field("key", 1, "STRING"), field("value", 2, "INT32")])
    inner = descriptor_pb2.DescriptorProto(name="Inner", field=[field("x", 1, "DOUBLE")])
    order = descriptor_pb2.DescriptorProto(name="Order", nested_type=[inner, entry])
    order.field.extend([
        field("id", 1, "INT64"),
        field("name", 2, "STRING", proto3_optional=True, oneof_index=0),
        field("kind", 3, "ENUM", type_name=".t.Kind"),
        field("tags", 4, "STRING", label="REPEATED"),
        field("inner", 5, "MESSAGE", type_name=".t.Order.Inner"),
        field("many", 6, "MESSAGE", label="REPEATED", type_name=".t.Order.Inner"),
        field("counts", 7, "MESSAGE", label="REPEATED", type_name=".t.Order.CountsEntry"),
        field("raw", 8, "BYTES"),
    ])  # fmt: skip
    order.oneof_decl.add(name="_name")
    kind = descriptor_pb2.EnumDescriptorProto(name="Kind")
    kind.value.add(name="A", number=0)
    kind.value.add(name="B", number=1)
    first = descriptor_pb2.DescriptorProto(name="First", field=[field("a", 1, "INT32")])
    file = descriptor_pb2.FileDescriptorProto(
        name="lesto/tests/order.proto", package="t", syntax="proto3",
        message_type=[first, order], enum_type=[kind],
    )  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Order"))


PROTO = {
    "id": 5, "name": None, "kind": "B", "tags": ["x"], "inner": None,
    "many": [{"x": 0.5}, {"x": 1.0}], "counts": [("k", 2)], "raw": b"\xff",
}  # fmt: skip


def test_protobuf_there_and_back(message):
    made = pickle.loads(pickle.dumps(ProtobufFormat(message)))
    rows = [PROTO, {**PROTO, "name": "", "inner": {"x": 2.0}}]
    messages = made.encode(columns(rows, made.schema))
    assert message.FromString(messages[0]).many[1].x == 1.0
    decoded = made.decode([*messages, b"\xff\xff", None])
    assert records(decoded) == rows
    assert [b.index for b in decoded.bad] == [2, 3]
    with pytest.raises(SchemaMismatchError, match=r"does not fit the message t\.Order"):
        made.encode(RowBatch([{"id": "x"}]))
    with pytest.raises(SchemaMismatchError, match="no field 'other'"):
        made.encode(RowBatch([{"other": 1}]))


def test_protobuf_with_a_registry_has_the_path_to_its_type(message):
    with FakeRegistry() as fake:
        made = ProtobufFormat(message, SchemaRegistry(fake.url), schema="syntax = ...")
        made.open("topic-value")
        (data,) = made.encode(RowBatch([{"id": 5}]))
        assert data[:7] == b"\0\0\0\0\1" + b"\x02\x02", "one step, to the second message"
        assert records(made.decode([data]))[0]["id"] == 5
        other = data[:5] + b"\0" + data[7:]
        assert [b.index for b in made.decode([other]).bad] == [0], "the first message of the file"
        with pytest.raises(ConnectorConfigError, match="text of the"):
            ProtobufFormat(message, SchemaRegistry(fake.url)).open("topic-value")


def test_a_protobuf_message_inside_itself_has_no_columns():
    node = descriptor_pb2.DescriptorProto(
        name="Node", field=[field("next", 1, "MESSAGE", type_name=".n.Node")]
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(
        descriptor_pb2.FileDescriptorProto(
            name="lesto/tests/node.proto", package="n", syntax="proto3", message_type=[node]
        )
    )
    with pytest.raises(ConnectorConfigError, match="contains itself"):
        ProtobufFormat(message_factory.GetMessageClass(pool.FindMessageTypeByName("n.Node")))


def test_event_times_are_the_formats_callers_business():
    batch = JsonFormat(SCHEMA).decode([b"{}"]).batch
    assert batch.timestamps is None
    batch.timestamps = np.array([1], np.int64)
    assert len(JsonFormat(SCHEMA).encode(batch)) == 1
