// What limits a job: the vertex that the others wait for.

import type { Job, Vertex } from "./model";
import { sources } from "./model";

/** A subtask is at its limit when it works this share of its time ... */
const SATURATED = 0.7;
/** ... or this share, when those before it are held up. */
const BUSY_BEHIND_PRESSURE = 0.4;
const HELD_UP = 0.3;
/** Tasks of one slot share one thread: together they are at the limit. */
const SLOT_SATURATED = 0.85;
/** One subtask against the mean of all: the work is not spread evenly. */
const SKEWED = 1.5;

export type Limit =
  | { kind: "vertex"; vertex: Vertex; busy: number; skewed: boolean; subtask: number }
  | { kind: "slots"; vertices: { vertex: Vertex; busy: number }[]; busy: number }
  | { kind: "input"; vertex: Vertex; busy: number };

/** What limits the job's speed; null: nothing has been reported yet. `input`: it waits for something to do. */
export function limitOf(job: Job): Limit | null {
  const reported = job.vertices.filter((vertex) => vertex.activity !== null && vertex.status === "RUNNING");
  if (reported.length === 0) return null;
  const found = heldUpBy(job, reported) ?? saturated(reported);
  if (found !== null) return vertexLimit(found);
  const shared = sharedSlots(reported);
  if (shared !== null) return shared;
  const busiest = reported.reduce((a, b) => (busyMax(b) > busyMax(a) ? b : a));
  return { kind: "input", vertex: busiest, busy: busyMax(busiest) };
}

export function busyMax(vertex: Vertex): number {
  return vertex.activity?.["busy-max"] ?? 0;
}

export function heldMax(vertex: Vertex): number {
  return vertex.activity?.["backpressured-max"] ?? 0;
}

/** The vertex furthest down the stream that works hard while what feeds it has to wait. */
function heldUpBy(job: Job, reported: Vertex[]): Vertex | null {
  const held = new Set(reported.filter((vertex) => heldMax(vertex) >= HELD_UP).map((vertex) => vertex.id));
  const candidates = reported.filter((vertex) => {
    const node = job.plan.nodes.find((one) => one.id === vertex.id);
    const behindPressure = (node?.inputs ?? []).some((input) => held.has(input.id));
    return behindPressure && busyMax(vertex) >= BUSY_BEHIND_PRESSURE && !held.has(vertex.id);
  });
  return busiestOf(candidates);
}

function saturated(reported: Vertex[]): Vertex | null {
  return busiestOf(reported.filter((vertex) => busyMax(vertex) >= SATURATED));
}

function busiestOf(vertices: Vertex[]): Vertex | null {
  if (vertices.length === 0) return null;
  return vertices.reduce((a, b) => (busyMax(b) > busyMax(a) ? b : a));
}

function vertexLimit(vertex: Vertex): Limit {
  const activity = vertex.activity;
  const busy = activity?.["busy-max"] ?? 0;
  const skewed = vertex.parallelism > 1 && activity !== null && busy > SKEWED * Math.max(activity.busy, 0.01);
  return { kind: "vertex", vertex, busy, skewed, subtask: activity?.["busy-max-subtask"] ?? 0 };
}

function sharedSlots(reported: Vertex[]): Limit | null {
  const groups = new Map<string, Vertex[]>();
  for (const vertex of reported) {
    const group = vertex.slotSharingGroupName ?? "default";
    groups.set(group, [...(groups.get(group) ?? []), vertex]);
  }
  for (const members of groups.values()) {
    const shares = members
      .map((vertex) => ({ vertex, busy: vertex.activity?.busy ?? 0 }))
      .sort((a, b) => b.busy - a.busy);
    const together = shares.reduce((sum, share) => sum + share.busy, 0);
    if (members.length > 1 && together >= SLOT_SATURATED) {
      return { kind: "slots", vertices: shares.slice(0, 3), busy: Math.min(together, 1) };
    }
  }
  return null;
}

/** How far event time is behind, in ms: of the vertex that is furthest behind; null where there is no watermark. */
export function eventTimeLag(job: Job): { lag: number; vertex: Vertex } | null {
  let found: { lag: number; vertex: Vertex } | null = null;
  for (const vertex of job.vertices) {
    if (vertex.watermark === null || vertex.watermark === undefined || vertex.status !== "RUNNING") continue;
    const lag = Math.max(0, job.now - vertex.watermark);
    if (found === null || lag > found.lag) found = { lag, vertex };
  }
  return found;
}

/** Names of the vertices that read from outside, for "how much comes in". */
export function sourceIds(job: Job): string[] {
  return sources(job).map((vertex) => vertex.id);
}
