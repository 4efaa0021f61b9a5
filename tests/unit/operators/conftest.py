import pytest
from operator_harness import Harness


@pytest.fixture
def harness(tmp_path):
    """Makes harnesses, all with one directory, and closes them."""
    made = []

    def make(operator, **options):
        one = Harness(operator, tmp_path, **options)
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()
