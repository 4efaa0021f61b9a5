"""Counts words in a few lines of text: the smallest job with a key and state."""

from lesto.datastream import StreamExecutionEnvironment

LINES = ["to be or not to be", "that is the question"]


def main():
    """Print a running count of each word."""
    env = StreamExecutionEnvironment.get_execution_environment()
    (
        env.from_collection(LINES)
        .flat_map(lambda line: line.split())
        .map(lambda word: (word, 1))
        .key_by(lambda pair: pair[0])
        .reduce(lambda a, b: (a[0], a[1] + b[1]))
        .print()
    )
    env.execute("word count")


if __name__ == "__main__":
    main()
