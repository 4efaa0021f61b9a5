"""Hints: STATE_TTL and LOOKUP have effect, strategies have none, others are refused."""

import pytest

from lesto.client.table.environment import TableEnvironment
from lesto.client.table.plan import logical as p
from lesto.client.table.plan.physical.translator import Translator
from lesto.client.table.settings import EnvironmentSettings
from lesto.common.errors import LestoError


@pytest.fixture
def t_env(tmp_path):
    made = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    for name in ("o", "u"):
        made.execute_sql(
            f"CREATE TABLE {name} (id INT, who STRING, pt AS PROCTIME())"
            " WITH ('connector' = 'datagen')"
        )
    for name in ("d", "e"):
        made.execute_sql(
            f"CREATE TABLE {name} (id INT, nm STRING) WITH ('connector' = 'filesystem',"
            f" 'path' = '{tmp_path}', 'format' = 'csv')"
        )
    return made


def nodes(t_env, sql, kind):
    found = []

    def below(node):
        if isinstance(node, kind):
            found.append(node)
        for child in node.inputs:
            below(child)

    below(t_env._session.planner.query(sql).root)
    return found


def test_state_of_each_side_of_a_join_is_kept_for_its_own_time(t_env):
    sql = (
        "SELECT /*+ STATE_TTL('a' = '1 d', 'u' = '2 h') */ a.id, u.who, b.who FROM o a"
        " JOIN u ON a.id = u.id JOIN o b ON b.who = u.who WHERE a.who = 'x'"
    )
    outer, inner = nodes(t_env, sql, p.Join)
    assert inner.ttls == (86_400_000, 7_200_000)
    assert outer.ttls == (None, None)
    assert "stateTtl=[left=86400000 ms, right=7200000 ms]" in t_env.explain_sql(sql)

    session, made = t_env._session, []

    class Noting(Translator):
        def add(self, node, label, operator, args, *rest, **more):
            made.extend([args[-1]] if label == "Join" else [])
            return super().add(node, label, operator, args, *rest, **more)

    Noting(session.env, ttl_ms=5).add_plan(session.planner.query(sql))
    assert made == [(86_400_000, 7_200_000), (5, 5)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT /*+ STATE_TTL('o' = '1 min') */ who, COUNT(*) FROM o GROUP BY who",
        "SELECT /*+ STATE_TTL('x' = '1 min') */ DISTINCT who FROM o AS x",
    ],
)
def test_state_of_groups(t_env, sql):
    [node] = nodes(t_env, sql, p.Aggregate)
    assert node.ttl == 60_000
    assert "stateTtl=[60000 ms]" in t_env.explain_sql(sql)


def test_a_lookup_has_its_own_options_alone(t_env):
    sql = (
        "SELECT /*+ LOOKUP('table' = 'y', 'retry-predicate' = 'lookup_miss'),"
        " LOOKUP('table' = 'd', 'async' = 'true') */ o.id FROM o"
        " JOIN d FOR SYSTEM_TIME AS OF o.pt ON d.id = o.id"
        " JOIN e FOR SYSTEM_TIME AS OF o.pt AS y ON y.id = o.id"
    )
    second, first = nodes(t_env, sql, p.LookupJoin)
    assert dict(first.hints) == {"table": "d", "async": "true"}
    assert dict(second.hints) == {"table": "y", "retry-predicate": "lookup_miss"}


@pytest.mark.parametrize(
    "hint", ["BROADCAST(u)", "SHUFFLE_HASH(o), NEST_LOOP(u)", "MULTI_JOIN(o, u)"]
)
def test_strategies_are_read(t_env, hint):
    sql = "SELECT {} o.id FROM o JOIN u ON o.id = u.id"
    hinted, plain = (t_env.explain_sql(sql.format(x)) for x in (f"/*+ {hint} */", ""))
    assert hinted == plain


@pytest.mark.parametrize(
    ("hint", "told"),
    [
        ("STATE_TTLS('o' = '1 d')", "no hint STATE_TTLS behind SELECT .did you mean 'STATE_TTL'"),
        ("OPTIONS('x' = 'y')", "write it behind the table"),
        ("STATE_TTL('oo' = '1 d')", "names oo, which is not in FROM .did you mean 'o'"),
        ("STATE_TTL('o' = '1 parsec')", "no duration"),
        ("BROADCAST(nobody)", "names nobody"),
        ("LOOKUP('async' = 'true')", "does not say which table"),
        ("LOOKUP('table' = 'z')", "names z"),
        ("LOOKUP('table' = 'o', 'asynch' = 'true')", "no option 'asynch' .did you mean 'async'"),
    ],
)
def test_hints_that_there_are_not(t_env, hint, told):
    with pytest.raises(LestoError, match=told):
        t_env.explain_sql(f"SELECT /*+ {hint} */ o.id FROM o JOIN u ON o.id = u.id")
