"""Flink's bulk writers and CSV by a schema: what is written is read back."""

import io
import json

import fastavro
import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet as pq
import pytest

from lesto.common import Row, Types
from lesto.common.elements import ColumnarBatch, Form, RowBatch
from lesto.connectors.errors import ConnectorConfigError
from lesto.datastream.connectors.file_system import FileSource
from lesto.datastream.formats.avro import AvroBulkWriters, AvroSchema, GenericRecordAvroTypeInfo
from lesto.datastream.formats.csv import CsvBulkWriters, CsvReaderFormat, CsvSchema
from lesto.datastream.formats.json import JsonRowDeserializationSchema
from lesto.datastream.formats.orc import OrcBulkWriters
from lesto.datastream.formats.parquet import (
    AvroParquetReaders,
    AvroParquetWriters,
    ParquetBulkWriters,
    ParquetColumnarRowInputFormat,
)

ROW = Types.ROW_NAMED(["id", "name"], [Types.LONG(), Types.STRING()])
SCHEMA = pa.schema([("id", pa.int64()), ("name", pa.string())])
RECORDS = [{"id": 1, "name": "a"}, {"id": 2, "name": "b,c"}, {"id": 3, "name": None}]
AVRO = AvroSchema.parse_string(
    json.dumps({
        "type": "record", "name": "person", "fields": [
            {"name": "id", "type": "long"}, {"name": "name", "type": ["null", "string"]},
        ],
    })
)  # fmt: skip
ROWS = RowBatch([Row(1, "a"), Row(name="b,c", id=2), (3, None)])
COLUMNS = ColumnarBatch(pa.RecordBatch.from_pylist(RECORDS, schema=SCHEMA))


def written(factory, *batches, schema=None):
    assert factory.input_form is Form.ANY
    out = io.BytesIO()
    encoder = factory.create(out, schema)
    for batch in batches:
        encoder.write(batch)
    encoder.finish()
    return out.getvalue()


def parquet(data):
    return pq.read_table(io.BytesIO(data)).to_pylist()


def orc(data):
    return pyarrow.orc.read_table(io.BytesIO(data)).to_pylist()


def avro(data):
    return list(fastavro.reader(io.BytesIO(data)))


@pytest.mark.parametrize("batch", [ROWS, COLUMNS], ids=["rows", "columns"])
@pytest.mark.parametrize(
    ("factory", "read"),
    [
        (ParquetBulkWriters.for_row_type(ROW), parquet),
        (OrcBulkWriters.for_row_type(SCHEMA), orc),
        (AvroParquetWriters.for_generic_record(AVRO), parquet),
        (AvroBulkWriters.for_generic_record(AVRO), avro),
    ],
    ids=["parquet", "orc", "avro_parquet", "avro"],
)
def test_records_of_either_form_are_read_back(factory, read, batch):
    assert read(written(factory, batch, batch)) == RECORDS * 2


def test_a_file_without_records_is_one():
    assert avro(written(AvroBulkWriters.for_generic_record(AVRO))) == []


def test_what_names_no_columns_is_an_error():
    with pytest.raises(ConnectorConfigError, match="a row type names columns"):
        ParquetBulkWriters.for_row_type(Types.STRING())


def test_an_avro_type_gives_a_stream_columns():
    info = GenericRecordAvroTypeInfo(AVRO)
    assert info.arrow_schema() == SCHEMA
    assert info == GenericRecordAvroTypeInfo(AvroSchema.parse_string(str(AVRO)))


@pytest.mark.parametrize(
    "file_format",
    [ParquetColumnarRowInputFormat(ROW).format, AvroParquetReaders.for_generic_record(AVRO)],
)
def test_parquet_is_read_by_a_row_type(tmp_path, file_format):
    path = tmp_path / "people.parquet"
    path.write_bytes(written(ParquetBulkWriters.for_row_type(ROW), ROWS))
    source = FileSource.for_record_stream_format(file_format, str(path)).build()
    assert source.schema == SCHEMA


def csv_schema(**_):
    return (
        CsvSchema.builder()
        .add_number_column("id", number_type=Types.INT())
        .add_string_column("name")
        .add_array_column("tags", "#")
        .add_boolean_column("ok")
        .set_column_separator("|")
    )


def test_csv_is_read_by_its_schema_with_arrays():
    made = CsvReaderFormat.for_schema(csv_schema().set_null_value("-").build())
    batch, bad = made.parse(b"1|a|x#y|true\n2|-|z|false\nno|b|x|true\n", 0)
    assert batch.data.to_pylist() == [
        {"id": 1, "name": "a", "tags": ["x", "y"], "ok": True},
        {"id": 2, "name": None, "tags": ["z"], "ok": False},
    ]
    assert [b.offset for b in bad] == [25]
    assert batch.data.schema.field("id").type == pa.int32()


def test_csv_quotes_escapes_and_headers():
    schema = CsvSchema.builder().add_string_column("a").add_number_column("b")
    schema = schema.set_quote_char("'").set_escape_char("\\").set_use_header().set_strict_headers()
    made = CsvReaderFormat.for_schema(schema.build())
    assert made.has_header
    batch, bad = made.parse(b"'x,y',1\n'it\\'s',2\n", 0)
    assert batch.data.column(0).to_pylist() == ["x,y", "it's"]
    assert not bad
    made.check_header(b"a,b\n", "f")
    with pytest.raises(Exception, match="the header does not fit"):
        made.check_header(b"b,a\n", "f")


def test_csv_is_written_by_its_schema():
    schema = CsvSchema.builder().add_number_column("id").add_string_column("name").build()
    assert written(CsvBulkWriters.for_schema(schema), ROWS) == b'1,"a"\n2,"b,c"\n3,\n'
    with pytest.raises(ConnectorConfigError, match="without arrays"):
        CsvBulkWriters.for_schema(csv_schema().build())


@pytest.mark.parametrize(
    "ask",
    [
        lambda b: b.set_allow_comments(),
        lambda b: b.set_any_property_name("rest"),
        lambda b: b.set_line_separator("\r\n"),
        lambda b: b.add_number_column("n", number_type="int"),
    ],
)
def test_what_csv_schemas_have_not_is_told(ask):
    with pytest.raises(ConnectorConfigError):
        ask(CsvSchema.builder())


def test_a_json_schema_gives_the_columns():
    text = json.dumps({
        "type": "object",
        "properties": {
            "id": {"type": "integer"},
            "at": {"type": "string", "format": "date"},
            "tags": {"type": "array", "items": {"type": ["null", "string"]}},
            "home": {"$ref": "#/definitions/place"},
        },
        "definitions": {"place": {"type": "object", "properties": {"x": {"type": "number"}}}},
    })  # fmt: skip
    made = JsonRowDeserializationSchema.builder().json_schema(text).build()
    home = pa.struct([("x", pa.float64())])
    assert made.schema == pa.schema(
        [("id", pa.int64()), ("at", pa.date32()), ("tags", pa.list_(pa.string())), ("home", home)]
    )
    with pytest.raises(ConnectorConfigError, match="has no single type"):
        JsonRowDeserializationSchema.builder().json_schema('{"properties": {"a": {}}}')
