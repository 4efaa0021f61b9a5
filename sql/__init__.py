"""SQL's types, expressions and functions, with Flink's names and semantics, on Arrow columns."""
