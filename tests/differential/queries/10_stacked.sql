--# deep_join_group_top_n | join group top_n stacked retract
SELECT city, customer, total, rn FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY city ORDER BY total DESC, customer) AS rn FROM (
    SELECT u.city, o.customer, SUM(o.amount) AS total FROM orders AS o JOIN users AS u ON o.customer = u.id GROUP BY u.city, o.customer) AS g
) AS t WHERE rn <= 2
--# deep_group_join_group | group join stacked retract
SELECT g.n, COUNT(*), MAX(u.score) FROM (SELECT customer, COUNT(*) AS n FROM orders GROUP BY customer) AS g
JOIN users AS u ON g.customer = u.id GROUP BY g.n
--# deep_top_n_group_join | top_n group join stacked retract
SELECT a.customer, a.m, u.name FROM (
  SELECT customer, SUM(amount) AS m FROM (
    SELECT customer, amount, ROW_NUMBER() OVER (PARTITION BY customer ORDER BY amount DESC, id) AS rn FROM orders) AS t
  WHERE rn <= 3 GROUP BY customer) AS a LEFT JOIN users AS u ON a.customer = u.id
--# deep_union_group_semi | setop group semi stacked retract
SELECT k, COUNT(*), SUM(n) FROM (SELECT k, n FROM items UNION ALL SELECT k, n FROM parts) AS u
WHERE k IN (SELECT boss FROM departments WHERE boss IS NOT NULL) GROUP BY k
--# deep_left_join_group_filter_group | join group filter stacked retract outer
SELECT n, COUNT(*) FROM (
  SELECT u.id, COUNT(o.id) AS n FROM users AS u LEFT JOIN orders AS o ON u.id = o.customer GROUP BY u.id) AS a WHERE n > 0 GROUP BY n
--# deep_full_join_group | join group stacked retract outer
SELECT a.warehouse, COUNT(*), SUM(b.score) FROM stock AS a FULL JOIN users AS b ON a.qty * 10 = b.score GROUP BY a.warehouse
--# deep_dedup_join_top_n | dedup join top_n stacked retract
SELECT city, user_id, n FROM (
  SELECT u.city, c.user_id, c.n, ROW_NUMBER() OVER (PARTITION BY u.city ORDER BY c.n DESC) AS r FROM (
    SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY ts DESC) AS rn FROM distinct_clicks) AS x WHERE rn = 1) AS c
  JOIN users AS u ON c.user_id = u.id) AS y WHERE r <= 2
--# deep_distinct_of_union_of_joins | setop join stacked retract
SELECT DISTINCT city FROM (
  SELECT u.city FROM users AS u JOIN orders AS o ON u.id = o.customer WHERE o.amount > 300
  UNION ALL SELECT u.city FROM users_upsert AS u JOIN clicks AS c ON u.id = c.user_id WHERE c.duration > 80) AS a
--# deep_except_of_groups_counted | setop group stacked retract
SELECT COUNT(*), SUM(n) FROM (
  SELECT product, COUNT(*) AS n FROM orders GROUP BY product EXCEPT SELECT product, COUNT(*) FROM stock GROUP BY product) AS a
--# deep_scalar_over_changelog | subquery scalar stacked retract
SELECT id, score FROM users WHERE score > (SELECT AVG(s) FROM (SELECT CAST(score AS DOUBLE) AS s FROM users) AS a)
--# deep_in_of_top_n | semi top_n stacked retract
SELECT id, amount FROM orders WHERE customer IN (
  SELECT customer FROM (SELECT customer, ROW_NUMBER() OVER (ORDER BY total DESC, customer) AS rn FROM (
    SELECT customer, SUM(amount) AS total FROM orders GROUP BY customer) AS g) AS t WHERE rn <= 3)
--# deep_anti_of_group_in_join | anti group join stacked retract
SELECT u.id, o.id FROM users AS u JOIN orders AS o ON u.id = o.customer
WHERE NOT EXISTS (SELECT 1 FROM (SELECT user_id, COUNT(*) AS n FROM clicks GROUP BY user_id HAVING COUNT(*) > 10) AS c WHERE c.user_id = u.id)
--# deep_window_then_join_changelog | window join stacked retract
SELECT w.window_start, u.city, w.n FROM (
  SELECT customer, window_start, window_end, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '30' MINUTE))
  GROUP BY customer, window_start, window_end) AS w JOIN users AS u ON w.customer = u.id
--# deep_window_then_group_then_top_n | window group top_n stacked retract
SELECT customer, windows FROM (
  SELECT customer, windows, ROW_NUMBER() OVER (ORDER BY windows DESC, customer) AS rn FROM (
    SELECT customer, COUNT(*) AS windows FROM (
      SELECT customer, window_start FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '10' MINUTE))
      GROUP BY customer, window_start, window_end) AS a GROUP BY customer) AS b) AS c WHERE rn <= 6
--# deep_min_max_of_join_of_changelogs | group join minmax stacked retract
SELECT a.city, MIN(b.score), MAX(b.balance), COUNT(DISTINCT b.id) FROM users AS a JOIN users_upsert AS b ON a.city = b.city GROUP BY a.city
--# deep_count_distinct_of_left_join | group join distinct stacked retract outer
SELECT u.score, COUNT(DISTINCT o.product), COUNT(DISTINCT u.city) FROM users AS u LEFT JOIN orders AS o ON u.id = o.customer GROUP BY u.score
--# deep_grouping_sets_of_join | group join grouping_sets stacked retract
SELECT u.city, o.paid, COUNT(*), SUM(o.amount) FROM users AS u JOIN orders AS o ON u.id = o.customer GROUP BY CUBE (u.city, o.paid)
--# deep_limit_of_join | join sort limit stacked retract
SELECT o.id, u.score FROM users AS u JOIN orders AS o ON u.id = o.customer ORDER BY u.score DESC, o.id LIMIT 12
--# deep_unnest_of_join | unnest join stacked retract
SELECT u.id, t.x FROM users AS u JOIN departments AS d ON u.id = d.id CROSS JOIN UNNEST(ARRAY[u.score, d.boss]) AS t (x)
--= duckdb
SELECT u.id, unnest([u.score, d.boss]) FROM users AS u JOIN departments AS d ON u.id = d.id
--# deep_bag_self_join_grouped | join group stacked retract
SELECT a.product, COUNT(*), SUM(a.qty + b.qty) FROM stock AS a JOIN stock AS b ON a.product = b.product AND a.qty < b.qty GROUP BY a.product
