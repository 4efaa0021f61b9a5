import assert from "node:assert/strict";
import { test } from "node:test";

import { healthOf, healthText, short } from "../src/job/health";
import { eventTimeLag, limitOf } from "../src/job/limits";
import type { CheckpointConfig } from "../src/job/model";
import { activity, checkpoint, checkpoints, failure, job, NOW, vertex } from "./jobs";

const every10s = { interval: 10_000 } as CheckpointConfig;

test("a healthy job says how fast, how late, its checkpoint and its limit", () => {
  const found = healthOf({
    job: job([vertex("Source", { activity: activity(0.1, 0.85), watermark: NOW - 3_000 }), vertex("Map", { activity: activity(0.92), watermark: NOW - 3_000 })]),
    now: NOW,
    recordsPerSecond: 1_200_000,
    checkpoints: checkpoints([checkpoint(41)]),
    config: every10s,
    failures: [],
  });
  assert.equal(found.level, "busy");
  assert.equal(
    healthText(found),
    "Healthy. 1.20 M records/s. Event time 3.0 s behind. Checkpoint 41 completed 2 s ago (84 ms). Limited by: Map (92 % busy).",
  );
});

test("a job that waits for input is limited by nothing", () => {
  const found = healthOf({ job: job([vertex("Source"), vertex("Sink", { activity: activity(0.2) })]), now: NOW });
  assert.equal(found.level, "good");
  assert.match(healthText(found), /Nothing limits it: the busiest task, Sink, is 20 % busy/);
});

test("a restarting job says since when, why, and from what it goes on", () => {
  const found = healthOf({
    job: job([vertex("Map", { status: "CREATED" })], {
      state: "RESTARTING",
      restarts: 1,
      transitions: [{ timestamp: NOW - 4_000, state: "RESTARTING", cause: "TaskManager tm-1 lost" }],
    }),
    now: NOW,
    checkpoints: checkpoints([checkpoint(40)]),
    failures: [],
  });
  assert.equal(found.level, "bad");
  assert.equal(healthText(found), "Restarting since 4.0 s. TaskManager tm-1 lost. Goes on from checkpoint 40. This is restart 2.");
});

test("a restart without a checkpoint says that it starts from the beginning", () => {
  const found = healthOf({ job: job([vertex("Map")], { state: "RESTARTING" }), now: NOW, checkpoints: checkpoints([]) });
  assert.match(healthText(found), /No checkpoint yet: starts from the beginning/);
});

test("a job is not called healthy right after a failure, nor when it fails often", () => {
  const of = (...ages: number[]) =>
    healthOf({ job: job([vertex("Map")], { restarts: ages.length }), now: NOW, failures: ages.map((age) => failure("KeyError: 'JFK'", age)) });
  assert.equal(of(5_000).headline, "Running again after a failure");
  assert.equal(of(300_000).headline, "Healthy");
  const since = checkpoints([checkpoint(5, { trigger_timestamp: NOW - 400_000 })]);
  const unproven = healthOf({ job: job([vertex("Map")], { restarts: 1 }), now: NOW, failures: [failure("x", 300_000)], checkpoints: since });
  assert.equal(unproven.headline, "Running again after a failure");
  assert.match(healthText(of(300_000)), /Restarted after a failure 5 m ago: KeyError: 'JFK'/);
  assert.equal(of(120_000, 200_000, 300_000).headline, "Running, but unstable");
  assert.equal(of(700_000, 800_000, 900_000).headline, "Healthy");
});

test("failed checkpoints are trouble, with the last good one and the reason", () => {
  const failed = checkpoint(42, { status: "FAILED", failure_message: "storage is full" });
  const found = healthOf({ job: job([vertex("Map")]), now: NOW, checkpoints: checkpoints([failed, checkpoint(41)]), config: every10s });
  assert.equal(found.level, "warning");
  assert.match(healthText(found), /The last checkpoint failed; the last good one is 41, 2 s ago: storage is full/);
  const mended = healthOf({ job: job([vertex("Map")]), now: NOW, checkpoints: checkpoints([checkpoint(43), failed]), config: every10s });
  assert.equal(mended.level, "good");
});

test("checkpoints that failed with their tasks do not tell the reason a second time", () => {
  const failed = checkpoint(42, { status: "FAILED", failure_message: "map (1/1): LESTO-6001: price failed" });
  const failures = [1_000, 2_000, 3_000].map((age) => failure("price failed", age));
  const found = healthOf({ job: job([vertex("Map")], { restarts: 3 }), now: NOW, checkpoints: checkpoints([failed]), config: every10s, failures });
  assert.equal(found.headline, "Running, but unstable");
  assert.match(healthText(found), /last 1 s ago: price failed\. The last checkpoint failed; none has completed\./);
});

test("a checkpoint that is overdue is trouble", () => {
  const old = checkpoint(7, { trigger_timestamp: NOW - 400_000 });
  const found = healthOf({ job: job([vertex("Map")]), now: NOW, checkpoints: checkpoints([old]), config: every10s });
  assert.equal(found.level, "warning");
  assert.match(healthText(found), /No checkpoint for 6 m 39 s, although one is due every 10 s/);
});

test("no checkpoints at all are said to be off", () => {
  const found = healthOf({ job: job([vertex("Map")]), now: NOW, checkpoints: checkpoints([]), config: { interval: 9_223_372_036_854_775_807 } as CheckpointConfig });
  assert.match(healthText(found), /Checkpoints are off/);
});

test("event time that falls back is trouble; a lag that shrinks is not", () => {
  const late = job([vertex("Source", { watermark: NOW - 90_000 })]);
  const falling = healthOf({ job: late, now: NOW, lagTrend: 0.8 });
  assert.equal(falling.headline, "Falling behind");
  assert.match(healthText(falling), /Event time is 1 m 30 s behind and falls back 0.8 s each second/);
  const catching = healthOf({ job: late, now: NOW, lagTrend: -2 });
  assert.equal(catching.headline, "Healthy");
  assert.match(healthText(catching), /1 m 30 s behind, catching up/);
});

test("tasks on their way, ends and failures have their own words", () => {
  const starting = healthOf({ job: job([vertex("Map", { parallelism: 4, tasks: { RUNNING: 1, DEPLOYING: 3 } })]), now: NOW });
  assert.equal(healthText(starting), "Starting. 1 of 4 tasks run, 3 are on the way.");
  const over = { "end-time": NOW - 60_000, duration: 5_000 };
  assert.match(healthText(healthOf({ job: job([vertex("Map")], { state: "FINISHED", ...over }), now: NOW })), /^Finished 1 m ago. Ran 5.0 s. 1.00 k records read/);
  assert.match(healthText(healthOf({ job: job([vertex("Map")], { state: "CANCELED", ...over }), now: NOW })), /^Cancelled 1 m ago/);
  const failed = healthOf({ job: job([vertex("Map")], { state: "FAILED", ...over }), now: NOW, failures: [failure("price failed", 1_000)] });
  assert.match(healthText(failed), /^Failed 1 m ago. Price failed/);
});

test("late records are counted", () => {
  assert.match(healthText(healthOf({ job: job([vertex("W", { "late-dropped": 12 })]), now: NOW })), /12 late records dropped/);
});

test("the limit is what the held up wait for, not who is held up", () => {
  const found = limitOf(job([vertex("Source", { activity: activity(0.2, 0.8) }), vertex("A", { activity: activity(0.3, 0.7) }), vertex("B", { activity: activity(0.6) }), vertex("C", { activity: activity(0.75, 0) })]));
  assert.equal(found?.kind === "vertex" && found.vertex.id, "B");
});

test("a skewed vertex is named with its subtask", () => {
  const found = healthOf({ job: job([vertex("Map", { parallelism: 4, tasks: { RUNNING: 4 }, activity: activity(0.3, 0, 0.99) })]), now: NOW });
  assert.match(healthText(found), /Limited by: subtask 1 of Map \(99 % busy; its work is spread unevenly\)/);
});

test("tasks that share a slot's thread limit together", () => {
  const found = healthOf({ job: job([vertex("A", { activity: activity(0.5, 0.2) }), vertex("B", { activity: activity(0.39) })]), now: NOW });
  assert.match(healthText(found), /Limited by its slots, which are 89 % busy: A 50 %, B 39 %/);
});

test("before the first report nothing is said to limit the job", () => {
  assert.equal(limitOf(job([vertex("A", { activity: null })])), null);
});

test("the lag is that of the vertex furthest behind; ended ones do not count", () => {
  const found = eventTimeLag(job([vertex("A", { watermark: NOW - 1_000 }), vertex("B", { watermark: NOW - 9_000 }), vertex("C", { watermark: 5, status: "FINISHED" })]));
  assert.equal(found?.lag, 9_000);
  assert.equal(eventTimeLag(job([vertex("A")])), null);
});

test("names lose the default database and what does not fit", () => {
  assert.equal(short("Source: default_catalog.default_database.bids -> Calc"), "Source: bids → Calc");
  assert.equal(short(`Source: a -> ${"x".repeat(80)} -> Sink: b`), "Source: a → … → Sink: b");
  assert.equal(short("y".repeat(60)).length, 48);
});
