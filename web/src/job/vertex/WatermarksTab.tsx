import type { JSX } from "preact";

import { usePoll } from "../../api";
import { Empty, Loading, Panel, Table } from "../../components";
import { dateTime, duration } from "../../format";
import { ended } from "../model";
import type { Job, MetricEntry, Vertex } from "../model";

const WATERMARKS_MS = 2_000;
/** Beyond these, a watermark is "none yet" or "the end". */
const NONE_BELOW = -9e15;
const END_ABOVE = 9e15;

interface Row {
  subtask: number;
  value: number;
}

export function WatermarksTab(props: { job: Job; vertex: Vertex }): JSX.Element {
  const { job, vertex } = props;
  const path = `/jobs/${job.jid}/vertices/${encodeURIComponent(vertex.id)}/watermarks`;
  const poll = usePoll<MetricEntry[]>(path, ended(job) ? 0 : WATERMARKS_MS);
  return (
    <Loading poll={poll} what="watermarks">
      {(entries) => {
        const rows = entries
          .map((entry) => ({ subtask: Number.parseInt(entry.id, 10), value: Number(entry.value) }))
          .filter((row) => Number.isFinite(row.value));
        const known = rows.filter((row) => row.value > NONE_BELOW && row.value < END_ABOVE);
        const ahead = Math.max(...known.map((row) => row.value));
        return (
          <Panel title="Watermarks" side={said(rows, known, vertex)}>
            <Table
              caption="Watermarks by subtask"
              dense
              columns={[
                { key: "subtask", title: "Subtask", align: "right", render: (row: Row) => row.subtask, sort: (row: Row) => row.subtask },
                { key: "value", title: "Event time reached", render: (row: Row) => <span class="num">{moment(row.value)}</span>, sort: (row: Row) => row.value },
                { key: "lag", title: "Behind the clock", align: "right", render: (row: Row) => (inside(row.value) ? duration(Math.max(0, job.now - row.value)) : "–"), sort: (row: Row) => -row.value },
                {
                  key: "spread",
                  title: "Behind the furthest subtask",
                  align: "right",
                  grow: true,
                  render: (row: Row) => (inside(row.value) ? duration(ahead - row.value) : "–"),
                  sort: (row: Row) => -row.value,
                },
              ]}
              rows={rows}
              rowKey={(row) => String(row.subtask)}
              empty={<Empty title="No watermark has been reported">A stream without event time has none.</Empty>}
            />
          </Panel>
        );
      }}
    </Loading>
  );
}

function inside(value: number): boolean {
  return value > NONE_BELOW && value < END_ABOVE;
}

function moment(value: number): string {
  if (value <= NONE_BELOW) return "none yet";
  if (value >= END_ABOVE) return "the input has ended";
  return dateTime(value);
}

function said(rows: Row[], known: Row[], vertex: Vertex): string {
  if (rows.length === 0) return "";
  if (known.length === 0) return vertex["input-ended"] ? "the input has ended" : "none yet";
  if (known.length < rows.length) return `${rows.length - known.length} of ${rows.length} subtasks have none yet and hold the vertex back`;
  const values = known.map((row) => row.value);
  return `spread over subtasks ${duration(Math.max(...values) - Math.min(...values))}`;
}
