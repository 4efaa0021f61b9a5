import type { JSX } from "preact";

import { usePoll } from "../../api";
import { Bytes, Duration, Empty, Loading, Panel, StateBadge, Table } from "../../components";
import type { Column } from "../../components";
import { compact, count, dateTime, duration, percent } from "../../format";
import { href } from "../../router";
import { ActivityLegend, ActivityStrip } from "../graph/Activity";
import { ended } from "../model";
import type { Job, Subtask, Vertex, VertexDetails } from "../model";
import { skewOf } from "./skew";

interface Row {
  subtask: Subtask;
  now: number;
}

const SUBTASKS_MS = 1_000;

export function SubtasksTab(props: { job: Job; vertex: Vertex }): JSX.Element {
  const { job, vertex } = props;
  const over = ended(job);
  const base = `/jobs/${job.jid}/vertices/${encodeURIComponent(vertex.id)}`;
  const details = usePoll<VertexDetails>(base, over ? 0 : SUBTASKS_MS);
  return (
    <Loading poll={details} what="subtasks">
      {(data) => {
        const rows = data.subtasks.map((subtask) => ({ subtask, now: data.now }));
        const most = Math.max(1, ...rows.map((row) => row.subtask.metrics["read-records"]));
        return (
          <Panel title="Subtasks" side={<Skew subtasks={data.subtasks} />}>
            <Table
              caption="Subtasks of the vertex"
              columns={columns(most)}
              rows={rows}
              rowKey={(row) => String(row.subtask.subtask)}
              dense
              limit={64}
              empty={<Empty title="The vertex has no subtasks yet" />}
            />
            <p class="panel-foot">
              <ActivityLegend />
            </p>
          </Panel>
        );
      }}
    </Loading>
  );
}

function columns(most: number): Column<Row>[] {
  return [
    { key: "subtask", title: "Subtask", render: ({ subtask }) => subtask.subtask, sort: ({ subtask }) => subtask.subtask },
    {
      key: "state",
      title: "State",
      render: ({ subtask }) => (
        <>
          <StateBadge state={subtask.status} />
          {subtask.attempt > 1 && <span class="muted small"> attempt {subtask.attempt}</span>}
        </>
      ),
      sort: ({ subtask }) => subtask.attempt,
    },
    {
      key: "time",
      title: "Busy · backpressured · idle",
      render: ({ subtask }) => <ActivityStrip shares={subtask.activity} text />,
      sort: ({ subtask }) => subtask.activity?.busy ?? -1,
    },
    {
      key: "in",
      title: "Records in",
      align: "right",
      render: ({ subtask }) => <Share value={subtask.metrics["read-records"]} most={most} />,
      sort: ({ subtask }) => subtask.metrics["read-records"],
    },
    {
      key: "out",
      title: "Records out",
      align: "right",
      render: ({ subtask }) => <span title={count(subtask.metrics["write-records"])}>{compact(subtask.metrics["write-records"])}</span>,
      sort: ({ subtask }) => subtask.metrics["write-records"],
    },
    {
      key: "bytes",
      title: "Bytes in / out",
      align: "right",
      render: ({ subtask }) => (
        <>
          <Bytes value={subtask.metrics["read-bytes"]} /> / <Bytes value={subtask.metrics["write-bytes"]} />
        </>
      ),
      sort: ({ subtask }) => subtask.metrics["read-bytes"] + subtask.metrics["write-bytes"],
    },
    {
      key: "watermark",
      title: "Behind",
      hint: "How far its event time is behind the clock",
      align: "right",
      render: ({ subtask, now }) => (
        <span title={dateTime(subtask.watermark)}>{subtask.watermark === null ? "–" : duration(Math.max(0, now - subtask.watermark))}</span>
      ),
      sort: ({ subtask }) => -(subtask.watermark ?? 0),
    },
    { key: "where", title: "Runs on", render: ({ subtask }) => <Where subtask={subtask} />, sort: ({ subtask }) => whereOf(subtask) },
    {
      key: "duration",
      title: "For",
      hint: "Since this attempt was started",
      align: "right",
      render: ({ subtask }) => (
        <span title={`since ${dateTime(subtask["start-time"])}`}>
          <Duration ms={subtask.duration} />
        </span>
      ),
      sort: ({ subtask }) => subtask.duration,
    },
  ];
}

function Share(props: { value: number; most: number }): JSX.Element {
  return (
    <span class="share" title={count(props.value)}>
      <span class="share-bar" aria-hidden="true">
        <span style={{ width: `${(100 * Math.max(0, props.value)) / props.most}%` }} />
      </span>
      {compact(props.value)}
    </span>
  );
}

function whereOf(subtask: Subtask): string {
  return subtask["slot-id"] || subtask.endpoint;
}

function Where(props: { subtask: Subtask }): JSX.Element {
  const manager = props.subtask["taskmanager-id"];
  const text = whereOf(props.subtask) || "–";
  if (!manager || manager.startsWith("(")) return <span class="muted">{text}</span>;
  return (
    <a class="num" href={href("taskmanagers", manager)} title={`${manager} at ${props.subtask.endpoint}`}>
      {text}
    </a>
  );
}

function Skew(props: { subtasks: Subtask[] }): JSX.Element | null {
  const found = skewOf(props.subtasks.map((subtask) => subtask.metrics["read-records"]));
  if (found === null) return null;
  const text = `Skew ${percent(found.skew)}`;
  const meaning =
    found.skew >= 0.5
      ? `: subtask ${props.subtasks[found.largest]?.subtask ?? found.largest} has read ${found.factor.toFixed(1)} times the mean`
      : ": records are spread evenly";
  return (
    <span class={found.skew >= 0.5 ? "text-warn" : ""} title="0 %: all subtasks read the same number of records; 100 %: one reads all">
      {text}
      {meaning}
    </span>
  );
}
