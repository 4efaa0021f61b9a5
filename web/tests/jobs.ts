// Jobs as REST shows them, for tests: whole, with what a test is about put on top.

import type { Checkpoint, Checkpoints, Failure, Job, Vertex, VertexActivity } from "../src/job/model";

export const NOW = 1_800_000_000_000;

export function activity(busy: number, backpressured = 0, most = busy): VertexActivity {
  return {
    busy,
    backpressured,
    idle: Math.max(0, 1 - busy - backpressured),
    "busy-max": most,
    "busy-max-subtask": 1,
    "backpressured-max": backpressured,
  };
}

export function vertex(id: string, more: Partial<Vertex> = {}): Vertex {
  const parallelism = more.parallelism ?? 1;
  return {
    id,
    name: id,
    parallelism,
    maxParallelism: 128,
    status: "RUNNING",
    "start-time": NOW - 60_000,
    "end-time": -1,
    duration: 60_000,
    tasks: { RUNNING: parallelism },
    metrics: {
      "read-bytes": 0,
      "write-bytes": 0,
      "read-records": 1_000,
      "write-records": 1_000,
      "accumulated-busy-time": 0,
      "accumulated-idle-time": 0,
      "accumulated-backpressured-time": 0,
    },
    watermark: null,
    "input-ended": false,
    activity: activity(0.05),
    "late-dropped": 0,
    operators: [],
    slotSharingGroupName: "default",
    ...more,
  };
}

/** A job whose vertices feed each other one after another. */
export function job(vertices: Vertex[], more: Partial<Job> = {}): Job {
  const nodes = vertices.map((one, i) => ({
    id: one.id,
    parallelism: one.parallelism,
    description: one.name,
    inputs:
      i === 0
        ? []
        : [{ num: 0, id: vertices[i - 1]?.id ?? "", ship_strategy: "HASH", exchange: "", source_operator: 0, side_tag: "", key_columns: [] }],
  }));
  return {
    jid: "0".repeat(32),
    name: "a job",
    state: "RUNNING",
    "start-time": NOW - 60_000,
    "end-time": -1,
    duration: 60_000,
    now: NOW,
    timestamps: {},
    vertices,
    "status-counts": {},
    plan: { nodes },
    restarts: 0,
    transitions: [{ timestamp: NOW - 60_000, state: "RUNNING", cause: "attempt 1" }],
    ...more,
  };
}

export function checkpoint(id: number, more: Partial<Checkpoint> = {}): Checkpoint {
  return {
    id,
    status: "COMPLETED",
    is_savepoint: false,
    trigger_timestamp: NOW - 2_084,
    latest_ack_timestamp: NOW - 2_000,
    checkpointed_size: 100,
    state_size: 100,
    end_to_end_duration: 84,
    persisted_data: 0,
    num_subtasks: 2,
    num_acknowledged_subtasks: 2,
    checkpoint_type: "CHECKPOINT",
    tasks: {},
    ...more,
  };
}

export function checkpoints(history: Checkpoint[]): Checkpoints {
  const of = (status: string): Checkpoint[] => history.filter((one) => one.status === status);
  const none = { min: 0, max: 0, avg: 0, p50: 0, p90: 0, p95: 0, p99: 0, p999: 0 };
  return {
    counts: { restored: 0, total: history.length, in_progress: 0, completed: of("COMPLETED").length, failed: of("FAILED").length },
    summary: { checkpointed_size: none, state_size: none, end_to_end_duration: none, persisted_data: none },
    latest: { completed: of("COMPLETED")[0] ?? null, savepoint: null, failed: of("FAILED")[0] ?? null, restored: null },
    history,
  };
}

export function failure(message: string, ago: number): Failure {
  return { exceptionName: `LESTO-6001: ${message}`, message, code: "LESTO-6001", stacktrace: "", timestamp: NOW - ago };
}
