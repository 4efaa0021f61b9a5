--# tumble_count | window tumble
SELECT window_start, window_end, COUNT(*), SUM(amount) FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '10' MINUTE))
GROUP BY window_start, window_end
--# tumble_keyed | window tumble
SELECT customer, window_start, window_end, COUNT(*), SUM(quantity), MIN(amount), MAX(price), AVG(price)
FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '30' MINUTE)) GROUP BY customer, window_start, window_end
--# tumble_offset | window tumble
SELECT window_start, COUNT(*) FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '20' MINUTE, INTERVAL '7' MINUTE))
GROUP BY window_start, window_end
--# tumble_start_only_selected | window tumble
SELECT window_end, user_id, MAX(duration) FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '15' MINUTE))
GROUP BY user_id, window_start, window_end
--# tumble_named_arguments | window tumble
SELECT window_start, COUNT(*) FROM TABLE(TUMBLE(DATA => TABLE clicks, TIMECOL => DESCRIPTOR(ts), SIZE => INTERVAL '15' MINUTE))
GROUP BY window_start, window_end
--= duckdb
SELECT time_bucket(INTERVAL '15' MINUTE, ts, TIMESTAMP '1970-01-01') AS window_start, COUNT(*) FROM clicks GROUP BY 1
--# tumble_day | window tumble
SELECT window_start, window_end, COUNT(*), COUNT(DISTINCT customer) FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '1' DAY))
GROUP BY window_start, window_end
--# tumble_without_aggregates | window tumble
SELECT user_id, window_start FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' HOUR)) GROUP BY user_id, window_start, window_end
--# tumble_distinct | window tumble distinct
SELECT window_start, COUNT(DISTINCT customer), COUNT(DISTINCT product), SUM(DISTINCT quantity)
FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '30' MINUTE)) GROUP BY window_start, window_end
--# tumble_filter | window tumble filter_clause
SELECT window_start, COUNT(*) FILTER (WHERE paid), SUM(amount) FILTER (WHERE NOT paid), COUNT(DISTINCT customer) FILTER (WHERE amount > 100)
FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '30' MINUTE)) GROUP BY window_start, window_end
--# tumble_having | window tumble having
SELECT window_start, user_id, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '30' MINUTE))
GROUP BY window_start, window_end, user_id HAVING COUNT(*) > 4
--# tumble_grouping_sets | window tumble grouping_sets
SELECT window_start, product, paid, COUNT(*), SUM(amount) FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '1' HOUR))
GROUP BY window_start, window_end, GROUPING SETS ((product), (paid), ())
--# tumble_rollup | window tumble grouping_sets
SELECT window_start, product, paid, COUNT(*) FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '2' HOUR))
GROUP BY window_start, window_end, ROLLUP (product, paid)
--# tumble_rows_kept | window tumble project
SELECT id, ts, window_start, window_end, window_time FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '10' MINUTE))
--# tumble_of_filtered | window tumble filter cte
WITH big AS (SELECT * FROM orders WHERE amount > 100)
SELECT window_start, COUNT(*) FROM TABLE(TUMBLE(TABLE big, DESCRIPTOR(ts), INTERVAL '30' MINUTE)) GROUP BY window_start, window_end
--# tumble_first_last | window tumble
SELECT user_id, window_start, MIN(n), MAX(url), STDDEV_POP(duration) >= 0 FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' HOUR))
GROUP BY user_id, window_start, window_end
--# tumble_late | window tumble late
SELECT window_start, COUNT(*), SUM(duration) FROM TABLE(TUMBLE(TABLE late_clicks, DESCRIPTOR(ts), INTERVAL '10' MINUTE)) GROUP BY window_start, window_end
--# tumble_late_keyed | window tumble late
SELECT user_id, window_start, COUNT(*), MAX(duration) FROM TABLE(TUMBLE(TABLE late_clicks, DESCRIPTOR(ts), INTERVAL '1' HOUR))
GROUP BY user_id, window_start, window_end
--# tumble_cascade | window tumble stacked
SELECT window_start, window_end, SUM(n), MAX(n) FROM TABLE(TUMBLE(TABLE tumbled_orders, DESCRIPTOR(t), INTERVAL '1' HOUR))
GROUP BY window_start, window_end
--# hop_count | window hop
SELECT window_start, window_end, COUNT(*), SUM(duration), MAX(duration)
FROM TABLE(HOP(TABLE clicks, DESCRIPTOR(ts), INTERVAL '10' MINUTE, INTERVAL '30' MINUTE)) GROUP BY window_start, window_end
--# hop_keyed | window hop
SELECT customer, window_start, SUM(amount), COUNT(*), MIN(price) FROM TABLE(HOP(TABLE orders, DESCRIPTOR(ts), INTERVAL '30' MINUTE, INTERVAL '1' HOUR))
GROUP BY customer, window_start, window_end
--# hop_distinct | window hop distinct
SELECT window_start, COUNT(DISTINCT user_id), COUNT(DISTINCT url) FROM TABLE(HOP(TABLE clicks, DESCRIPTOR(ts), INTERVAL '15' MINUTE, INTERVAL '1' HOUR))
GROUP BY window_start, window_end
--# hop_offset | window hop
SELECT window_start, COUNT(*) FROM TABLE(HOP(TABLE clicks, DESCRIPTOR(ts), INTERVAL '20' MINUTE, INTERVAL '40' MINUTE, INTERVAL '3' MINUTE))
GROUP BY window_start, window_end
--# hop_rows_kept | window hop project
SELECT n, window_start FROM TABLE(HOP(TABLE clicks, DESCRIPTOR(ts), INTERVAL '30' MINUTE, INTERVAL '1' HOUR)) WHERE user_id = 3
--# hop_late | window hop late
SELECT window_start, user_id, COUNT(*) FROM TABLE(HOP(TABLE late_clicks, DESCRIPTOR(ts), INTERVAL '30' MINUTE, INTERVAL '1' HOUR))
GROUP BY window_start, window_end, user_id
--# cumulate_count | window cumulate
SELECT window_start, window_end, COUNT(*), SUM(amount) FROM TABLE(CUMULATE(TABLE orders, DESCRIPTOR(ts), INTERVAL '20' MINUTE, INTERVAL '1' HOUR))
GROUP BY window_start, window_end
--# cumulate_keyed | window cumulate
SELECT user_id, window_start, window_end, COUNT(*), MAX(duration) FROM TABLE(CUMULATE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' HOUR, INTERVAL '2' HOUR))
GROUP BY user_id, window_start, window_end
--# cumulate_distinct | window cumulate distinct
SELECT window_start, window_end, COUNT(DISTINCT user_id) FROM TABLE(CUMULATE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '30' MINUTE, INTERVAL '2' HOUR))
GROUP BY window_start, window_end
--# cumulate_late | window cumulate late
SELECT window_start, window_end, COUNT(*) FROM TABLE(CUMULATE(TABLE late_clicks, DESCRIPTOR(ts), INTERVAL '30' MINUTE, INTERVAL '1' HOUR))
GROUP BY window_start, window_end
--# session_keyed | window session
SELECT user_id, window_start, window_end, COUNT(*), SUM(duration)
FROM TABLE(SESSION(TABLE clicks PARTITION BY user_id, DESCRIPTOR(ts), INTERVAL '5' MINUTE)) GROUP BY user_id, window_start, window_end
--# session_global | window session
SELECT window_start, window_end, COUNT(*), MIN(n) FROM TABLE(SESSION(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end
--# session_min_max_distinct | window session distinct
SELECT customer, window_start, COUNT(DISTINCT product), MAX(amount), COUNT(*) FILTER (WHERE paid)
FROM TABLE(SESSION(TABLE orders PARTITION BY customer, DESCRIPTOR(ts), INTERVAL '20' MINUTE)) GROUP BY customer, window_start, window_end
--# session_late | window session late
SELECT user_id, window_start, window_end, COUNT(*) FROM TABLE(SESSION(TABLE late_clicks PARTITION BY user_id, DESCRIPTOR(ts), INTERVAL '10' MINUTE))
GROUP BY user_id, window_start, window_end
--# legacy_tumble | window legacy tumble
SELECT customer, TUMBLE_START(ts, INTERVAL '30' MINUTE) AS s, TUMBLE_END(ts, INTERVAL '30' MINUTE) AS e, COUNT(*), SUM(amount)
FROM orders GROUP BY customer, TUMBLE(ts, INTERVAL '30' MINUTE)
--= duckdb
SELECT customer, time_bucket(INTERVAL '30' MINUTE, ts, TIMESTAMP '1970-01-01') AS s, s + INTERVAL '30' MINUTE, COUNT(*), SUM(amount) FROM orders GROUP BY ALL
--# legacy_hop | window legacy hop
SELECT HOP_START(ts, INTERVAL '15' MINUTE, INTERVAL '30' MINUTE) AS s, COUNT(*), MAX(duration) FROM clicks
GROUP BY HOP(ts, INTERVAL '15' MINUTE, INTERVAL '30' MINUTE)
--= duckdb
SELECT window_start, COUNT(*), MAX(duration) FROM TABLE(HOP(TABLE clicks, DESCRIPTOR(ts), INTERVAL '15' MINUTE, INTERVAL '30' MINUTE)) GROUP BY window_start
--# legacy_session | window legacy session
SELECT user_id, SESSION_START(ts, INTERVAL '5' MINUTE) AS s, SESSION_END(ts, INTERVAL '5' MINUTE) AS e, COUNT(*) FROM clicks
GROUP BY user_id, SESSION(ts, INTERVAL '5' MINUTE)
--= duckdb
SELECT user_id, window_start, window_end, COUNT(*) FROM TABLE(SESSION(TABLE clicks PARTITION BY user_id, DESCRIPTOR(ts), INTERVAL '5' MINUTE)) GROUP BY user_id, window_start, window_end
--# legacy_tumble_having | window legacy tumble having
SELECT TUMBLE_END(ts, INTERVAL '1' HOUR) AS e, COUNT(DISTINCT customer) FROM orders GROUP BY TUMBLE(ts, INTERVAL '1' HOUR) HAVING COUNT(*) > 90
--= duckdb
SELECT time_bucket(INTERVAL '1' HOUR, ts, TIMESTAMP '1970-01-01') + INTERVAL '1' HOUR AS e, COUNT(DISTINCT customer) FROM orders GROUP BY ALL HAVING COUNT(*) > 90
--# window_of_join_free_projection | window tumble stacked
SELECT window_start, MAX(n) FROM (
  SELECT window_start, window_end, user_id, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '30' MINUTE))
  GROUP BY window_start, window_end, user_id) AS a GROUP BY window_start, window_end
--# group_of_window | window group stacked
SELECT n, COUNT(*) FROM (
  SELECT window_start, window_end, user_id, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '30' MINUTE))
  GROUP BY window_start, window_end, user_id) AS a GROUP BY n
--# window_top_n | window top_n
SELECT window_start, user_id, total, rn FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY total DESC, user_id) AS rn FROM (
    SELECT window_start, window_end, user_id, SUM(n) AS total FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '30' MINUTE))
    GROUP BY window_start, window_end, user_id) AS a
) AS b WHERE rn <= 3
--# window_top_n_without_rank | window top_n
SELECT window_end, customer, amount FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY amount DESC, id) AS rn
  FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '20' MINUTE))
) AS b WHERE rn <= 2
--# window_top_n_keyed_hop | window top_n hop
SELECT window_start, product, id, rn FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, product ORDER BY price, id) AS rn
  FROM TABLE(HOP(TABLE orders, DESCRIPTOR(ts), INTERVAL '1' HOUR, INTERVAL '2' HOUR))
) AS b WHERE rn <= 2
--# window_dedup_last | window dedup
SELECT user_id, n, window_start FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, user_id ORDER BY ts DESC) AS rn
  FROM TABLE(TUMBLE(TABLE distinct_clicks, DESCRIPTOR(ts), INTERVAL '30' MINUTE))
) AS a WHERE rn = 1
--# window_dedup_first | window dedup
SELECT user_id, n, window_end FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, user_id ORDER BY ts ASC) AS rn
  FROM TABLE(TUMBLE(TABLE distinct_clicks, DESCRIPTOR(ts), INTERVAL '30' MINUTE))
) AS a WHERE rn = 1
--# window_join_inner | window join
SELECT a.id, b.n, a.window_start FROM (SELECT * FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '10' MINUTE))) AS a
JOIN (SELECT * FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '10' MINUTE))) AS b
ON a.customer = b.user_id AND a.window_start = b.window_start AND a.window_end = b.window_end
--# window_join_left | window join outer
SELECT a.id, b.n, a.window_start, b.window_end FROM (SELECT * FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '10' MINUTE))) AS a
LEFT JOIN (SELECT * FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '10' MINUTE))) AS b
ON a.customer = b.user_id AND a.window_start = b.window_start AND a.window_end = b.window_end
--# window_join_full | window join outer
SELECT a.id, b.n FROM (SELECT * FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '20' MINUTE)) WHERE paid) AS a
FULL JOIN (SELECT * FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '20' MINUTE)) WHERE duration > 50) AS b
ON a.customer = b.user_id AND a.window_start = b.window_start AND a.window_end = b.window_end
--# window_join_right_non_equi | window join outer
SELECT a.id, b.n FROM (SELECT * FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '20' MINUTE))) AS a
RIGHT JOIN (SELECT * FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '20' MINUTE))) AS b
ON a.customer = b.user_id AND a.quantity * 10 < b.duration AND a.window_start = b.window_start AND a.window_end = b.window_end
--# window_join_semi | window join semi
SELECT a.id, a.window_start FROM (SELECT * FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '10' MINUTE))) AS a
WHERE EXISTS (SELECT * FROM (SELECT * FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '10' MINUTE))) AS b
  WHERE a.customer = b.user_id AND a.window_start = b.window_start AND a.window_end = b.window_end)
--# window_join_anti | window join anti
SELECT a.id FROM (SELECT * FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '10' MINUTE))) AS a
WHERE NOT EXISTS (SELECT * FROM (SELECT * FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '10' MINUTE))) AS b
  WHERE a.customer = b.user_id AND a.window_start = b.window_start AND a.window_end = b.window_end)
--# window_join_of_aggregates | window join stacked
SELECT a.window_start, a.customer, a.n, b.m FROM (
  SELECT window_start, window_end, customer, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '30' MINUTE))
  GROUP BY window_start, window_end, customer) AS a
JOIN (
  SELECT window_start, window_end, user_id, COUNT(*) AS m FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '30' MINUTE))
  GROUP BY window_start, window_end, user_id) AS b
ON a.window_start = b.window_start AND a.window_end = b.window_end AND a.customer = b.user_id
--# window_zone_tumble_day | window tumble zone
SELECT window_start, window_end, window_time = window_time, COUNT(*), SUM(v) FROM TABLE(TUMBLE(TABLE visits, DESCRIPTOR(`at`), INTERVAL '1' DAY))
GROUP BY window_start, window_end, window_time
--= duckdb
SELECT date_trunc('day', timezone('Europe/Berlin', "at")) AS s, s + INTERVAL '1' DAY, true, COUNT(*), SUM(v) FROM visits GROUP BY ALL
--# window_zone_tumble_hour | window tumble zone
SELECT who, window_start, window_end, COUNT(*) FROM TABLE(TUMBLE(TABLE visits, DESCRIPTOR(`at`), INTERVAL '2' HOUR)) GROUP BY who, window_start, window_end
--= duckdb
SELECT who, time_bucket(INTERVAL '2' HOUR, timezone('Europe/Berlin', "at"), TIMESTAMP '1970-01-01') AS s, s + INTERVAL '2' HOUR, COUNT(*) FROM visits GROUP BY ALL
--# window_zone_hop | window hop zone
SELECT window_start, window_end, COUNT(*) FROM TABLE(HOP(TABLE visits, DESCRIPTOR(`at`), INTERVAL '6' HOUR, INTERVAL '12' HOUR)) GROUP BY window_start, window_end
--= duckdb
SELECT window_start, window_end, COUNT(*) FROM TABLE(HOP(TABLE visits_local, DESCRIPTOR(t), INTERVAL '6' HOUR, INTERVAL '12' HOUR)) GROUP BY window_start, window_end
--# window_zone_session | window session zone
SELECT who, window_start, window_end, COUNT(*) FROM TABLE(SESSION(TABLE visits PARTITION BY who, DESCRIPTOR(`at`), INTERVAL '40' MINUTE)) GROUP BY who, window_start, window_end
--= differs: windows are cut in local time, where an hour comes twice
--= duckdb
SELECT who, timezone('Europe/Berlin', timezone('UTC', window_start)), timezone('Europe/Berlin', timezone('UTC', window_end)), COUNT(*) FROM TABLE(SESSION(TABLE visits_utc PARTITION BY who, DESCRIPTOR(t), INTERVAL '40' MINUTE)) GROUP BY ALL
--# zone_functions | functions zone
SELECT v, EXTRACT(HOUR FROM `at`), CAST(`at` AS DATE), CAST(`at` AS TIMESTAMP(3)), DATE_FORMAT(`at`, 'yyyy-MM-dd HH:mm'), FLOOR(`at` TO DAY) = `at` FROM visits
--= duckdb
SELECT v, EXTRACT(HOUR FROM t), CAST(t AS DATE), t, strftime(t, '%Y-%m-%d %H:%M'), date_trunc('day', t) = t FROM visits_local
