// The JSON of the REST API, as far as the dashboard reads it. Names are Flink's; what is Lesto's own says so.

export type JobState =
  | "INITIALIZING"
  | "CREATED"
  | "RUNNING"
  | "FAILING"
  | "FAILED"
  | "CANCELLING"
  | "CANCELED"
  | "FINISHED"
  | "RESTARTING"
  | "SUSPENDED"
  | "RECONCILING";

export type TaskState =
  | "CREATED"
  | "SCHEDULED"
  | "DEPLOYING"
  | "RUNNING"
  | "FINISHED"
  | "CANCELING"
  | "CANCELED"
  | "FAILED"
  | "RECONCILING"
  | "INITIALIZING";

/** Tasks by state. */
export type TaskCounts = Partial<Record<TaskState, number>>;

/** GET /overview; the last six are Lesto's. */
export interface Overview {
  taskmanagers: number;
  "slots-total": number;
  "slots-available": number;
  "jobs-running": number;
  "jobs-finished": number;
  "jobs-cancelled": number;
  "jobs-failed": number;
  "flink-version": string;
  "flink-commit": string;
  "lesto-version": string;
  "python-version": string;
  "high-availability": string;
  "leader-address": string;
  "leader-id": string;
  "leader-epoch": number;
}

/** GET /config */
export interface DashboardConfig {
  "refresh-interval": number;
  "timezone-name": string;
  "timezone-offset": number;
  "flink-version": string;
  "flink-revision": string;
  features: Record<string, boolean>;
}

/** One entry of GET /jobs/overview; `tasks` has "total" and each state in lower case. */
export interface JobOverview {
  jid: string;
  name: string;
  "start-time": number;
  "end-time": number;
  duration: number;
  state: JobState;
  "last-modification": number;
  tasks: Record<string, number>;
  "pending-operators"?: number;
  /** Lesto's: how often it was restarted. */
  restarts?: number;
  /** Lesto's: when its last completed checkpoint was complete; 0: there is none. */
  "last-checkpoint"?: number;
}

export interface JobsOverview {
  jobs: JobOverview[];
}

export interface IoMetrics {
  "read-bytes": number;
  "write-bytes": number;
  "read-records": number;
  "write-records": number;
  "accumulated-backpressured-time"?: number;
  "accumulated-idle-time"?: number;
  "accumulated-busy-time"?: number;
}

export interface JobVertex {
  id: string;
  name: string;
  slotSharingGroupName?: string;
  maxParallelism: number;
  parallelism: number;
  status: TaskState;
  "start-time": number;
  "end-time": number;
  duration: number;
  tasks: TaskCounts;
  metrics: IoMetrics;
}

export interface PlanInput {
  num: number;
  id: string;
  ship_strategy: string;
  exchange: string;
}

export interface PlanNode {
  id: string;
  parallelism: number;
  operator?: string;
  operator_strategy?: string;
  description: string;
  inputs?: PlanInput[];
}

export interface Plan {
  jid?: string;
  name?: string;
  type?: string;
  nodes: PlanNode[];
}

/** GET /jobs/:id */
export interface JobDetails {
  jid: string;
  name: string;
  isStoppable: boolean;
  state: JobState;
  "job-type": string;
  "start-time": number;
  "end-time": number;
  duration: number;
  maxParallelism: number;
  now: number;
  timestamps: Record<string, number>;
  vertices: JobVertex[];
  "status-counts": TaskCounts;
  plan: Plan;
}

/** One entry of GET /jobs/:id/exceptions */
export interface ExceptionEntry {
  exceptionName: string;
  stacktrace: string;
  timestamp: number;
  taskName?: string;
  endpoint?: string;
  location?: string;
  taskManagerId?: string;
  failureLabels?: Record<string, string>;
  concurrentExceptions?: ExceptionEntry[];
}

export interface JobExceptions {
  exceptionHistory: { entries: ExceptionEntry[]; truncated: boolean };
}

export interface CheckpointCounts {
  restored: number;
  total: number;
  in_progress: number;
  completed: number;
  failed: number;
}

export interface Checkpoint {
  id: number;
  status: string;
  is_savepoint: boolean;
  trigger_timestamp: number;
  latest_ack_timestamp: number;
  state_size: number;
  end_to_end_duration: number;
  checkpointed_size: number;
  checkpoint_type: string;
  num_subtasks: number;
  num_acknowledged_subtasks: number;
  external_path?: string;
  failure_message?: string;
  failure_timestamp?: number;
}

export interface Checkpoints {
  counts: CheckpointCounts;
  latest: {
    completed: Checkpoint | null;
    savepoint: Checkpoint | null;
    failed: Checkpoint | null;
    restored: { id: number; restore_timestamp: number; is_savepoint: boolean } | null;
  };
  history: Checkpoint[];
}

/** A slot of a TaskManager: Lesto's own, a slot is a process. */
export interface Slot {
  id: string;
  index: number;
  status: string;
  pid: number;
  metricsAddress: string;
  /** With GET /taskmanagers/:id: what runs in it. */
  tasks?: SlotTask[];
  /** With GET /taskmanagers/:id; -1: not known. */
  memoryBytes?: number;
}

export interface SlotTask {
  jid: string;
  job: string;
  vertex: string;
  name: string;
  subtask: number;
  status: TaskState;
}

/** One entry of GET /taskmanagers, and GET /taskmanagers/:id */
export interface TaskManager {
  id: string;
  path: string;
  dataPort: number;
  timeSinceLastHeartbeat: number;
  slotsNumber: number;
  freeSlots: number;
  assignedTasks?: number;
  hardware: { cpuCores: number; physicalMemory: number; freeMemory: number; managedMemory: number };
  pid: number;
  metricsAddress: string;
  slots: Slot[];
}

/** GET /taskmanagers/:id */
export interface TaskManagerDetails extends TaskManager {
  allocatedSlots?: { jobId: string }[];
}

export interface TaskManagers {
  taskmanagers: TaskManager[];
}

/** GET .../metrics: names without `get`, values with it. */
export interface Metric {
  id: string;
  value?: string;
}

/** GET .../logs */
export interface LogFiles {
  logs: { name: string; size: number; mtime?: number }[];
}

/** GET .../thread-dump */
export interface ThreadDump {
  threadInfos: { threadName: string; stringifiedThreadInfo: string }[];
  unanswered?: string[];
}

/** GET .../flamegraph: counts of stack samples. */
export interface FlameNode {
  name: string;
  value: number;
  children?: FlameNode[];
}

export interface FlameGraphData {
  endTimestamp: number;
  data: FlameNode | null;
  /** Slots that did not answer, and why. */
  unanswered?: string[];
}

export interface ConfigEntry {
  key: string;
  value: string;
}

/** One entry of GET /jars */
export interface UploadedProgram {
  id: string;
  name: string;
  uploaded: number;
  size?: number;
  entry: { name: string; description?: string | null }[];
}

export interface UploadedPrograms {
  address: string;
  files: UploadedProgram[];
}
