"""Counts words: a key, a type, a reduction."""

from pyflink.common import Types
from pyflink.datastream import StreamExecutionEnvironment

TEXT = [
    "To be, or not to be,--that is the question:--",
    "Whether 'tis nobler in the mind to suffer",
    "The slings and arrows of outrageous fortune",
    "Or to take arms against a sea of troubles,",
    "And by opposing end them?--To die,--to sleep,--",
]


def split(line):
    yield from "".join(c.lower() if c.isalpha() else " " for c in line).split()


def word_count():
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    counts = (
        env.from_collection(TEXT, type_info=Types.STRING())
        .flat_map(split, output_type=Types.STRING())
        .map(lambda word: (word, 1), output_type=Types.TUPLE([Types.STRING(), Types.INT()]))
        .key_by(lambda pair: pair[0], key_type=Types.STRING())
        .reduce(lambda a, b: (a[0], a[1] + b[1]))
    )
    counts.map(lambda pair: f"{pair[0]} {pair[1]}", output_type=Types.STRING()).print()
    env.execute("word count")


if __name__ == "__main__":
    word_count()
