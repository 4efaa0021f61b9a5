"""Table API, SQL and functions in Python, as a PyFlink program writes them."""

from pyflink.table import DataTypes, EnvironmentSettings, TableEnvironment
from pyflink.table.expressions import col, concat, lit
from pyflink.table.udf import udaf, udf, udtf


@udaf(result_type=DataTypes.DOUBLE(), func_type="pandas")
def mean(values):
    return values.mean()


@udf(result_type=DataTypes.STRING())
def shout(text):
    return text.upper() + "!"


@udtf(result_types=[DataTypes.STRING(), DataTypes.INT()])
def words(text):
    for word in text.split():
        yield word, len(word)


def show(title, table):
    with table.execute().collect() as rows:
        for row in sorted(map(str, ([*row] for row in rows))):
            print(title, row)


def main():
    t_env = TableEnvironment.create(EnvironmentSettings.in_batch_mode())
    t_env.get_config().set("parallelism.default", "1")
    table = t_env.from_elements(
        [(1, "to be or", 10), (2, "not to be", 20), (3, "that is", 30), (1, "the question", 40)],
        DataTypes.ROW(
            [
                DataTypes.FIELD("id", DataTypes.BIGINT()),
                DataTypes.FIELD("line", DataTypes.STRING()),
                DataTypes.FIELD("n", DataTypes.BIGINT()),
            ]
        ),
    )
    show("select", table.select(col("id") + 1, shout(col("line")), concat(col("line"), lit("."))))
    show("filter", table.filter((col("n") > 10) & col("line").like("%be%")).select(col("id")))
    show("group", table.group_by(col("id")).select(col("id"), col("n").sum, col("n").max))
    show("mean", table.group_by(col("id")).select(col("id"), mean(col("n"))))
    split = table.join_lateral(words(col("line")).alias("word", "length"))
    show("words", split.group_by(col("word")).select(col("word"), col("length").count))
    t_env.create_temporary_view("lines", table)
    t_env.create_temporary_function("shout", shout)
    show(
        "sql", t_env.sql_query("SELECT id, shout(line), n * 2 FROM lines WHERE n BETWEEN 15 AND 35")
    )
    other = t_env.from_elements([(1, "one"), (2, "two")], ["number", "name"])
    joined = table.join(other, col("id") == col("number")).select(col("name"), col("n"))
    show("join", joined.union_all(other.select(col("name"), lit(0).cast(DataTypes.BIGINT()))))
    show("order", table.order_by(col("n").desc).limit(2).select(col("n")))
    print(sorted(table.select(col("n")).to_pandas()["n"].tolist()))


if __name__ == "__main__":
    main()
