// What a vertex and an edge of the graph show, from a job and the rates followed. Pure.

import { pretty } from "../health";
import { heldMax } from "../limits";
import type { Job, PlanInput, Vertex } from "../model";
import type { Rates } from "../rates";

export type Pace = "busy" | "held" | "working" | "idle" | "none";

const BUSY = 0.7;
const HELD = 0.3;
const WORKING = 0.1;

/**
 * What a vertex mainly does, and the word for it. A task that could work and does not get to it counts as
 * backpressured; where nothing is behind it, it waits for the thread of the slot it shares.
 */
export function paceOf(vertex: Vertex, isSink = false): { pace: Pace; word: string } {
  const { activity } = vertex;
  if (activity === null || activity === undefined || vertex.status !== "RUNNING") return { pace: "none", word: "" };
  if (heldMax(vertex) >= HELD && heldMax(vertex) >= activity["busy-max"] / 2) return { pace: "held", word: isSink ? "waits for its slot" : "backpressured" };
  if (activity["busy-max"] >= BUSY) return { pace: "busy", word: "busy" };
  if (activity.busy >= WORKING) return { pace: "working", word: "busy" };
  return { pace: "idle", word: "idle" };
}

/**
 * Records per second over an edge: what its target reads when it is the only one that feeds it, else what its source
 * writes when it is the only one it feeds. Of other edges nobody counts, so nothing is said.
 */
export function edgeRate(job: Job, rates: Rates, target: string, input: PlanInput): number | undefined {
  const inputs = job.plan.nodes.find((node) => node.id === target)?.inputs ?? [];
  if (inputs.length === 1) return rates.rate(`${target}:in`);
  const readers = job.plan.nodes.flatMap((node) => node.inputs ?? []).filter((one) => one.id === input.id);
  return readers.length === 1 ? rates.rate(`${input.id}:out`) : undefined;
}

/** How broad an edge is drawn, in px: by the order of magnitude of its rate. */
export function breadth(rate: number | undefined): number {
  if (rate === undefined || rate < 1) return 1.5;
  return Math.min(6, 1.5 + Math.log10(rate) * 0.75);
}

/** The operators of a chain by name, sources and sinks said as such. */
export function chainOf(vertex: Vertex): string[] {
  return vertex.operators.length > 0 ? vertex.operators.map((operator) => pretty(operator.name)) : [pretty(vertex.name)];
}
