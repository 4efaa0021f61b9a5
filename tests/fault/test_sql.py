"""SQL with retractions while processes are killed and the job is rescaled: its tables are exact."""

import pytest

from tests.fault.sql_kills import one_run

#: One of each kind of operator that keeps something, and what needs all rows in one subtask.
QUERIES = (
    "group_changelog_min_max", "group_changelog_global", "group_collect", "join_changelog_full",
    "join_upsert_full", "not_in_nullable_few", "except_all_changelog", "tumble_distinct",
    "session_min_max_distinct", "window_top_n_keyed_hop", "window_join_full",
    "over_range_interval", "over_retract_range", "top_n_changelog", "dedup_last_rowtime",
    "order_by_limit_changelog", "interval_full", "temporal_left",
)  # fmt: skip


@pytest.mark.fault
@pytest.mark.timeout(300)
@pytest.mark.parametrize("rescales", [(), (3, 1)], ids=["killed", "killed and rescaled"])
def test_tables_are_exact(tmp_path, rescales):
    report = one_run(tmp_path, kills=2, seed=5, names=QUERIES, rescales=rescales)
    assert not report["wrong"], report
    assert report["killed"], report
    assert report["restored"] >= 1, report
    assert len(report["rescaled_ms"]) == len(rescales), report
