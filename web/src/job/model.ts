// The REST answers that the job pages read: Flink's names, with Lesto's additions.

export interface VertexActivity {
  busy: number;
  idle: number;
  backpressured: number;
  "busy-max": number;
  "busy-max-subtask": number;
  "backpressured-max": number;
}

export interface ChainedOperator {
  uid: string;
  name: string;
  kind: "SOURCE" | "TRANSFORM" | "SINK" | "UNSPECIFIED";
  location: string;
  keyed: boolean;
}

export interface IoMetrics {
  "read-bytes": number;
  "write-bytes": number;
  "read-records": number;
  "write-records": number;
  "accumulated-busy-time": number;
  "accumulated-idle-time": number;
  "accumulated-backpressured-time": number;
}

export interface Vertex {
  id: string;
  name: string;
  parallelism: number;
  maxParallelism: number;
  status: string;
  "start-time": number;
  "end-time": number;
  duration: number;
  tasks: Record<string, number>;
  metrics: IoMetrics;
  /** Event time in ms; null before the first watermark and after the end of the input. */
  watermark: number | null;
  "input-ended": boolean;
  activity: VertexActivity | null;
  "late-dropped": number;
  operators: ChainedOperator[];
  slotSharingGroupName?: string;
}

export interface PlanInput {
  num: number;
  id: string;
  ship_strategy: string;
  exchange: string;
  source_operator: number;
  side_tag: string;
  key_columns: string[];
}

export interface PlanNode {
  id: string;
  parallelism: number;
  description: string;
  inputs?: PlanInput[];
}

export interface Transition {
  timestamp: number;
  state: string;
  cause: string;
}

export interface Job {
  jid: string;
  name: string;
  state: string;
  "start-time": number;
  "end-time": number;
  duration: number;
  now: number;
  timestamps: Record<string, number>;
  vertices: Vertex[];
  "status-counts": Record<string, number>;
  plan: { nodes: PlanNode[] };
  restarts: number;
  transitions: Transition[];
}

// ------------------------------------------------------------------------------------------ checkpoints

export interface Distribution {
  min: number;
  max: number;
  avg: number;
  p50: number;
  p90: number;
  p95: number;
  p99: number;
  p999: number;
}

export interface CheckpointTask {
  id: number;
  status: string;
  latest_ack_timestamp: number;
  checkpointed_size: number;
  state_size: number;
  end_to_end_duration: number;
  persisted_data: number;
  num_subtasks: number;
  num_acknowledged_subtasks: number;
}

export interface Checkpoint {
  id: number;
  status: string;
  is_savepoint: boolean;
  trigger_timestamp: number;
  latest_ack_timestamp: number;
  checkpointed_size: number;
  state_size: number;
  end_to_end_duration: number;
  persisted_data: number;
  num_subtasks: number;
  num_acknowledged_subtasks: number;
  checkpoint_type: string;
  tasks: Record<string, CheckpointTask>;
  external_path?: string;
  discarded?: boolean;
  failure_timestamp?: number;
  failure_message?: string;
}

export interface RestoredCheckpoint {
  id: number;
  restore_timestamp: number;
  is_savepoint: boolean;
  external_path: string | null;
}

export interface Checkpoints {
  counts: Record<"restored" | "total" | "in_progress" | "completed" | "failed", number>;
  summary: Record<"checkpointed_size" | "state_size" | "end_to_end_duration" | "persisted_data", Distribution>;
  latest: {
    completed: Checkpoint | null;
    savepoint: Checkpoint | null;
    failed: Checkpoint | null;
    restored: RestoredCheckpoint | null;
  };
  history: Checkpoint[];
}

export interface CheckpointConfig {
  mode: string;
  interval: number;
  timeout: number;
  min_pause: number;
  max_concurrent: number;
  externalization: { enabled: boolean; delete_on_cancellation: boolean };
  state_backend: string;
  unaligned_checkpoints: boolean;
  tolerable_failed_checkpoints: number;
  aligned_checkpoint_timeout: number;
  checkpoints_after_tasks_finish: boolean;
}

export interface CheckpointSubtask {
  index: number;
  status: string;
  ack_timestamp?: number;
  end_to_end_duration?: number;
  checkpointed_size?: number;
  state_size?: number;
  checkpoint?: { sync: number; async: number };
  alignment?: { buffered: number; processed: number; persisted: number; duration: number };
  start_delay?: number;
  unaligned_checkpoint?: boolean;
}

export interface CheckpointSubtasks extends CheckpointTask {
  subtasks: CheckpointSubtask[];
}

// ------------------------------------------------------------------------------ exceptions and events

export interface Failure {
  exceptionName: string;
  stacktrace: string;
  timestamp: number;
  taskName?: string;
  endpoint?: string;
  taskManagerId?: string;
  failureLabels?: Record<string, string>;
  /** Lesto's own fields. */
  code?: string;
  message?: string;
  remedy?: string;
  operator?: string;
  "user-traceback"?: string;
  "full-traceback"?: string;
  "code-location"?: string;
  "record-digest"?: string;
}

export interface Exceptions {
  exceptionHistory: { entries: Failure[]; truncated: boolean };
}

export interface JobEvent {
  timestamp: number;
  kind: string;
  subject: string;
  cause: string;
  severity: string;
}

// ------------------------------------------------------------------------------------------- vertices

export interface Subtask {
  subtask: number;
  status: string;
  attempt: number;
  endpoint: string;
  "taskmanager-id": string;
  "slot-id": string;
  "start-time": number;
  "end-time": number;
  duration: number;
  metrics: IoMetrics;
  activity: { busy: number; idle: number; backpressured: number } | null;
  watermark: number | null;
  "late-dropped": number;
}

export interface VertexDetails {
  id: string;
  name: string;
  parallelism: number;
  maxParallelism?: number;
  now: number;
  subtasks: Subtask[];
}

export interface MetricEntry {
  id: string;
  value?: string;
}

export interface RecordSampleAnswer {
  columns: string[];
  types: string[];
  records: { values: string[]; timestamp: number | null; kind: string; subtask: number }[];
}

export const ENDED_STATES: ReadonlySet<string> = new Set(["FINISHED", "CANCELED", "FAILED"]);

export function ended(job: Job): boolean {
  return ENDED_STATES.has(job.state);
}

/** How long the subtasks of a vertex had run, in ms on average, when they last reported. */
export function reportClock(vertex: Vertex): number {
  const { metrics } = vertex;
  const sum = metrics["accumulated-busy-time"] + metrics["accumulated-idle-time"] + metrics["accumulated-backpressured-time"];
  return sum / Math.max(1, vertex.parallelism);
}

/** Vertices that read from outside. */
export function sources(job: Job): Vertex[] {
  const fed = new Set(job.plan.nodes.filter((node) => (node.inputs ?? []).length > 0).map((node) => node.id));
  return job.vertices.filter((vertex) => !fed.has(vertex.id));
}

/** Vertices that no edge leaves. */
export function sinks(job: Job): Vertex[] {
  const read = new Set(job.plan.nodes.flatMap((node) => (node.inputs ?? []).map((input) => input.id)));
  return job.vertices.filter((vertex) => !read.has(vertex.id));
}
