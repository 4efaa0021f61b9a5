"""One cluster for all jobs: starting slots is most of the cost."""

from tests.golden.conftest import _no_job_is_left, cluster, jobmanager

__all__ = ["_no_job_is_left", "cluster", "jobmanager"]
