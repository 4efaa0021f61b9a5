"""JSON texts: read, changed, filtered, grouped by a field."""

import json

from pyflink.common import Row, Types
from pyflink.datastream import StreamExecutionEnvironment

RECORDS = [
    (1, '{"name": "Flink", "tel": 123, "addr": {"country": "Germany", "city": "Berlin"}}'),
    (2, '{"name": "hello", "tel": 135, "addr": {"country": "China", "city": "Shanghai"}}'),
    (3, '{"name": "world", "tel": 124, "addr": {"country": "USA", "city": "NewYork"}}'),
    (4, '{"name": "PyFlink", "tel": 32, "addr": {"country": "China", "city": "Hangzhou"}}'),
]


def update_tel(record):
    data = json.loads(record.data)
    data["tel"] += 1
    return Row(id=record.id, data=json.dumps(data, sort_keys=True))


def main():
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    row_type = Types.ROW_NAMED(["id", "data"], [Types.INT(), Types.STRING()])
    ds = env.from_collection(RECORDS, type_info=row_type)

    updated = ds.map(update_tel, output_type=row_type)
    updated.map(lambda r: f"updated {r.id} {r.data}", output_type=Types.STRING()).print()

    ds.filter(lambda r: json.loads(r.data)["addr"]["country"] == "China").map(
        lambda r: f"china {r.id}", output_type=Types.STRING()
    ).print()

    by_country = (
        ds.map(
            lambda r: (json.loads(r.data)["addr"]["country"], json.loads(r.data)["tel"]),
            output_type=Types.TUPLE([Types.STRING(), Types.INT()]),
        )
        .key_by(lambda pair: pair[0], key_type=Types.STRING())
        .sum(1)
    )
    by_country.map(lambda p: f"country {p[0]} {p[1]}", output_type=Types.STRING()).print()
    env.execute("json processing")


if __name__ == "__main__":
    main()
