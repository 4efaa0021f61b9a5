"""Jobs that the dashboard is looked at with, as users would write them."""

#: Runs until it is cancelled: slow enough to leave the machine alone; a checkpoint each second.
ORDERS = """
import time

from lesto.datastream import StreamExecutionEnvironment


def priced(number):
    time.sleep(0.005)
    return (number % 17, number)


env = StreamExecutionEnvironment.get_execution_environment()
env.enable_checkpointing(1_000)
(
    env.from_sequence(0, 10**9)
    .map(priced)
    .key_by(lambda pair: pair[0])
    .reduce(lambda a, b: (a[0], a[1] + b[1]))
    .filter(lambda pair: pair[1] < 0)
    .print()
)
env.execute("Orders by customer")
"""

#: Fails at its fourth record.
FAILING = """
from lesto.datastream import StreamExecutionEnvironment


def share(number):
    return 10 // number


env = StreamExecutionEnvironment.get_execution_environment()
env.from_collection([3, 2, 1, 0]).map(share).print()
env.execute("Shares of a total")
"""

#: Finishes at once.
WORDS = """
from lesto.datastream import StreamExecutionEnvironment

env = StreamExecutionEnvironment.get_execution_environment()
env.from_collection(["to be or not to be"]).flat_map(lambda line: line.split()).print()
env.execute("Words")
"""

#: Says what is wrong with it before it submits anything.
BROKEN = """
from lesto.datastream import StreamExecutionEnvironment


def prices():
    return {"apple": 3}["pear"]


env = StreamExecutionEnvironment.get_execution_environment()
env.from_collection([prices()]).print()
env.execute("Never")
"""
