"""README's first pipeline, run by the installed wheel; prints results for the test to read."""

from lesto.datastream import StreamExecutionEnvironment


def main():
    """Count words."""
    env = StreamExecutionEnvironment.get_execution_environment()
    counts = (
        env.from_collection(["to be or not to be", "that is the question"])
        .flat_map(lambda line: line.split())
        .map(lambda word: (word, 1))
        .key_by(lambda pair: pair[0])
        .reduce(lambda a, b: (a[0], a[1] + b[1]))
    )
    results = list(counts.execute_and_collect("word count"))
    assert ("to", 2) in results, results
    assert ("be", 2) in results, results
    assert len(results) == 10, results
    print("exact")


if __name__ == "__main__":
    main()
