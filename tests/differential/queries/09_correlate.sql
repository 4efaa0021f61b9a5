--# unnest_array | unnest
SELECT i.id, t.tag FROM items AS i CROSS JOIN UNNEST(i.tags) AS t (tag)
--# unnest_array_left | unnest outer
SELECT i.id, t.tag FROM items AS i LEFT JOIN UNNEST(i.tags) AS t (tag) ON TRUE
--# unnest_map | unnest
SELECT i.id, t.k, t.v FROM items AS i CROSS JOIN UNNEST(i.props) AS t (k, v)
--= duckdb
SELECT i.id, t.e.key, t.e.value FROM items AS i CROSS JOIN UNNEST(map_entries(i.props)) AS t (e)
--# unnest_ordinality | unnest
SELECT i.id, t.tag, t.pos FROM items AS i CROSS JOIN UNNEST(i.tags) WITH ORDINALITY AS t (tag, pos)
--= duckdb
SELECT id, tags[p], p FROM items, range(1, len(tags) + 1) AS r(p)
--# unnest_constant | unnest
SELECT x, y FROM (VALUES (1), (2)) AS v (y), UNNEST(ARRAY[10, 20, 30]) AS t (x)
--# unnest_grouped | unnest group stacked
SELECT t.tag, COUNT(*), SUM(i.n) FROM items AS i CROSS JOIN UNNEST(i.tags) AS t (tag) GROUP BY t.tag
--# unnest_filtered | unnest filter
SELECT i.id, t.tag FROM items AS i, UNNEST(i.tags) AS t (tag) WHERE t.tag LIKE 'gr%' AND i.k > 2
--# unnest_rows | unnest nested
SELECT i.id, t.a, t.b FROM items AS i CROSS JOIN UNNEST(ARRAY[ROW(i.k, i.v), ROW(0, 'zero')]) AS t (a, b)
--= duckdb
SELECT id, k, v FROM items UNION ALL SELECT id, 0, 'zero' FROM items
--# unnest_of_changelog | unnest retract
SELECT u.id, t.x FROM users AS u CROSS JOIN UNNEST(ARRAY[u.score, u.id]) AS t (x)
--= duckdb
SELECT id, score FROM users UNION ALL SELECT id, id FROM users
--# unnest_of_group | unnest group retract stacked
SELECT g.customer, t.x FROM (SELECT customer, COUNT(*) AS n, COUNT(paid) AS m FROM orders GROUP BY customer) AS g CROSS JOIN UNNEST(ARRAY[g.n, g.m]) AS t (x)
--= duckdb
SELECT customer, COUNT(*) FROM orders GROUP BY customer UNION ALL SELECT customer, COUNT(paid) FROM orders GROUP BY customer
--# lateral_top_n | lateral top_n
SELECT d.id, t.oid, t.amount FROM departments AS d, LATERAL (
  SELECT o.id AS oid, o.amount FROM orders AS o WHERE o.customer = d.id ORDER BY o.amount DESC, o.id LIMIT 3) AS t
--= flink none: its planner fails (unexpected correlate variable)
--# lateral_aggregate | lateral group
SELECT d.id, t.n FROM departments AS d, LATERAL (SELECT SUM(quantity) AS n FROM orders AS o WHERE o.customer = d.id) AS t
--# lateral_filter | lateral join
SELECT d.id, t.id FROM departments AS d, LATERAL (SELECT id FROM orders AS o WHERE o.customer = d.id AND o.amount > 300) AS t
