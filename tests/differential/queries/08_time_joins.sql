--# interval_inner | interval_join
SELECT o.id, c.n FROM orders AS o JOIN clicks AS c ON o.customer = c.user_id AND o.ts BETWEEN c.ts - INTERVAL '5' MINUTE AND c.ts + INTERVAL '5' MINUTE
--# interval_after | interval_join
SELECT o.id, p.amount, p.ts FROM orders AS o JOIN payments AS p ON o.id = p.order_id AND p.ts >= o.ts AND p.ts < o.ts + INTERVAL '10' MINUTE
--# interval_left | interval_join outer
SELECT o.id, p.amount FROM orders AS o LEFT JOIN payments AS p ON o.id = p.order_id AND p.ts BETWEEN o.ts AND o.ts + INTERVAL '10' MINUTE
--# interval_right | interval_join outer
SELECT o.id, p.order_id, p.amount FROM orders AS o RIGHT JOIN payments AS p ON o.id = p.order_id AND p.ts BETWEEN o.ts - INTERVAL '2' MINUTE AND o.ts + INTERVAL '6' MINUTE
--# interval_full | interval_join outer
SELECT o.id, p.order_id, p.amount FROM orders AS o FULL JOIN payments AS p ON o.id = p.order_id AND p.ts BETWEEN o.ts AND o.ts + INTERVAL '8' MINUTE
--# interval_non_equi | interval_join
SELECT o.id, p.amount FROM orders AS o JOIN payments AS p ON o.id = p.order_id AND p.amount < o.amount AND p.ts BETWEEN o.ts AND o.ts + INTERVAL '15' MINUTE
--# interval_where | interval_join
SELECT o.id, c.n FROM orders AS o, clicks AS c WHERE o.customer = c.user_id AND c.ts > o.ts - INTERVAL '3' MINUTE AND c.ts <= o.ts AND c.duration > 20
--# interval_semi | interval_join semi
SELECT o.id FROM orders AS o WHERE EXISTS (SELECT 1 FROM clicks AS c WHERE c.user_id = o.customer AND c.ts BETWEEN o.ts AND o.ts + INTERVAL '10' MINUTE)
--# interval_ties | interval_join ties
SELECT a.n, b.n FROM clicks AS a JOIN clicks AS b ON a.user_id = b.user_id AND a.ts BETWEEN b.ts AND b.ts AND a.n < b.n
--# interval_late | interval_join late
SELECT c.user_id, c.duration, o.id FROM late_clicks AS c JOIN orders AS o ON c.user_id = o.customer AND c.ts BETWEEN o.ts - INTERVAL '10' MINUTE AND o.ts
--# interval_then_window | interval_join window stacked
SELECT window_start, COUNT(*), SUM(amount) FROM TABLE(TUMBLE(TABLE order_payments, DESCRIPTOR(ts), INTERVAL '30' MINUTE)) GROUP BY window_start, window_end
--# interval_then_group | interval_join group stacked
SELECT o.customer, COUNT(*), SUM(c.duration) FROM orders AS o JOIN clicks AS c ON o.customer = c.user_id AND o.ts BETWEEN c.ts AND c.ts + INTERVAL '5' MINUTE GROUP BY o.customer
--# temporal_inner | temporal_join
SELECT d.id, d.currency, d.amount, r.rate FROM deals AS d JOIN rates FOR SYSTEM_TIME AS OF d.ts AS r ON d.currency = r.currency
--= duckdb
SELECT d.id, d.currency, d.amount, r.rate FROM deals AS d JOIN rates_history AS r ON d.currency = r.currency AND d.ts >= r.since AND d.ts < r.until
--# temporal_left | temporal_join outer
SELECT d.id, r.currency, d.amount * r.rate FROM deals AS d LEFT JOIN rates FOR SYSTEM_TIME AS OF d.ts AS r ON d.currency = r.currency
--= duckdb
SELECT d.id, r.currency, d.amount * r.rate FROM deals AS d LEFT JOIN rates_history AS r ON d.currency = r.currency AND d.ts >= r.since AND d.ts < r.until
--# temporal_version_time | temporal_join
SELECT d.id, r.ts FROM deals AS d JOIN rates FOR SYSTEM_TIME AS OF d.ts AS r ON d.currency = r.currency WHERE d.amount > 0
--= duckdb
SELECT d.id, r.since FROM deals AS d JOIN rates_history AS r ON d.currency = r.currency AND d.ts >= r.since AND d.ts < r.until WHERE d.amount > 0
--# temporal_then_group | temporal_join group stacked
SELECT d.dept, COUNT(*), SUM(d.amount * r.rate) FROM deals AS d LEFT JOIN rates FOR SYSTEM_TIME AS OF d.ts AS r ON d.currency = r.currency GROUP BY d.dept
--= duckdb
SELECT d.dept, COUNT(*), SUM(d.amount * r.rate) FROM deals AS d LEFT JOIN rates_history AS r ON d.currency = r.currency AND d.ts >= r.since AND d.ts < r.until GROUP BY d.dept
--# temporal_then_window | temporal_join window stacked
SELECT window_start, SUM(amount * rate) FROM TABLE(TUMBLE(TABLE rated_deals, DESCRIPTOR(ts), INTERVAL '30' MINUTE)) GROUP BY window_start, window_end
--= duckdb
SELECT time_bucket(INTERVAL '30' MINUTE, d.ts, TIMESTAMP '1970-01-01') AS s, SUM(d.amount * r.rate) FROM deals AS d JOIN rates_history AS r ON d.currency = r.currency AND d.ts >= r.since AND d.ts < r.until GROUP BY ALL
--# temporal_extra_condition | temporal_join outer
SELECT d.id, r.rate FROM deals AS d LEFT JOIN rates FOR SYSTEM_TIME AS OF d.ts AS r ON d.currency = r.currency AND r.rate > 1.5
--= duckdb
SELECT d.id, r.rate FROM deals AS d LEFT JOIN rates_history AS r ON d.currency = r.currency AND d.ts >= r.since AND d.ts < r.until AND r.rate > 1.5
--# lookup_inner | lookup_join
SELECT d.id, d.dept, e.name FROM deals AS d JOIN looked FOR SYSTEM_TIME AS OF d.proc AS e ON d.dept = e.id
--= flink none: PyFlink has no connector that can be looked up in
--= duckdb
SELECT d.id, d.dept, e.name FROM deals AS d JOIN departments AS e ON d.dept = e.id
--# lookup_left | lookup_join outer
SELECT d.id, d.dept, e.name, e.boss FROM deals AS d LEFT JOIN looked FOR SYSTEM_TIME AS OF d.proc AS e ON d.dept + 8 = e.id AND e.boss > 1
--= flink none: PyFlink has no connector that can be looked up in
--= duckdb
SELECT d.id, d.dept, e.name, e.boss FROM deals AS d LEFT JOIN departments AS e ON d.dept + 8 = e.id AND e.boss > 1
--# lookup_then_group | lookup_join group stacked
SELECT e.name, COUNT(*), SUM(d.amount) FROM deals AS d LEFT JOIN looked FOR SYSTEM_TIME AS OF d.proc AS e ON d.dept = e.id GROUP BY e.name
--= flink none: PyFlink has no connector that can be looked up in
--= duckdb
SELECT e.name, COUNT(*), SUM(d.amount) FROM deals AS d LEFT JOIN departments AS e ON d.dept = e.id GROUP BY e.name
