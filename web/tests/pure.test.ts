import assert from "node:assert/strict";
import { test } from "node:test";

import { build, describe, hottest, layout, search, userShare } from "../src/flame/tree";
import { verdict } from "../src/job/checkpointVerdict";
import type { Part } from "../src/job/checkpointVerdict";
import { ownerOf, parse, place, runs } from "../src/job/frames";
import { place as placeGraph } from "../src/job/graph/layout";
import { paceOf } from "../src/job/graph/pace";
import { Rates, Trend } from "../src/job/rates";
import { folds, marks, spans } from "../src/job/timeline";
import { skewOf } from "../src/job/vertex/skew";
import { activity, checkpoint, job, NOW, vertex } from "./jobs";

// ------------------------------------------------------------------------------------------------- rates

test("a rate is taken over the reports' clock, whenever the polls come", () => {
  const rates = new Rates();
  rates.push("a", 1_000, 0, 0);
  assert.equal(rates.rate("a"), undefined);
  rates.push("a", 2_000, 500, 100);
  rates.push("a", 2_000, 500, 200);
  rates.push("a", 4_000, 1_500, 9_000);
  assert.equal(rates.rate("a"), 500);
});

test("a counter that falls starts again, without a negative rate", () => {
  const rates = new Rates();
  rates.push("a", 50_000, 90_000, 0);
  rates.push("a", 51_000, 91_000, 1_000);
  rates.push("a", 400, 10, 2_000);
  assert.equal(rates.rate("a"), undefined);
  rates.push("a", 1_400, 110, 3_000);
  assert.equal(rates.rate("a"), 100);
});

test("a rate that nobody reports any more is not known", () => {
  const rates = new Rates();
  for (const at of [0, 1_000, 2_000]) rates.push("a", at, at, at);
  rates.push("a", 2_000, 2_000, 20_000);
  assert.equal(rates.rate("a"), undefined);
});

test("old reports leave the window", () => {
  const rates = new Rates();
  for (let at = 0; at <= 20_000; at += 1_000) rates.push("a", at, at < 10_000 ? 0 : at - 10_000, at);
  assert.equal(rates.rate("a"), 1_000);
});

test("a trend needs ten seconds and forgets what had no value", () => {
  const trend = new Trend();
  trend.push(0, 10);
  trend.push(5_000, 12);
  assert.equal(trend.perSecond(), undefined);
  trend.push(20_000, 20);
  assert.equal(trend.perSecond(), 0.5);
  trend.push(21_000, null);
  assert.equal(trend.perSecond(), undefined);
});

// -------------------------------------------------------------------------------------------- checkpoints

function part(index: number, phases: Partial<Record<"delay" | "align" | "sync" | "async", number>>, name = "Map"): Part {
  const { delay = 0, align = 0, sync = 0, async: later = 0 } = phases;
  return {
    vertexId: name,
    vertexName: name,
    subtask: {
      index,
      status: "completed",
      end_to_end_duration: delay + align + sync + later,
      checkpointed_size: 2_048,
      checkpoint: { sync, async: later },
      alignment: { buffered: 0, processed: 0, persisted: 0, duration: align },
      start_delay: delay,
    },
  };
}

test("the verdict names the slow subtask and its phase", () => {
  const found = verdict(checkpoint(1), [part(0, { async: 100 }), part(3, { delay: 200, async: 3_800 }), part(1, { async: 90 })]);
  assert.equal(found.phase, "async");
  assert.equal(found.slow, true);
  assert.equal(
    found.text,
    "Subtask 3 of Map was slow: it took 4.0 s, the others 95 ms. 95 % of it was async: its files were written to the checkpoint storage while it went on (2.00 KiB)",
  );
});

test("each phase has its meaning", () => {
  assert.match(verdict(checkpoint(1), [part(0, { delay: 5_000 }), part(1, { delay: 4_900 })]).text, /about as slow.*start delay: the barrier waited behind records/);
  assert.match(verdict(checkpoint(1), [part(0, { align: 5_000 })]).text, /alignment: barriers of its other inputs came later/);
  assert.match(verdict(checkpoint(1), [part(0, { sync: 5_000 })]).text, /sync: the task took its snapshot itself/);
});

test("a quick checkpoint is said to be quick", () => {
  assert.equal(verdict(checkpoint(1), [part(2, { async: 9 })]).text, "No subtask was slow: the slowest, subtask 2 of Map, took 9 ms");
});

test("who has not answered is named while it is awaited, and when it failed", () => {
  const silent: Part = { vertexId: "m", vertexName: "Map", subtask: { index: 1, status: "pending_or_failed" } };
  const parts = [part(0, { async: 5 }), silent];
  assert.equal(verdict(checkpoint(1, { status: "IN_PROGRESS" }), parts).text, "Subtask 1 of Map has not answered yet (1 of 2 had)");
  assert.match(verdict(checkpoint(1, { status: "FAILED" }), parts).text, /had not answered/);
});

test("a checkpoint whose parts are forgotten says so", () => {
  assert.match(verdict(checkpoint(1), []).text, /no longer known/);
});

// --------------------------------------------------------------------------------------------- tracebacks

const TRACEBACK = `Traceback (most recent call last):
  File "/venv/lib/python3.11/site-packages/lesto/taskmanager/runtime/task.py", line 12, in step
    self.run()
  File "/home/me/lesto/jobs/flights.py", line 41, in price
    return prices[code]
           ~~~~~~^^^^^^
KeyError: 'JFK'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/usr/lib/python3.11/json/decoder.py", line 5, in decode
ValueError: no
  second line`;

test("a traceback comes apart into frames with owners and errors", () => {
  const parts = parse(TRACEBACK);
  assert.deepEqual(
    parts.map((one) => one.kind),
    ["text", "frames", "error", "text", "frames", "error"],
  );
  const frames = parts[1]?.kind === "frames" ? parts[1].frames : [];
  assert.deepEqual(
    frames.map((frame) => [frame.owner, frame.line, frame.name, frame.code.length]),
    [
      ["lesto", 12, "step", 1],
      ["user", 41, "price", 2],
    ],
  );
  assert.deepEqual(place(TRACEBACK)?.file, "/home/me/lesto/jobs/flights.py");
});

test("files are told apart by whose they are", () => {
  assert.equal(ownerOf("/work/lesto/taskmanager/runtime/task.py"), "lesto");
  assert.equal(ownerOf("/home/me/lesto/jobs/flights.py"), "user");
  assert.equal(ownerOf("/venv/lib/python3.12/site-packages/pyarrow/compute.py"), "library");
  assert.equal(ownerOf("<string>"), "library");
});

test("a traceback without the user's code is not folded away", () => {
  const parts = parse('  File "/x/site-packages/a.py", line 1, in f\n  File "/x/site-packages/b.py", line 2, in g\nE: x');
  const frames = parts[0]?.kind === "frames" ? parts[0].frames : [];
  assert.deepEqual(
    runs(frames).map((run) => [run.folded, run.frames.length]),
    [[false, 2]],
  );
});

test("text that is no traceback stays text", () => {
  assert.deepEqual(parse("the slot died"), [{ kind: "text", lines: ["the slot died"] }]);
});

// ------------------------------------------------------------------------------------------------- flames

const FLAMES = {
  name: "root",
  value: 10,
  children: [
    { name: "run (/work/lesto/taskmanager/runtime/task.py:3)", value: 9, children: [{ name: "price (/home/me/flights.py:7)", value: 6 }] },
    { name: "idle (/usr/lib/python3.11/threading.py:5)", value: 1 },
  ],
};

test("flames know owners, own time and the share of the user's code", () => {
  const root = build(FLAMES);
  assert.deepEqual(root.children.map((child) => [child.label, child.owner, child.self, child.line]), [
    ["run", "lesto", 3, 3],
    ["idle", "library", 1, 5],
  ]);
  assert.equal(userShare(root), 0.6);
  assert.deepEqual(
    hottest(root, 2).map((one) => [one.label, one.share]),
    [
      ["price", 0.6],
      ["run", 0.3],
    ],
  );
  assert.match(describe(root.children[0]!, 10), /run, runtime\/task.py:3, 90.0 % of the time, 9 samples/);
});

test("zoom shows ancestors at full width and leaves out what is too narrow", () => {
  const root = build(FLAMES);
  const boxes = layout(root.children[0]!, 0.01);
  assert.deepEqual(
    boxes.map((box) => [box.node.label, box.x, Math.round(box.width * 100)]),
    [
      ["everything", 0, 100],
      ["run", 0, 100],
      ["price", 0, 67],
    ],
  );
  assert.equal(layout(root, 0.5).length, 3);
});

test("a search counts what passes through a frame once", () => {
  const root = build({ name: "root", value: 4, children: [{ name: "f (/a.py:1)", value: 4, children: [{ name: "f (/a.py:2)", value: 2 }] }] });
  const found = search(root, "F ");
  assert.equal(found.ids.size, 2);
  assert.equal(found.share, 1);
  assert.equal(search(root, "").ids.size, 0);
});

// ---------------------------------------------------------------------------------------------- the others

test("a sink that could work waits for its slot, another vertex is backpressured", () => {
  const held = vertex("a", { activity: activity(0.1, 0.8) });
  assert.deepEqual(paceOf(held), { pace: "held", word: "backpressured" });
  assert.equal(paceOf(held, true).word, "waits for its slot");
  assert.equal(paceOf(vertex("b", { activity: activity(0.9) })).pace, "busy");
  assert.equal(paceOf(vertex("c", { activity: activity(0.01) })).pace, "idle");
  assert.equal(paceOf(vertex("d", { status: "CREATED" })).pace, "none");
});

test("the graph is laid out from left to right without overlaps", () => {
  const placed = placeGraph(job([vertex("a"), vertex("b"), vertex("c")]).plan.nodes);
  assert.deepEqual(placed.order, ["a", "b", "c"]);
  assert.equal(placed.edges.length, 2);
  const xs = placed.nodes.map((node) => node.x);
  assert.ok((xs[1] ?? 0) - (xs[0] ?? 0) > 268);
  assert.match(placed.edges[0]?.path ?? "", /^M[\d.]+,[\d.]+C/);
});

test("skew is 0 for equal shares and 1 for one that has all", () => {
  assert.equal(skewOf([5, 5, 5])?.skew, 0);
  const all = skewOf([0, 9, 0]);
  assert.deepEqual([all?.skew, all?.largest, all?.factor], [1, 1, 3]);
  assert.equal(skewOf([7]), null);
  assert.equal(skewOf([0, 0]), null);
});

test("states follow one another to the end; ticks are round and few", () => {
  const found = spans([{ timestamp: NOW, state: "CREATED", cause: "" }, { timestamp: NOW + 5, state: "RUNNING", cause: "x" }], NOW, NOW + 20);
  assert.deepEqual(
    found.map((span) => [span.state, span.to - span.from]),
    [
      ["CREATED", 5],
      ["RUNNING", 15],
    ],
  );
  const ticks = marks(NOW, NOW + 3_600_000);
  assert.ok(ticks.length >= 2 && ticks.length <= 8);
  assert.ok(ticks.every((tick) => tick.at % 60_000 === 0));
});

test("runs of completed checkpoints fold, others and short runs do not", () => {
  const event = (kind: string, timestamp: number) => ({ kind, timestamp, subject: "", cause: "", severity: "info" });
  const many = Array.from({ length: 6 }, (_, i) => event("checkpoint.completed", 100 - i));
  const found = folds([event("job.state", 200), ...many, event("task.failed", 50), event("checkpoint.completed", 40)]);
  assert.deepEqual(
    found.map((run) => [run.folded, run.events.length]),
    [
      [false, 1],
      [true, 6],
      [false, 1],
      [false, 1],
    ],
  );
});
