"""A submission that is tried again by whoever started the program is the same job."""

import pytest

from lesto.client.datastream.environment import StreamExecutionEnvironment
from lesto.common.config import Configuration
from lesto.common.option_types import InvalidOptionError


def graph_id(**settings):
    env = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(settings))
    env.from_collection([1, 2]).print()
    return env.get_job_graph().job_id


def test_each_submission_has_an_id_of_its_own_unless_one_is_given():
    assert graph_id() != graph_id()
    given = "0123456789abcdef" * 2
    assert graph_id(**{"pipeline.fixed-job-id": given}) == given
    assert graph_id(**{"$internal.pipeline.job-id": given}) == given  # Flink's key


def test_an_id_that_is_none_is_refused_by_name():
    with pytest.raises(InvalidOptionError, match=r"pipeline\.fixed-job-id is 'mine'"):
        graph_id(**{"pipeline.fixed-job-id": "mine"})
