"""Planners over some tables."""

# ruff: noqa: E501 - a statement reads better on one line

from pathlib import Path

from lesto.client.table.catalog.manager import CatalogManager
from lesto.client.table.sql.dialect import parse_script
from lesto.client.table.sql.planner import Planner

TABLES = """
CREATE TABLE bid (
  auction BIGINT, bidder BIGINT, price BIGINT, channel STRING, ts TIMESTAMP(3), p AS PROCTIME(),
  WATERMARK FOR ts AS ts - INTERVAL '4' SECOND
) WITH ('connector' = 'datagen');
CREATE TABLE auction (
  id BIGINT NOT NULL, seller BIGINT, category BIGINT, tags ARRAY<STRING>,
  item ROW<name STRING, weight DOUBLE>, props MAP<STRING, INT>, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts
) WITH ('connector' = 'datagen');
CREATE TABLE rates (
  cur STRING, rate DECIMAL(10, 4), ts TIMESTAMP(3), PRIMARY KEY (cur) NOT ENFORCED,
  WATERMARK FOR ts AS ts
) WITH ('connector' = 'upsert-kafka');
CREATE TABLE dim (id BIGINT, name STRING, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'jdbc');
CREATE TABLE plain (a INT, b STRING, ts TIMESTAMP(3)) WITH ('connector' = 'datagen');
CREATE TABLE printed (a BIGINT, n BIGINT) WITH ('connector' = 'print');
CREATE TABLE kafka_out (a BIGINT, n BIGINT) WITH ('connector' = 'kafka', 'format' = 'json');
CREATE TABLE upserted (a BIGINT, n BIGINT, PRIMARY KEY (a) NOT ENFORCED)
  WITH ('connector' = 'upsert-kafka');
"""
NEXMARK = Path(__file__).parents[2] / "benchmarks/nexmark/queries"


def planner_of(text):
    planner = Planner(CatalogManager())
    for parsed in parse_script(text):
        planner.define(parsed)
    return planner
