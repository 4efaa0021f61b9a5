--# join_inner | join
SELECT o.id, o.customer, p.means, p.amount FROM orders AS o JOIN payments AS p ON o.id = p.order_id
--# join_left | join outer
SELECT o.id, o.amount, p.amount FROM orders AS o LEFT JOIN payments AS p ON o.id = p.order_id
--# join_right | join outer
SELECT o.id, p.order_id, p.means FROM orders AS o RIGHT JOIN payments AS p ON o.id = p.order_id AND o.paid
--# join_full | join outer
SELECT o.id, p.order_id, p.amount FROM (SELECT * FROM orders WHERE MOD(id, 3) = 0) AS o
FULL JOIN (SELECT * FROM payments WHERE means = 'card') AS p ON o.id = p.order_id
--# join_non_equi | join
SELECT o.id, p.amount FROM orders AS o JOIN payments AS p ON o.id = p.order_id AND o.amount > p.amount
--# join_left_non_equi | join outer
SELECT o.id, o.amount, p.amount FROM orders AS o LEFT JOIN payments AS p ON o.id = p.order_id AND p.amount > 100 AND o.amount > p.amount
--# join_full_non_equi | join outer
SELECT d.id, e.id, d.boss, e.boss FROM departments AS d FULL JOIN departments AS e ON d.boss = e.id AND d.id > e.id
--# join_null_keys | join nulls outer
SELECT a.k, a.id, b.n FROM items AS a LEFT JOIN parts AS b ON a.k = b.k AND a.v = b.v
--# join_null_safe | join nulls
SELECT a.id, b.n FROM items AS a JOIN parts AS b ON a.k IS NOT DISTINCT FROM b.k AND a.v = b.v AND a.n = b.n
--# join_duplicates | join
SELECT a.k, a.v, COUNT(*) FROM items AS a JOIN parts AS b ON a.k = b.k AND a.v = b.v GROUP BY a.k, a.v
--# join_expression_keys | join
SELECT o.id, u.name FROM orders AS o JOIN users AS u ON o.customer + 1 = u.id
--# join_type_widening | join
SELECT p.order_id, d.name FROM payments AS p JOIN departments AS d ON p.order_id = d.id
--# join_cross | join
SELECT d.id, v.x FROM departments AS d CROSS JOIN (VALUES (1), (2), (3)) AS v (x)
--# join_cross_small_tables | join
SELECT a.id, b.id FROM departments AS a, departments AS b WHERE a.boss < b.boss
--# join_three | join
SELECT o.id, p.means, u.city FROM orders AS o JOIN payments AS p ON o.id = p.order_id JOIN users AS u ON o.customer = u.id
--# join_three_left | join outer
SELECT o.id, p.means, u.city FROM orders AS o LEFT JOIN payments AS p ON o.id = p.order_id LEFT JOIN users AS u ON o.customer = u.id
WHERE o.quantity > 2
--# join_self | join
SELECT a.id, b.name FROM departments AS a JOIN departments AS b ON a.boss = b.id
--# join_using | join
SELECT id, a.name, b.city FROM departments AS a JOIN users AS b USING (id)
--# join_changelog_inner | join retract
SELECT u.id, u.city, o.id, o.amount FROM users AS u JOIN orders AS o ON u.id = o.customer
--# join_changelog_left | join retract outer
SELECT u.id, u.city, o.id FROM users AS u LEFT JOIN orders AS o ON u.id = o.customer AND o.amount > 200
--# join_changelog_right | join retract outer
SELECT u.id, u.score, o.id FROM users AS u RIGHT JOIN orders AS o ON u.id = o.customer
--# join_changelog_full | join retract outer
SELECT u.id, u.city, s.product, s.qty FROM users AS u FULL JOIN stock AS s ON u.score = s.qty * 10
--# join_upsert_both | join upsert
SELECT a.id, a.city, b.name FROM users_upsert AS a JOIN departments AS b ON a.id = b.id
--# join_upsert_left | join upsert outer
SELECT a.id, a.city, o.id, o.amount FROM users_upsert AS a LEFT JOIN orders AS o ON a.id = o.customer
--# join_upsert_full | join upsert outer
SELECT a.id, a.city, b.id, b.name FROM users_upsert AS a FULL JOIN departments AS b ON a.id = b.id
--# join_upsert_not_by_key | join upsert
SELECT a.id, b.id, a.city FROM users_upsert AS a JOIN users_upsert AS b ON a.city = b.city AND a.id < b.id
--# join_bags | join retract
SELECT a.warehouse, a.product, b.qty FROM stock AS a JOIN stock AS b ON a.product = b.product AND a.warehouse < b.warehouse
--# join_of_groups | join retract stacked
SELECT a.customer, a.n, b.total FROM (SELECT customer, COUNT(*) AS n FROM orders GROUP BY customer) AS a
JOIN (SELECT user_id, SUM(duration) AS total FROM clicks GROUP BY user_id) AS b ON a.customer = b.user_id
--# join_of_groups_full | join retract stacked outer
SELECT a.customer, a.n, b.user_id, b.total FROM (SELECT customer, COUNT(*) AS n FROM orders WHERE paid GROUP BY customer) AS a
FULL JOIN (SELECT user_id, SUM(duration) AS total FROM clicks WHERE duration > 50 GROUP BY user_id) AS b ON a.customer = b.user_id
--# join_group_with_stream | join retract stacked
SELECT o.id, o.amount, g.best FROM orders AS o JOIN (SELECT customer, MAX(amount) AS best FROM orders GROUP BY customer) AS g
ON o.customer = g.customer AND o.amount = g.best
--# group_of_join | group join stacked
SELECT u.city, COUNT(*), SUM(o.amount), MAX(o.quantity) FROM orders AS o JOIN users AS u ON o.customer = u.id GROUP BY u.city
--# group_of_left_join | group join stacked outer
SELECT u.city, COUNT(*), COUNT(o.id), SUM(o.amount) FROM users AS u LEFT JOIN orders AS o ON o.customer = u.id GROUP BY u.city
--# group_of_join_of_groups | group join stacked
SELECT b.total > 200, COUNT(*), SUM(a.n) FROM (SELECT customer, COUNT(*) AS n FROM orders GROUP BY customer) AS a
LEFT JOIN (SELECT user_id, SUM(duration) AS total FROM clicks GROUP BY user_id) AS b ON a.customer = b.user_id GROUP BY b.total > 200
--# join_of_joins_changelog | join retract stacked outer
SELECT u.id, d.name, s.product FROM users AS u LEFT JOIN departments AS d ON u.id = d.id LEFT JOIN stock AS s ON d.boss = s.qty
WHERE u.score > 30
--# join_on_true_with_global | join stacked
SELECT o.id, o.amount FROM orders AS o, (SELECT AVG(price) AS mean, MAX(amount) AS most FROM orders) AS g WHERE o.amount > g.most - 40
--# join_condition_false | join outer
SELECT d.id, e.name FROM departments AS d LEFT JOIN departments AS e ON d.id = e.id AND 1 = 0
--# join_left_where_right_null | join outer filter
SELECT o.id FROM orders AS o LEFT JOIN payments AS p ON o.id = p.order_id WHERE p.order_id IS NULL
--# join_left_where_right_null_changelog | join outer filter retract
SELECT o.id, o.customer FROM orders AS o LEFT JOIN users AS u ON o.customer = u.id WHERE u.id IS NULL
--# join_on_decimal_and_text | join
SELECT a.id, b.id FROM orders AS a JOIN orders AS b ON a.amount * 8 = b.amount * 4 + a.amount * 4 AND a.product = b.product
--# join_wide_rows | join nested
SELECT a.*, b.n AS bn FROM items AS a JOIN parts AS b ON a.n = b.n AND a.k = b.k
--= flink none: PyFlink cannot read maps with NULL values
--= duckdb
SELECT a.* EXCLUDE (_seq), b.n AS bn FROM items AS a JOIN parts AS b ON a.n = b.n AND a.k = b.k
