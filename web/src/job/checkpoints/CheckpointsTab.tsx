import type { JSX } from "preact";

import { Badge, Empty, Loading, Panel, Stat, StateBadge, Stats, Table } from "../../components";
import type { Column } from "../../components";
import { ago, bytes, clock, count, dateTime, duration } from "../../format";
import { href } from "../../router";
import { completedAt } from "../health";
import type { Checkpoint, CheckpointConfig, Checkpoints, Distribution, Job } from "../model";
import type { JobWatch } from "../watch";
import { CheckpointDetails } from "./CheckpointDetails";

const NEVER_MS = 1e15;

export function CheckpointsTab(props: { job: Job; watch: JobWatch; selected: string | undefined }): JSX.Element {
  const { job, watch } = props;
  return (
    <Loading poll={watch.checkpoints} what="checkpoints">
      {(data) => (
        <div class="stack">
          <Latest job={job} data={data} />
          <History job={job} data={data} selected={props.selected} />
          <div class="columns">
            <Summary data={data} />
            <Loading poll={watch.config} what="checkpoint settings">
              {(config) => <Settings config={config} />}
            </Loading>
          </div>
        </div>
      )}
    </Loading>
  );
}

function Latest(props: { job: Job; data: Checkpoints }): JSX.Element {
  const { job, data } = props;
  const { completed, failed, restored, savepoint } = data.latest;
  const page = (id: number): string => href("jobs", job.jid, "checkpoints", id);
  return (
    <Stats label="Latest checkpoints">
      <Stat
        label="Completed"
        value={count(data.counts.completed)}
        note={completed ? `last: ${completed.id}, ${ago(completedAt(completed), job.now)}` : "none yet"}
        {...(completed ? { href: page(completed.id) } : {})}
      />
      <Stat
        label="Failed"
        value={count(data.counts.failed)}
        note={failed ? `last: ${failed.id}, ${ago(failed.failure_timestamp ?? failed.trigger_timestamp, job.now)}` : "none"}
        {...(failed ? { href: page(failed.id) } : {})}
        {...(failed && failed.id > (completed?.id ?? 0) ? { tone: "bad" as const } : {})}
      />
      <Stat label="In progress" value={count(data.counts.in_progress)} note={data.counts.in_progress > 0 ? "waiting for subtasks" : "the next comes by itself"} />
      <Stat
        label="Restored from"
        value={restored ? restored.id : "–"}
        note={restored ? `${restored.is_savepoint ? "savepoint" : "checkpoint"}, ${ago(restored.restore_timestamp, job.now)}` : "started without one"}
        title={restored?.external_path ?? ""}
      />
      <Stat
        label="Last savepoint"
        value={savepoint ? ago(completedAt(savepoint), job.now) : "–"}
        note={savepoint ? `number ${savepoint.id}` : "none in the history"}
        {...(savepoint ? { href: page(savepoint.id) } : {})}
      />
    </Stats>
  );
}

function columns(job: Job, longest: number): Column<Checkpoint>[] {
  return [
    {
      key: "id",
      title: "Number",
      render: (one) => (
        <a class="num" href={href("jobs", job.jid, "checkpoints", one.id)}>
          {one.id}
        </a>
      ),
      sort: (one) => one.id,
    },
    { key: "state", title: "State", render: (one) => <StateBadge state={one.status} />, sort: (one) => one.status },
    { key: "kind", title: "Kind", render: (one) => <Kind checkpoint={one} />, sort: (one) => one.checkpoint_type },
    {
      key: "trigger",
      title: "Triggered",
      render: (one) => (
        <span class="num" title={dateTime(one.trigger_timestamp)}>
          {clock(one.trigger_timestamp)}
        </span>
      ),
      sort: (one) => one.trigger_timestamp,
    },
    {
      key: "duration",
      title: "Duration",
      render: (one) => <DurationBar ms={durationOf(one, job.now)} longest={longest} failed={one.status === "FAILED"} />,
      sort: (one) => one.end_to_end_duration,
    },
    {
      key: "acknowledged",
      title: "Subtasks",
      hint: "How many subtasks have answered",
      align: "right",
      render: (one) => `${one.num_acknowledged_subtasks}/${one.num_subtasks}`,
      sort: (one) => one.num_acknowledged_subtasks,
    },
    size("state_size", "State size", "All state that the checkpoint holds"),
    size("checkpointed_size", "Uploaded", "What was new, and so had to be written"),
    size("persisted_data", "In flight", "Records on their way that an unaligned checkpoint holds"),
    {
      key: "why",
      title: "Where or why",
      grow: true,
      clip: true,
      render: (one) => (
        <span class={one.status === "FAILED" ? "text-bad" : "muted"} title={one.failure_message ?? one.external_path ?? ""}>
          {one.failure_message ?? one.external_path ?? ""}
        </span>
      ),
    },
  ];
}

/** Of one in progress: so far. */
function durationOf(one: Checkpoint, now: number): number {
  return one.status === "IN_PROGRESS" ? Math.max(0, now - one.trigger_timestamp) : one.end_to_end_duration;
}

function size(key: "state_size" | "checkpointed_size" | "persisted_data", title: string, hint: string): Column<Checkpoint> {
  return {
    key,
    title,
    hint,
    align: "right",
    render: (one) => <span title={`${count(one[key])} bytes`}>{bytes(one[key])}</span>,
    sort: (one) => one[key],
  };
}

function Kind(props: { checkpoint: Checkpoint }): JSX.Element {
  const { checkpoint } = props;
  if (checkpoint.is_savepoint) return <Badge tone="info">Savepoint</Badge>;
  if (checkpoint.checkpoint_type.startsWith("UNALIGNED")) return <Badge tone="warn">Unaligned</Badge>;
  return <span class="muted">Aligned</span>;
}

function DurationBar(props: { ms: number; longest: number; failed: boolean }): JSX.Element {
  const share = props.longest > 0 ? Math.min(1, Math.max(0, props.ms) / props.longest) : 0;
  return (
    <span class="duration-bar">
      <span class="duration-track" aria-hidden="true">
        <span class={props.failed ? "failed" : ""} style={{ width: `${share * 100}%` }} />
      </span>
      <span class="num">{duration(props.ms)}</span>
    </span>
  );
}

function History(props: { job: Job; data: Checkpoints; selected: string | undefined }): JSX.Element {
  const { job, data } = props;
  const chosen = data.history.find((one) => String(one.id) === props.selected);
  const longest = Math.max(1, ...data.history.map((one) => one.end_to_end_duration));
  const shown = chosen ?? data.history.find((one) => one.status !== "IN_PROGRESS");
  return (
    <>
      {props.selected !== undefined && chosen === undefined && (
        <p class="stale" role="status">
          Checkpoint {props.selected} is not in the history any more; the history keeps the newest.
        </p>
      )}
      {shown && <CheckpointDetails key={shown.id} job={job} checkpoint={shown} chosen={chosen !== undefined} />}
      <Panel title="History" side={`the newest ${count(data.history.length)}`}>
        <Table
          caption="Checkpoints, newest first"
          columns={columns(job, longest)}
          rows={data.history}
          rowKey={(one) => String(one.id)}
          rowClass={(one) => (one.id === shown?.id ? "row-selected" : "")}
          limit={20}
          dense
          empty={
            <Empty icon="clock" title="No checkpoint has been taken">
              The first one comes after the checkpoint interval, when all tasks run.
            </Empty>
          }
        />
      </Panel>
    </>
  );
}

// ----------------------------------------------------------------------------------- summary and settings

function Summary(props: { data: Checkpoints }): JSX.Element {
  const { summary, counts } = props.data;
  const rows: { name: string; values: Distribution; show: (value: number) => string }[] = [
    { name: "Duration", values: summary.end_to_end_duration, show: duration },
    { name: "State size", values: summary.state_size, show: bytes },
    { name: "Uploaded", values: summary.checkpointed_size, show: bytes },
    { name: "In flight", values: summary.persisted_data, show: bytes },
  ];
  type Row = (typeof rows)[number];
  const number = (key: keyof Distribution, title: string): Column<Row> => ({
    key,
    title,
    align: "right",
    render: (row) => (counts.completed > 0 ? row.show(row.values[key]) : "–"),
  });
  return (
    <Panel title="Completed checkpoints" side="of those in the history">
      <Table
        caption="Distribution over completed checkpoints"
        dense
        columns={[
          { key: "name", title: "Figure", render: (row) => row.name, grow: true },
          number("min", "Least"),
          number("avg", "Mean"),
          number("p50", "Median"),
          number("p99", "p99"),
          number("max", "Most"),
        ]}
        rows={rows}
        rowKey={(row) => row.name}
      />
    </Panel>
  );
}

function Settings(props: { config: CheckpointConfig }): JSX.Element {
  const { config } = props;
  const off = config.interval <= 0 || config.interval >= NEVER_MS;
  const facts: [string, string][] = [
    ["Interval", off ? "off" : duration(config.interval)],
    ["Mode", config.mode.replaceAll("_", " ")],
    ["Timeout", duration(config.timeout)],
    ["Pause between two", config.min_pause > 0 ? duration(config.min_pause) : "none"],
    ["At the same time", String(config.max_concurrent)],
    ["Failures tolerated", String(config.tolerable_failed_checkpoints)],
    ["Unaligned", unaligned(config)],
    ["After the job is cancelled", config.externalization.delete_on_cancellation ? "deleted" : "kept"],
    ["State backend", config.state_backend],
  ];
  return (
    <Panel title="Settings">
      <dl class="facts panel-body">
        {facts.map(([name, value]) => (
          <>
            <dt key={name}>{name}</dt>
            <dd>{value}</dd>
          </>
        ))}
      </dl>
    </Panel>
  );
}

function unaligned(config: CheckpointConfig): string {
  if (!config.unaligned_checkpoints) return "off";
  if (config.aligned_checkpoint_timeout <= 0) return "always";
  return `when alignment takes over ${duration(config.aligned_checkpoint_timeout)}`;
}
