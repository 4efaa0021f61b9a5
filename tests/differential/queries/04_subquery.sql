--# in_subquery | semi subquery
SELECT id, customer FROM orders WHERE id IN (SELECT order_id FROM payments WHERE means = 'cash')
--# not_in_without_nulls | anti subquery
SELECT id FROM orders WHERE id NOT IN (SELECT order_id FROM payments WHERE order_id IS NOT NULL)
--# not_in_with_nulls | anti subquery nulls
SELECT id FROM orders WHERE customer NOT IN (SELECT user_id FROM clicks WHERE duration > 90)
--# not_in_empty | anti subquery nulls
SELECT id, customer FROM orders WHERE customer NOT IN (SELECT user_id FROM clicks WHERE duration > 9000)
--# not_in_nullable_few | anti subquery nulls
SELECT id, boss FROM departments WHERE boss NOT IN (SELECT score / 10 FROM users WHERE score IS NOT NULL AND score < 30)
--= duckdb
SELECT id, boss FROM departments WHERE boss NOT IN (SELECT score // 10 FROM users WHERE score IS NOT NULL AND score < 30)
--# in_subquery_changelog | semi subquery retract
SELECT id, customer, amount FROM orders WHERE customer IN (SELECT id FROM users WHERE score > 40)
--# in_subquery_of_group | semi subquery retract stacked
SELECT id, customer FROM orders WHERE customer IN (SELECT user_id FROM clicks GROUP BY user_id HAVING COUNT(*) > 20)
--# changelog_in_subquery | semi subquery retract
SELECT id, city FROM users WHERE id IN (SELECT customer FROM orders WHERE amount > 300)
--# changelog_not_in_changelog | anti subquery retract
SELECT id, city FROM users WHERE id NOT IN (SELECT id FROM users_upsert WHERE score > 30)
--# exists | semi subquery correlated
SELECT o.id FROM orders AS o WHERE EXISTS (SELECT 1 FROM payments AS p WHERE p.order_id = o.id AND p.amount > o.amount)
--# not_exists | anti subquery correlated
SELECT o.id, o.amount FROM orders AS o WHERE NOT EXISTS (SELECT 1 FROM payments AS p WHERE p.order_id = o.id)
--# not_exists_changelog | anti subquery correlated retract
SELECT d.id, d.name FROM departments AS d WHERE NOT EXISTS (SELECT * FROM users AS u WHERE u.id = d.id AND u.score < 60)
--# exists_bag | semi subquery correlated retract
SELECT DISTINCT o.product FROM orders AS o WHERE EXISTS (SELECT 1 FROM stock AS s WHERE s.product = o.product AND s.qty > 4)
--# exists_uncorrelated | semi subquery
SELECT id FROM departments WHERE EXISTS (SELECT 1 FROM users WHERE score > 80)
--# exists_and_in | semi anti subquery
SELECT o.id FROM orders AS o WHERE o.customer IN (SELECT id FROM users) AND NOT EXISTS (SELECT 1 FROM payments AS p WHERE p.order_id = o.id)
--# in_pairs | semi subquery
SELECT id FROM items WHERE (k, v) IN (SELECT k, v FROM parts WHERE n > 10)
--# scalar_global | subquery scalar
SELECT id, amount, (SELECT MAX(amount) FROM payments) AS most FROM orders WHERE amount > 380
--# scalar_in_condition | subquery scalar
SELECT id, price FROM orders WHERE price > (SELECT AVG(price) FROM orders) + 150
--# scalar_correlated | subquery scalar correlated
SELECT d.id, (SELECT SUM(o.amount) FROM orders AS o WHERE o.customer = d.id) AS total FROM departments AS d
--# scalar_correlated_count | subquery scalar correlated
SELECT d.id, (SELECT COUNT(*) FROM orders AS o WHERE o.customer = d.id AND o.paid) AS n FROM departments AS d
--# scalar_correlated_condition | subquery scalar correlated
SELECT o.id, o.amount FROM orders AS o WHERE o.amount > (SELECT AVG(p.price) FROM orders AS p WHERE p.customer = o.customer)
--# scalar_correlated_changelog | subquery scalar correlated retract
SELECT d.id, (SELECT MAX(u.score) FROM users AS u WHERE u.id = d.id) AS best FROM departments AS d
--# subquery_in_having | subquery scalar group having
SELECT customer, SUM(amount) FROM orders GROUP BY customer HAVING SUM(amount) > (SELECT SUM(amount) / 20 FROM orders)
--# cte_used_twice | cte join group
WITH totals AS (SELECT customer, SUM(amount) AS total FROM orders GROUP BY customer)
SELECT a.customer, b.customer, a.total FROM totals AS a JOIN totals AS b ON a.total > b.total AND a.customer = b.customer + 1
--# group_of_semi_join | semi group stacked
SELECT customer, COUNT(*), SUM(amount) FROM orders WHERE id IN (SELECT order_id FROM payments) GROUP BY customer
--# group_of_anti_join | anti group stacked retract
SELECT customer, COUNT(*) FROM orders AS o WHERE NOT EXISTS (SELECT 1 FROM payments AS p WHERE p.order_id = o.id) GROUP BY customer
--# nested_in | semi subquery stacked
SELECT id FROM users WHERE id IN (SELECT customer FROM orders WHERE id IN (SELECT order_id FROM payments WHERE amount > 200))
