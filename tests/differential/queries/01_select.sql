--# select_all | project
SELECT * FROM items
--= flink none: PyFlink cannot read maps with NULL values
--= duckdb
SELECT k, v, n, f, tags, props, pos, id FROM items
--# select_arithmetic | project functions
SELECT id, quantity + 1, quantity * 2 - customer, amount * 2, amount + quantity, -amount, amount / 4, MOD(id, 7)
FROM orders
--= duckdb
SELECT id, quantity + 1, quantity * 2 - customer, amount * 2, amount + quantity, -amount, CAST(amount AS DECIMAL(38, 13)) / 4, MOD(id, 7)
FROM orders
--# select_filter_and_or | filter nulls
SELECT id, customer, amount FROM orders WHERE (amount > 100 OR customer IS NULL) AND NOT (quantity = 3) AND product <> ''
--# select_three_valued_logic | filter nulls
SELECT id, paid AND quantity > 3, paid OR quantity > 3, NOT paid, paid IS TRUE, paid IS NOT FALSE, paid IS UNKNOWN
FROM orders WHERE NOT (paid AND customer > 3)
--= duckdb
SELECT id, paid AND quantity > 3, paid OR quantity > 3, NOT paid, coalesce(paid, false), coalesce(paid, true), paid IS NULL
FROM orders WHERE NOT (paid AND customer > 3)
--# select_in_between_like | filter
SELECT id, product FROM orders
WHERE customer IN (1, 2, 5, 8) OR amount BETWEEN 10 AND 50.5 OR product LIKE '%p%e' OR product LIKE '_pf%'
--# select_not_in_list_with_nulls | filter nulls
SELECT id, customer FROM orders WHERE customer NOT IN (0, 1, 2) AND quantity NOT BETWEEN 2 AND 8
--# select_case | project functions
SELECT id, CASE WHEN amount < 0 THEN 'refund' WHEN amount < 100 THEN 'small' WHEN amount IS NULL THEN '?' ELSE 'large' END,
  CASE customer WHEN 1 THEN 'one' WHEN 2 THEN 'two' END, COALESCE(product, 'none'), NULLIF(quantity, 3)
FROM orders
--# select_distinct_from | filter nulls
SELECT id, customer IS DISTINCT FROM quantity, customer IS NOT DISTINCT FROM quantity FROM orders
WHERE product IS NOT DISTINCT FROM NULL OR customer IS DISTINCT FROM 3
--# select_strings | functions unicode
SELECT id, UPPER(product), CHAR_LENGTH(product), SUBSTRING(product FROM 2 FOR 3), product || '/' || CAST(quantity AS STRING),
  REPLACE(product, 'p', 'P'), POSITION('e' IN product), TRIM(product), REVERSE(product), LEFT(product, 2), RIGHT(product, 2),
  CASE WHEN product <> '𝄞 note' THEN LPAD(product, 7, '*') END, REPEAT('ab', 2)
FROM orders
--= duckdb
SELECT id, CASE WHEN product = 'Äpfel' THEN 'ÄPFEL' WHEN product = '𝄞 note' THEN '𝄞 NOTE' ELSE UPPER(product) END, length(product), SUBSTRING(product, 2, 3), product || '/' || CAST(quantity AS STRING),
  REPLACE(product, 'p', 'P'), strpos(product, 'e'), TRIM(product), REVERSE(product), LEFT(product, 2), RIGHT(product, 2),
  CASE WHEN product <> '𝄞 note' THEN LPAD(product, 7, '*') END, REPEAT('ab', 2)
FROM orders
--# select_numbers | functions
SELECT id, ABS(quantity), SIGN(amount), FLOOR(price), CEIL(price), ROUND(price, 1), FLOOR(amount), CEIL(amount), ROUND(amount, 1),
  POWER(CAST(quantity AS DOUBLE), 2), GREATEST(quantity, customer), LEAST(quantity, customer)
FROM orders
--= duckdb
SELECT id, ABS(quantity), CAST(SIGN(amount) AS DECIMAL(10, 2)), FLOOR(price), CEIL(price), ROUND(price, 1), FLOOR(amount), CEIL(amount), ROUND(amount, 1),
  POWER(CAST(quantity AS DOUBLE), 2), CASE WHEN quantity IS NULL OR customer IS NULL THEN NULL ELSE GREATEST(quantity, customer) END,
  CASE WHEN quantity IS NULL OR customer IS NULL THEN NULL ELSE LEAST(quantity, customer) END
FROM orders
--# select_casts | functions
SELECT id, CAST(amount AS INT), CAST(price AS INT), CAST(quantity AS STRING), CAST(quantity AS DECIMAL(8, 3)), CAST(ts AS DATE),
  CAST(ts AS STRING), TRY_CAST(product AS INT), CAST(paid AS STRING), CAST(CAST(customer AS STRING) AS BIGINT)
FROM orders
--= duckdb
SELECT id, CAST(trunc(amount) AS INT), CAST(trunc(price) AS INT), CAST(quantity AS STRING), CAST(quantity AS DECIMAL(8, 3)), CAST(ts AS DATE),
  strftime(ts, '%Y-%m-%d %H:%M:%S.%g'), TRY_CAST(product AS INT), upper(CAST(paid AS STRING)), CAST(CAST(customer AS STRING) AS BIGINT)
FROM orders
--# select_temporal | functions
SELECT id, EXTRACT(HOUR FROM ts), EXTRACT(MINUTE FROM ts), FLOOR(ts TO HOUR), CEIL(ts TO HOUR), ts + INTERVAL '90' MINUTE,
  TIMESTAMPDIFF(MINUTE, TIMESTAMP '2023-10-29 00:00:00', ts), DATE_FORMAT(ts, 'yyyy/MM/dd HH:mm'), DAYOFWEEK(ts), QUARTER(ts)
FROM orders
--= duckdb
SELECT id, EXTRACT(HOUR FROM ts), EXTRACT(MINUTE FROM ts), date_trunc('hour', ts),
  CASE WHEN date_trunc('hour', ts) = ts THEN ts ELSE date_trunc('hour', ts) + INTERVAL '1' HOUR END, ts + INTERVAL '90' MINUTE,
  date_sub('minute', TIMESTAMP '2023-10-29 00:00:00', ts), strftime(ts, '%Y/%m/%d %H:%M'), dayofweek(ts) + 1, quarter(ts)
FROM orders
--# select_collections | functions nested
SELECT id, CARDINALITY(tags), tags[1], props['red'], pos.x, pos.y, CARDINALITY(props), ELEMENT(ARRAY[k]), ARRAY[k, 1], ROW(k, v)
FROM items
--= flink none: PyFlink cannot read rows with NULLs in nested columns
--= duckdb
SELECT id, len(tags), tags[1], props['red'], pos.x, pos.y, cardinality(props), k, [k, 1], row(k, v)
FROM items
--# select_expression_of_nested | functions nested filter
SELECT id, pos.x + 1 AS x1, COALESCE(props['red'], -1) AS red FROM items WHERE CARDINALITY(tags) > 1 AND pos IS NOT NULL
--= duckdb
SELECT id, pos.x + 1 AS x1, COALESCE(props['red'], -1) AS red FROM items WHERE len(tags) > 1 AND pos IS NOT NULL
--# select_subquery_in_from | project filter
SELECT a.id, a.total FROM (SELECT id, quantity * price AS total, customer FROM orders WHERE quantity > 0) AS a
WHERE a.total > 100 AND a.customer < 10
--# select_cte | cte filter
WITH paid_orders AS (SELECT id, customer, amount FROM orders WHERE paid),
     big AS (SELECT * FROM paid_orders WHERE amount > 50)
SELECT customer, amount, id FROM big WHERE customer IS NOT NULL
--# select_values | values
SELECT a, b, a + 1 FROM (VALUES (1, 'x'), (2, CAST(NULL AS STRING)), (CAST(NULL AS INT), 'z')) AS t (a, b)
--# select_values_only | values
VALUES (1, 'a', CAST(1.50 AS DECIMAL(5, 2))), (2, 'b', CAST(NULL AS DECIMAL(5, 2)))
--= duckdb
SELECT 1, 'a', CAST(1.50 AS DECIMAL(5, 2)) UNION ALL SELECT 2, 'b', NULL
--# select_constant | values functions
SELECT 1 + 1 AS two, 'a' || 'b' AS ab, CAST(NULL AS INT) AS nothing, DATE '2024-02-29' AS leap
--# select_from_changelog | project retract
SELECT id, name, city, score, balance, joined FROM users
--# select_from_upsert | project upsert
SELECT id, name, city, score, balance, joined FROM users_upsert
--# filter_changelog | filter retract
SELECT id, city, score FROM users WHERE score >= 40 AND city <> 'Berlin'
--# filter_upsert_by_value | filter upsert
SELECT id, city, score FROM users_upsert WHERE score >= 40
--# filter_upsert_by_key | filter upsert
SELECT id, name FROM users_upsert WHERE id BETWEEN 10 AND 40
--# project_changelog_to_bag | project retract
SELECT city, score / 20 AS level FROM users
--# project_upsert_loses_key | project upsert
SELECT city, score FROM users_upsert
--# filter_bag_with_duplicates | filter retract
SELECT product, qty * weight AS w FROM stock WHERE qty IS NOT NULL AND weight > 0.5
--# select_md5_and_regexp | functions
SELECT id, MD5(product), REGEXP_REPLACE(product, '[aeiou]', '.'), REGEXP_EXTRACT(product, '([a-z]+)', 1), product SIMILAR TO '[a-z]+'
FROM orders WHERE product IS NOT NULL
--= duckdb
SELECT id, md5(product), regexp_replace(product, '[aeiou]', '.', 'g'), CASE WHEN regexp_matches(product, '[a-z]') THEN regexp_extract(product, '([a-z]+)', 1) END, regexp_full_match(product, '[a-z]+')
FROM orders WHERE product IS NOT NULL
--# select_json | functions
SELECT id, JSON_VALUE('{"a": ' || CAST(k AS STRING) || '}', '$.a'), JSON_VALUE('{"a": {"b": "' || v || '"}}', '$.a.b'),
  JSON_EXISTS('{"c": 1}', '$.d'), v IS JSON
FROM items
--= duckdb
SELECT id, json_extract_string('{"a": ' || CAST(k AS STRING) || '}', '$.a'), json_extract_string('{"a": {"b": "' || v || '"}}', '$.a.b'),
  false, CASE WHEN v IS NOT NULL THEN false ELSE false END
FROM items
--# select_guarded_division | functions filter
SELECT id, CASE WHEN quantity <> 0 THEN 100 / quantity ELSE NULL END AS share FROM orders WHERE quantity <> 0 AND 60 / quantity > 10
--= duckdb
SELECT id, CASE WHEN quantity <> 0 THEN 100 // quantity ELSE NULL END AS share FROM orders WHERE quantity <> 0 AND 60 // quantity > 10
--# select_integer_overflow_wraps | functions
SELECT id, CAST(id * 1000000007 AS INT) AS wrapped, CAST(id AS TINYINT) AS tiny FROM orders
--= duckdb
SELECT id, (((id * 1000000007 + 2147483648) % 4294967296) - 2147483648)::INT AS wrapped, (((id + 128) % 256) - 128)::TINYINT FROM orders
