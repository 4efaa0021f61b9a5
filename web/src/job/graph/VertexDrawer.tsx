// What a click on the graph's node opens: the vertex in short, beside the graph.

import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

import { Icon, StateBadge, TaskBar } from "../../components";
import { bytes, compact, dateTime, duration, percent, rate } from "../../format";
import { href } from "../../router";
import { pretty } from "../health";
import type { Job, Vertex } from "../model";
import type { JobWatch } from "../watch";
import { ActivityStrip } from "./Activity";

export function VertexDrawer(props: { job: Job; vertex: Vertex; watch: JobWatch; onClose: () => void }): JSX.Element {
  const { job, vertex } = props;
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus({ preventScroll: true }), [vertex.id]);
  const page = (part: string): string => href("jobs", job.jid, "vertices", vertex.id, part);
  return (
    <aside
      class="panel drawer"
      aria-label={`Vertex ${vertex.name}`}
      onKeyDown={(event) => {
        if (event.key === "Escape") props.onClose();
      }}
    >
      <header class="panel-head">
        <h2 ref={heading} tabIndex={-1}>
          {pretty(vertex.name)}
        </h2>
        <button type="button" class="button ghost" aria-label="Close" onClick={props.onClose}>
          <Icon name="cross" />
        </button>
      </header>
      <div class="panel-body drawer-body">
        <p class="drawer-state">
          <StateBadge state={vertex.status} /> <TaskBar tasks={vertex.tasks} />
        </p>
        <Facts {...props} />
        <Chain vertex={vertex} />
        <nav class="drawer-links" aria-label="More about the vertex">
          <a class="button primary" href={page("subtasks")}>
            Subtasks
          </a>
          <a class="button" href={page("records")}>
            Sample records
          </a>
          <a class="button" href={page("flamegraph")}>
            Flame graph
          </a>
          <a class="button" href={page("metrics")}>
            Metrics
          </a>
        </nav>
      </div>
    </aside>
  );
}

function Facts(props: { job: Job; vertex: Vertex; watch: JobWatch }): JSX.Element {
  const { job, vertex, watch } = props;
  const { activity, metrics } = vertex;
  const flow = (name: "in" | "out", total: number): string => {
    const now = job.state === "RUNNING" ? watch.rates.rate(`${vertex.id}:${name}`) : undefined;
    return `${now === undefined ? "" : `${rate(Math.round(now))}, `}${compact(total)} in all`;
  };
  return (
    <dl class="facts">
      <dt>Time</dt>
      <dd>
        <ActivityStrip shares={activity} />
        {activity && (
          <span class="small muted">
            {percent(activity.busy)} busy, {percent(activity.backpressured)} backpressured, {percent(activity.idle)} idle
          </span>
        )}
      </dd>
      {activity && vertex.parallelism > 1 && (
        <>
          <dt>Busiest subtask</dt>
          <dd>
            {activity["busy-max-subtask"]} ({percent(activity["busy-max"])} busy)
          </dd>
        </>
      )}
      <dt>Records in</dt>
      <dd class="num">{flow("in", metrics["read-records"])}</dd>
      <dt>Records out</dt>
      <dd class="num">{flow("out", metrics["write-records"])}</dd>
      <dt>Bytes</dt>
      <dd class="num">
        {bytes(metrics["read-bytes"])} in, {bytes(metrics["write-bytes"])} out
      </dd>
      <dt>Watermark</dt>
      <dd class="num">
        {vertex.watermark === null
          ? vertex["input-ended"]
            ? "the input has ended"
            : "none yet"
          : `${dateTime(vertex.watermark)} (${duration(Math.max(0, job.now - vertex.watermark))} behind)`}
      </dd>
      {vertex["late-dropped"] > 0 && (
        <>
          <dt>Late records</dt>
          <dd class="num text-warn">{compact(vertex["late-dropped"])} dropped</dd>
        </>
      )}
      <dt>Parallelism</dt>
      <dd class="num">
        {vertex.parallelism} of at most {vertex.maxParallelism}
      </dd>
    </dl>
  );
}

function Chain(props: { vertex: Vertex }): JSX.Element | null {
  const { operators } = props.vertex;
  if (operators.length === 0) return null;
  return (
    <div>
      <h3>{operators.length === 1 ? "Operator" : `${operators.length} operators, chained: handed over inside one task`}</h3>
      <ol class="chain">
        {operators.map((operator) => (
          <li key={operator.uid}>
            <span class="chain-name">{pretty(operator.name)}</span>
            {operator.keyed && <span class="muted small"> keyed state</span>}
            {operator.location && <code class="chain-where">{operator.location}</code>}
          </li>
        ))}
      </ol>
    </div>
  );
}
