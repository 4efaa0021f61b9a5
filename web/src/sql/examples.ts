// Statements to begin with. Each runs as it is, without anything outside the cluster.

export interface Example {
  title: string;
  text: string;
}

export const EXAMPLES: readonly Example[] = [
  {
    title: "A stream of made-up orders, counted each second",
    text: `CREATE TEMPORARY TABLE orders (
  id BIGINT,
  city INT,
  price DOUBLE,
  at AS PROCTIME()
) WITH (
  'connector' = 'datagen',
  'rows-per-second' = '200',
  'fields.id.kind' = 'sequence',
  'fields.id.start' = '1',
  'fields.id.end' = '1000000',
  'fields.city.min' = '1',
  'fields.city.max' = '5',
  'fields.price.min' = '5',
  'fields.price.max' = '80'
);

SELECT window_start, city, COUNT(*) AS orders, ROUND(SUM(price), 2) AS sales
FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(at), INTERVAL '2' SECOND))
GROUP BY window_start, window_end, city;
`,
  },
  {
    title: "A table that keeps changing: totals for each city",
    text: `CREATE TEMPORARY TABLE sales (
  city INT,
  price DOUBLE
) WITH (
  'connector' = 'datagen',
  'rows-per-second' = '20',
  'fields.city.min' = '1',
  'fields.city.max' = '6',
  'fields.price.min' = '5',
  'fields.price.max' = '80'
);

SELECT city, COUNT(*) AS orders, ROUND(SUM(price), 2) AS total
FROM sales
GROUP BY city;
`,
  },
  {
    title: "The three dearest of each kind (Top-N)",
    text: `CREATE TEMPORARY TABLE offers (
  kind INT,
  id BIGINT,
  price INT
) WITH (
  'connector' = 'datagen',
  'rows-per-second' = '10',
  'fields.kind.min' = '1',
  'fields.kind.max' = '3',
  'fields.id.kind' = 'sequence',
  'fields.id.start' = '1',
  'fields.id.end' = '100000',
  'fields.price.min' = '1',
  'fields.price.max' = '1000'
);

SELECT kind, place, id, price
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY kind ORDER BY price DESC) AS place
  FROM offers
)
WHERE place <= 3;
`,
  },
  {
    title: "A few rows, no table needed",
    text: `SELECT name, COUNT(*) AS times
FROM (VALUES ('Bob'), ('Alice'), ('Greg'), ('Bob')) AS people(name)
GROUP BY name;
`,
  },
];
