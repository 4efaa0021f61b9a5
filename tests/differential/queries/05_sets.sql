--# union_all | setop
SELECT k, v, n FROM items UNION ALL SELECT k, v, n FROM parts
--# union | setop
SELECT k, v FROM items UNION SELECT k, v FROM parts
--# intersect | setop
SELECT k, v FROM items INTERSECT SELECT k, v FROM parts
--# intersect_all | setop
SELECT k, v FROM items INTERSECT ALL SELECT k, v FROM parts
--# except | setop
SELECT k, v FROM items EXCEPT SELECT k, v FROM parts
--# except_all | setop
SELECT k, v FROM items EXCEPT ALL SELECT k, v FROM parts
--# except_all_reversed | setop
SELECT k, n FROM parts EXCEPT ALL SELECT k, n FROM items
--# union_changelog | setop retract
SELECT city FROM users UNION SELECT product FROM stock
--# union_all_changelog | setop retract
SELECT id, city FROM users UNION ALL SELECT qty, product FROM stock UNION ALL SELECT id, name FROM departments
--# intersect_changelog | setop retract
SELECT product, qty FROM stock WHERE warehouse = 'north' INTERSECT SELECT product, qty FROM stock WHERE warehouse <> 'north'
--# intersect_all_changelog | setop retract
SELECT product FROM stock WHERE warehouse = 'north' INTERSECT ALL SELECT product FROM stock WHERE warehouse = 'south'
--# except_changelog | setop retract
SELECT product, qty FROM stock WHERE warehouse = 'north' EXCEPT SELECT product, qty FROM stock WHERE warehouse <> 'north'
--# except_all_changelog | setop retract
SELECT product FROM stock EXCEPT ALL SELECT product FROM orders WHERE paid
--# except_upsert | setop upsert
SELECT id FROM users EXCEPT SELECT id FROM users_upsert WHERE score > 50
--# set_ops_three | setop
SELECT k FROM items UNION SELECT k FROM parts EXCEPT SELECT boss FROM departments
--# set_ops_of_groups | setop group stacked retract
SELECT customer, COUNT(*) AS n FROM orders GROUP BY customer EXCEPT SELECT user_id, COUNT(*) FROM clicks GROUP BY user_id
--# union_of_groups_grouped | setop group stacked retract
SELECT n, COUNT(*) FROM (
  SELECT customer, COUNT(*) AS n FROM orders GROUP BY customer UNION ALL SELECT user_id, COUNT(*) FROM clicks GROUP BY user_id
) AS u GROUP BY n
--# union_widens_types | setop
SELECT quantity AS x FROM orders WHERE quantity > 8 UNION ALL SELECT amount FROM payments WHERE amount > 350
--= duckdb
SELECT CAST(quantity AS DECIMAL(12, 2)) AS x FROM orders WHERE quantity > 8 UNION ALL SELECT amount FROM payments WHERE amount > 350
--# union_of_windows | setop window
SELECT window_start, COUNT(*) FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '1' HOUR)) GROUP BY window_start, window_end
UNION ALL
SELECT window_start, COUNT(*) FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' HOUR)) GROUP BY window_start, window_end
