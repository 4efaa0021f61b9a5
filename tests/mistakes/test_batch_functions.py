"""Functions of batches that take or return the wrong thing."""

BATCHES = "import numpy as np, pyarrow as pa"


def test_a_column_that_is_not_there(run):
    run(f"""
        {BATCHES}
        def late(dep_dlay: np.ndarray, carrier: pa.Array) -> np.ndarray:
            return dep_dlay > 15
        flights.filter(late).print()  # HERE
        """).is_clear(
        2, "LESTO-2002", "no column 'dep_dlay' (did you mean 'dep_delay'?)", remedy=""
    )


def test_fewer_results_than_records(run):
    run(f"""
        {BATCHES}
        def first(batch: pa.RecordBatch) -> pa.RecordBatch:
            return batch.slice(0, 1)
        flights.map(first).print()
        env.execute()
        """).is_clear(
        1, "LESTO-6", "first(batch: pyarrow.RecordBatch) of operator 'Map of batches' returned 1",
        remedy="flat_map", at="job.py",
    )  # fmt: skip


def test_a_result_of_no_known_columns(run):
    run(f"""
        {BATCHES}
        class Twice(MapFunction):
            def map(self, batch: pa.RecordBatch) -> pa.RecordBatch:
                return batch
        flights.map(Twice()).print()  # HERE
        """).is_clear(
        2, "LESTO-2002", "the columns of what Twice.map returns are not known",
        remedy="output_type=Types.ROW_NAMED",
    )  # fmt: skip
