--# over_range_unbounded | over
SELECT id, customer, SUM(amount) OVER (PARTITION BY customer ORDER BY ts RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
  COUNT(*) OVER (PARTITION BY customer ORDER BY ts RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM orders
--# over_default_frame | over
SELECT id, SUM(quantity) OVER (PARTITION BY customer ORDER BY ts), MIN(price) OVER (PARTITION BY customer ORDER BY ts) FROM orders
--# over_range_interval | over
SELECT n, user_id, COUNT(*) OVER w, SUM(duration) OVER w, MAX(duration) OVER w FROM clicks
WINDOW w AS (PARTITION BY user_id ORDER BY ts RANGE BETWEEN INTERVAL '20' MINUTE PRECEDING AND CURRENT ROW)
--# over_global_range | over
SELECT id, COUNT(*) OVER (ORDER BY ts RANGE BETWEEN INTERVAL '5' MINUTE PRECEDING AND CURRENT ROW) FROM orders
--# over_rows | over
SELECT n, user_id, SUM(n) OVER (PARTITION BY user_id ORDER BY ts ROWS BETWEEN 2 PRECEDING AND CURRENT ROW),
  COUNT(duration) OVER (PARTITION BY user_id ORDER BY ts ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) FROM distinct_clicks
--# over_rows_unbounded | over
SELECT n, SUM(n) OVER (PARTITION BY user_id ORDER BY ts ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM distinct_clicks
--# over_rows_min_max | over
SELECT n, MIN(duration) OVER (PARTITION BY user_id ORDER BY ts ROWS BETWEEN 3 PRECEDING AND CURRENT ROW),
  MAX(url) OVER (PARTITION BY user_id ORDER BY ts ROWS BETWEEN 3 PRECEDING AND CURRENT ROW) FROM distinct_clicks
--# over_rows_ties | over ties
SELECT n, user_id, COUNT(*) OVER (PARTITION BY user_id ORDER BY ts ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM clicks
--= duckdb
SELECT n, user_id, COUNT(*) OVER (PARTITION BY user_id ORDER BY ts, _seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM clicks
--# over_row_number | over
SELECT n, user_id, ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY ts) FROM distinct_clicks
--# over_rank | over ties
SELECT n, RANK() OVER (PARTITION BY user_id ORDER BY ts), DENSE_RANK() OVER (PARTITION BY user_id ORDER BY ts) FROM clicks
--= flink none: it counts rows of one time as if they came one by one, and gives all of them the last number
--# over_lag | over
SELECT n, user_id, LAG(duration) OVER (PARTITION BY user_id ORDER BY ts), LAG(n, 2) OVER (PARTITION BY user_id ORDER BY ts), LAG(url, 1, 'none') OVER (PARTITION BY user_id ORDER BY ts)
FROM distinct_clicks
--# over_first_last | over
SELECT n, FIRST_VALUE(url) OVER (PARTITION BY user_id ORDER BY ts), LAST_VALUE(n) OVER (PARTITION BY user_id ORDER BY ts) FROM distinct_clicks
--= duckdb
SELECT n, FIRST_VALUE(url) OVER (PARTITION BY user_id ORDER BY ts), n FROM distinct_clicks
--# over_distinct | over distinct
SELECT id, COUNT(DISTINCT product) OVER (PARTITION BY customer ORDER BY ts RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW) FROM orders
--# over_avg | over
SELECT id, AVG(price) OVER (PARTITION BY product ORDER BY ts RANGE BETWEEN INTERVAL '30' MINUTE PRECEDING AND CURRENT ROW) FROM orders
--# over_late | over late
SELECT user_id, duration, COUNT(*) OVER (PARTITION BY user_id ORDER BY ts RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM late_clicks
--# over_then_filter | over filter stacked
SELECT * FROM (SELECT id, amount, SUM(amount) OVER (PARTITION BY customer ORDER BY ts) AS so_far FROM orders) AS a WHERE so_far > 800
--# over_then_group | over group stacked
SELECT so_far > 500, COUNT(*) FROM (SELECT SUM(amount) OVER (PARTITION BY customer ORDER BY ts) AS so_far FROM orders) AS a GROUP BY so_far > 500
--# over_retract_non_time_order | over retract
SELECT id, city, SUM(score) OVER (PARTITION BY city ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM users
--# over_retract_range | over retract ties
SELECT id, city, SUM(score) OVER (PARTITION BY city ORDER BY score RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM users
--# top_n | top_n
SELECT customer, id, amount, rn FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY customer ORDER BY amount DESC, id) AS rn FROM orders) AS a WHERE rn <= 3
--# top_n_without_rank | top_n
SELECT customer, id, amount FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY customer ORDER BY amount, id) AS rn FROM orders) AS a WHERE rn <= 3
--# top_n_nulls_last | top_n nulls
SELECT customer, id, amount FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY customer ORDER BY amount ASC NULLS LAST, id DESC) AS rn FROM orders) AS a WHERE rn <= 2
--# top_n_global | top_n
SELECT id, price, rn FROM (SELECT id, price, ROW_NUMBER() OVER (ORDER BY price DESC, id) AS rn FROM orders) AS a WHERE rn <= 10
--# top_n_range | top_n
SELECT customer, id, amount, rn FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY customer ORDER BY amount DESC, id) AS rn FROM orders) AS a WHERE rn BETWEEN 2 AND 4
--# top_1 | top_n
SELECT product, id, price FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY product ORDER BY price DESC, id DESC) AS rn FROM orders) AS a WHERE rn = 1
--= flink none: its Top-1 gives updates without what was before, and calls them inserts
--# top_n_ties | top_n ties
SELECT user_id, duration, n FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY duration DESC) AS rn FROM clicks) AS a WHERE rn <= 3
--= duckdb
SELECT user_id, duration, n FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY duration DESC, _seq) AS rn FROM clicks) AS a WHERE rn <= 3
--# top_n_by_text | top_n unicode
SELECT product, customer FROM (
  SELECT product, customer, id, ROW_NUMBER() OVER (PARTITION BY customer ORDER BY product DESC, id) AS rn FROM orders) AS a WHERE rn <= 2
--# top_n_changelog | top_n retract
SELECT city, id, score, rn FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY city ORDER BY score DESC, id) AS rn FROM users) AS a WHERE rn <= 3
--# top_n_changelog_without_rank | top_n retract
SELECT city, id, balance FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY city ORDER BY balance, id) AS rn FROM users) AS a WHERE rn <= 2
--# top_n_upsert | top_n upsert
SELECT city, id, score FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY city ORDER BY score DESC, id) AS rn FROM users_upsert) AS a WHERE rn <= 3
--# top_n_of_group | top_n group retract stacked
SELECT customer, total, rn FROM (
  SELECT *, ROW_NUMBER() OVER (ORDER BY total DESC, customer) AS rn FROM (
    SELECT customer, SUM(amount) AS total FROM orders GROUP BY customer) AS g) AS a WHERE rn <= 5
--# top_n_of_group_keyed | top_n group retract stacked
SELECT product, customer, n FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY product ORDER BY n DESC, customer) AS rn FROM (
    SELECT product, customer, COUNT(*) AS n FROM orders GROUP BY product, customer) AS g) AS a WHERE rn <= 2
--# top_n_of_join | top_n join retract stacked
SELECT city, id, amount FROM (
  SELECT u.city, o.id, o.amount, ROW_NUMBER() OVER (PARTITION BY u.city ORDER BY o.amount DESC, o.id) AS rn
  FROM orders AS o JOIN users AS u ON o.customer = u.id) AS a WHERE rn <= 2
--# group_of_top_n | top_n group retract stacked
SELECT COUNT(*), SUM(amount), MIN(amount) FROM (
  SELECT amount, ROW_NUMBER() OVER (PARTITION BY customer ORDER BY amount DESC, id) AS rn FROM orders) AS a WHERE rn <= 2
--# top_n_of_top_n | top_n retract stacked
SELECT customer, amount FROM (
  SELECT *, ROW_NUMBER() OVER (ORDER BY amount DESC, customer) AS r FROM (
    SELECT customer, amount, ROW_NUMBER() OVER (PARTITION BY customer ORDER BY amount DESC, id) AS rn FROM orders) AS a WHERE rn = 1) AS b
WHERE r <= 4
--# dedup_first_rowtime | dedup
SELECT user_id, n, url FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY ts ASC) AS rn FROM distinct_clicks) AS a WHERE rn = 1
--# dedup_last_rowtime | dedup
SELECT user_id, n, url FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY ts DESC) AS rn FROM distinct_clicks) AS a WHERE rn = 1
--# dedup_first_proctime | dedup
SELECT user_id, n FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY proc ASC) AS rn FROM clicks) AS a WHERE rn = 1
--= duckdb
SELECT user_id, n FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY _seq) AS rn FROM clicks) AS a WHERE rn = 1
--# dedup_last_proctime | dedup
SELECT user_id, n FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY proc DESC) AS rn FROM clicks) AS a WHERE rn = 1
--= duckdb
SELECT user_id, n FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY _seq DESC) AS rn FROM clicks) AS a WHERE rn = 1
--# group_of_dedup | dedup group retract stacked
SELECT url, COUNT(*) FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY ts DESC) AS rn FROM distinct_clicks) AS a WHERE rn = 1 GROUP BY url
--# join_of_dedup | dedup join retract stacked
SELECT d.user_id, d.url, u.city FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY ts DESC) AS rn FROM distinct_clicks) AS d
JOIN users AS u ON d.user_id = u.id WHERE d.rn = 1
--# order_by_limit | sort limit
SELECT id, amount FROM orders ORDER BY amount DESC, id LIMIT 7
--# order_by_limit_offset | sort limit
SELECT id, price FROM orders ORDER BY price, id LIMIT 5 OFFSET 10
--# order_by_nulls_first | sort limit nulls
SELECT id, quantity FROM orders ORDER BY quantity DESC NULLS FIRST, id LIMIT 30
--# order_by_limit_of_group | sort limit group stacked
SELECT customer, COUNT(*) AS n FROM orders GROUP BY customer ORDER BY n DESC, customer LIMIT 4
--# order_by_limit_changelog | sort limit retract
SELECT id, score, balance FROM users ORDER BY score DESC, id LIMIT 10
--# order_by_time | sort
SELECT id, ts FROM orders ORDER BY ts
--# order_by_time_and_more | sort ties
SELECT n, ts FROM clicks WHERE duration IS NOT NULL ORDER BY ts, n DESC
--# limit_of_sorted_in_from | sort limit group stacked
SELECT SUM(amount), COUNT(*) FROM (SELECT id, amount FROM orders ORDER BY amount DESC, id LIMIT 20) AS a
--# limit_all_of_few | limit
SELECT id, boss FROM departments LIMIT 100
--# limit_counted | limit group stacked
SELECT COUNT(*) FROM (SELECT id FROM orders LIMIT 33) AS a
--# limit_zero | limit
SELECT id FROM orders LIMIT 0
--# union_of_limits | limit setop
(SELECT id FROM orders ORDER BY id LIMIT 3) UNION ALL (SELECT id FROM deals ORDER BY id DESC LIMIT 2)
