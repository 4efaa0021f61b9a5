--# group_basic | group
SELECT customer, COUNT(*), COUNT(amount), SUM(amount), MIN(amount), MAX(amount), SUM(quantity), AVG(price), MIN(price), MAX(quantity)
FROM orders GROUP BY customer
--# group_global | group
SELECT COUNT(*), COUNT(customer), SUM(quantity), MIN(ts), MAX(ts), SUM(price), MAX(product), MIN(product) FROM orders
--# group_global_of_nothing | group streaming
SELECT COUNT(*), SUM(quantity), MAX(product) FROM orders WHERE id < 0
--= differs: a stream that gave nothing has no first result; in batch mode it is 0, NULL, NULL
--# group_of_nothing | group
SELECT customer, COUNT(*) FROM orders WHERE id < 0 GROUP BY customer
--# group_two_keys | group nulls
SELECT product, paid, COUNT(*), SUM(amount), SUM(price) FROM orders GROUP BY product, paid
--# group_by_expression | group
SELECT MOD(id, 7) AS m, customer IS NULL AS no_one, COUNT(*), SUM(quantity + 1) FROM orders GROUP BY MOD(id, 7), customer IS NULL
--# group_by_date_part | group functions
SELECT EXTRACT(HOUR FROM ts), COUNT(*), SUM(price) FROM orders GROUP BY EXTRACT(HOUR FROM ts)
--# group_keys_only | group
SELECT customer, product FROM orders GROUP BY customer, product
--# group_distinct_rows | group
SELECT DISTINCT product, paid FROM orders
--# group_having | group having
SELECT customer, COUNT(*) AS n, SUM(amount) FROM orders GROUP BY customer HAVING COUNT(*) > 10 AND SUM(amount) > 500
--# group_having_not_selected | group having
SELECT customer FROM orders GROUP BY customer HAVING MAX(amount) > 400 OR customer IS NULL
--# group_count_distinct | group distinct
SELECT customer, COUNT(DISTINCT product), COUNT(DISTINCT quantity), COUNT(*) FROM orders GROUP BY customer
--# group_distinct_global | group distinct
SELECT COUNT(DISTINCT customer), COUNT(DISTINCT product), SUM(DISTINCT quantity), COUNT(DISTINCT amount) FROM orders
--# group_distinct_sum | group distinct
SELECT paid, SUM(DISTINCT quantity), COUNT(DISTINCT customer), MAX(DISTINCT price), SUM(quantity) FROM orders GROUP BY paid
--# group_filter_clause | group filter_clause
SELECT customer, COUNT(*) FILTER (WHERE paid), SUM(amount) FILTER (WHERE quantity > 3), MAX(price) FILTER (WHERE product LIKE '%p%'), COUNT(*)
FROM orders GROUP BY customer
--# group_distinct_filter | group distinct filter_clause
SELECT paid, COUNT(DISTINCT customer) FILTER (WHERE amount > 0), COUNT(DISTINCT customer) FILTER (WHERE amount <= 0), COUNT(DISTINCT customer)
FROM orders GROUP BY paid
--# group_case_in_aggregate | group
SELECT product, SUM(CASE WHEN paid THEN 1 ELSE 0 END), SUM(CASE WHEN amount < 0 THEN amount END), COUNT(CASE WHEN quantity > 5 THEN 1 END)
FROM orders GROUP BY product
--# group_avg_of_integers | group
SELECT customer, AVG(quantity), AVG(id) FROM orders GROUP BY customer
--= duckdb
SELECT customer, CAST(SUM(quantity) // COUNT(quantity) AS INT), CAST(SUM(id) // COUNT(id) AS BIGINT) FROM orders GROUP BY customer
--# group_avg_of_decimals | group
SELECT product, AVG(amount) FROM orders GROUP BY product
--= duckdb
SELECT product, CAST(CAST(SUM(amount) AS DECIMAL(38, 8)) / COUNT(amount) AS DECIMAL(38, 6)) FROM orders GROUP BY product
--# group_stddev | group
SELECT customer, ROUND(STDDEV_POP(price), 6), ROUND(STDDEV_SAMP(price), 6), ROUND(VAR_POP(price), 6), ROUND(VAR_SAMP(price), 6)
FROM orders GROUP BY customer
--# group_expression_of_aggregates | group
SELECT customer, SUM(amount) / COUNT(*) > 50, MAX(quantity) - MIN(quantity), CASE WHEN COUNT(*) > 20 THEN 'often' ELSE 'seldom' END
FROM orders GROUP BY customer
--# grouping_sets | group grouping_sets
SELECT product, paid, COUNT(*), SUM(amount) FROM orders GROUP BY GROUPING SETS ((product, paid), (product), (paid), ())
--# grouping_rollup | group grouping_sets
SELECT product, paid, quantity, COUNT(*), GROUPING(product), GROUPING(paid) FROM orders GROUP BY ROLLUP (product, paid, quantity)
--# grouping_cube | group grouping_sets distinct
SELECT paid, quantity, COUNT(DISTINCT customer), SUM(price), GROUPING_ID(paid, quantity) FROM orders GROUP BY CUBE (paid, quantity)
--= duckdb
SELECT paid, quantity, COUNT(DISTINCT customer), SUM(price), GROUPING(paid, quantity) FROM orders GROUP BY CUBE (paid, quantity)
--# grouping_sets_of_changelog | group grouping_sets retract
SELECT city, score, COUNT(*), SUM(balance) FROM users GROUP BY GROUPING SETS ((city), (score), ())
--# group_changelog | group retract
SELECT city, COUNT(*), SUM(score), COUNT(name), SUM(balance) FROM users GROUP BY city
--# group_changelog_global | group retract
SELECT COUNT(*), SUM(score), SUM(balance), COUNT(DISTINCT city) FROM users
--# group_changelog_min_max | group retract minmax
SELECT city, MIN(score), MAX(score), MIN(balance), MAX(balance), MAX(name), MIN(joined), MAX(joined) FROM users GROUP BY city
--# group_changelog_distinct | group retract distinct
SELECT score, COUNT(DISTINCT city), COUNT(DISTINCT joined), SUM(DISTINCT id) FROM users GROUP BY score
--# group_changelog_filter | group retract filter_clause
SELECT city, COUNT(*) FILTER (WHERE score > 50), SUM(balance) FILTER (WHERE score <= 50), MAX(score) FILTER (WHERE name IS NOT NULL)
FROM users GROUP BY city
--# group_changelog_having | group retract having
SELECT city, COUNT(*) AS n FROM users GROUP BY city HAVING COUNT(*) BETWEEN 3 AND 9
--# group_upsert | group upsert
SELECT city, COUNT(*), SUM(score), MAX(balance) FROM users_upsert GROUP BY city
--# group_bag | group retract
SELECT warehouse, product, COUNT(*), SUM(qty), SUM(weight), MAX(qty), MIN(weight) FROM stock GROUP BY warehouse, product
--# group_bag_distinct_rows | group retract
SELECT DISTINCT product, qty FROM stock
--# group_bag_avg | group retract
SELECT product, AVG(weight), COUNT(DISTINCT qty) FROM stock GROUP BY product
--# group_of_group | group retract stacked
SELECT n, COUNT(*), SUM(total) FROM (SELECT customer, COUNT(*) AS n, SUM(amount) AS total FROM orders GROUP BY customer) AS g GROUP BY n
--# group_of_group_min_max | group retract stacked minmax
SELECT MAX(total), MIN(total), MAX(n), COUNT(*) FROM (SELECT customer, COUNT(*) AS n, SUM(amount) AS total FROM orders GROUP BY customer) AS g
--# group_of_group_of_group | group retract stacked
SELECT c, COUNT(*) FROM (
  SELECT n, COUNT(*) AS c FROM (SELECT user_id, COUNT(*) AS n FROM clicks GROUP BY user_id) AS a GROUP BY n
) AS b GROUP BY c
--# group_filtered_group | group retract stacked filter
SELECT big, COUNT(*) FROM (
  SELECT customer, SUM(quantity) > 20 AS big FROM orders GROUP BY customer HAVING COUNT(*) > 5
) AS a GROUP BY big
--# group_distinct_of_changelog_group | group retract stacked distinct
SELECT COUNT(DISTINCT n), SUM(DISTINCT n) FROM (SELECT city, COUNT(*) AS n FROM users GROUP BY city) AS a
--# group_listagg_changelog_free | group
SELECT order_id, LISTAGG(means) FROM payments WHERE order_id IS NOT NULL GROUP BY order_id
--= duckdb
SELECT order_id, string_agg(means, ',' ORDER BY _seq) FROM payments WHERE order_id IS NOT NULL GROUP BY order_id
--# group_listagg_separator | group
SELECT user_id, LISTAGG(url, '; ') FROM clicks WHERE user_id > 3 GROUP BY user_id
--= duckdb
SELECT user_id, string_agg(url, '; ' ORDER BY _seq) FROM clicks WHERE user_id > 3 GROUP BY user_id
--# group_first_last | group
SELECT user_id, FIRST_VALUE(url), LAST_VALUE(url), LAST_VALUE(n) FROM clicks GROUP BY user_id
--= duckdb
SELECT user_id, first(url ORDER BY _seq), last(url ORDER BY _seq), last(n ORDER BY _seq) FROM clicks GROUP BY user_id
--# group_first_last_skip_nulls | group nulls
SELECT user_id, FIRST_VALUE(duration), LAST_VALUE(duration) FROM clicks GROUP BY user_id
--= duckdb
SELECT user_id, first(duration ORDER BY _seq) FILTER (WHERE duration IS NOT NULL), last(duration ORDER BY _seq) FILTER (WHERE duration IS NOT NULL) FROM clicks GROUP BY user_id
--# group_collect | group unnest nested stacked retract
SELECT g.order_id, t.m FROM (SELECT order_id, COLLECT(means) AS c FROM payments GROUP BY order_id) AS g CROSS JOIN UNNEST(g.c) AS t (m)
--= duckdb
SELECT order_id, means FROM payments WHERE means IS NOT NULL
--# group_array_agg | group nested
SELECT user_id, ARRAY_AGG(n) FROM clicks WHERE user_id < 6 GROUP BY user_id
--= duckdb
SELECT user_id, array_agg(n ORDER BY _seq) FROM clicks WHERE user_id < 6 GROUP BY user_id
--# group_by_nested_field | group nested
SELECT pos.y, COUNT(*), SUM(pos.x), MAX(n) FROM items GROUP BY pos.y
--# group_by_double | group
SELECT f, COUNT(*), SUM(n) FROM items GROUP BY f
--# group_by_decimal_and_date | group retract
SELECT joined, balance > 100, COUNT(*) FROM users GROUP BY joined, balance > 100
--# group_same_aggregate_twice | group
SELECT customer, SUM(amount) AS a, SUM(amount) * 2 AS b, SUM(amount + 0) AS c FROM orders GROUP BY customer
--# group_late_rows_count | group late
SELECT late, COUNT(*), MIN(duration), MAX(duration) FROM late_clicks GROUP BY late
--# group_min_max_every_type | group minmax
SELECT k, MIN(v), MAX(v), MIN(n), MAX(n), MIN(f), MAX(f) FROM items GROUP BY k
--# group_min_max_boolean_and_time | group minmax
SELECT customer, MIN(ts), MAX(ts), MIN(CAST(ts AS DATE)), CAST(MAX(CAST(ts AS TIME)) AS STRING) FROM orders GROUP BY customer
--= duckdb
SELECT customer, MIN(ts), MAX(ts), MIN(CAST(ts AS DATE)), CAST(MAX(CAST(date_trunc('second', ts) AS TIME)) AS VARCHAR) FROM orders GROUP BY customer
--# group_single_row_changes | group retract stacked
SELECT id, SUM(score), COUNT(*) FROM users GROUP BY id
