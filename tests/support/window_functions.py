"""Functions for tests of window operators."""

from lesto.common.functions import AggregateFunction
from lesto.common.keys import KeySpec

KEY = KeySpec(selector=lambda v: v[0])


class Count(AggregateFunction):
    """How many values; mergeable."""

    def create_accumulator(self):
        return 0

    def add(self, value, accumulator):
        return accumulator + 1

    def get_result(self, accumulator):
        return accumulator

    def merge(self, acc_a, acc_b):
        return acc_a + acc_b
