import type { JSX } from "preact";

import { Badge, StateBadge } from "../../components";
import { compact, duration, percent, rate } from "../../format";
import { taskCounts } from "../health";
import type { Job, Vertex } from "../model";
import type { Rates } from "../rates";
import { ActivityStrip } from "./Activity";
import type { PlacedNode } from "./layout";
import { NODE_HEIGHT, NODE_WIDTH } from "./layout";
import { chainOf, paceOf } from "./pace";

/** One vertex of the graph: a button that opens its details. */
export function GraphNode(props: {
  at: PlacedNode;
  job: Job;
  vertex: Vertex;
  rates: Rates;
  limits: boolean;
  selected: boolean;
  isSource: boolean;
  isSink: boolean;
  onSelect: () => void;
  onMove: (key: string) => void;
}): JSX.Element {
  const { vertex, at } = props;
  const { pace, word } = paceOf(vertex, props.isSink);
  const chain = chainOf(vertex);
  return (
    <button
      type="button"
      class={`node pace-${pace} ${props.limits ? "node-limits" : ""}`}
      data-vertex={vertex.id}
      aria-pressed={props.selected}
      aria-label={describe(props)}
      style={{ left: `${at.x}px`, top: `${at.y}px`, width: `${NODE_WIDTH}px`, height: `${NODE_HEIGHT}px` }}
      onClick={props.onSelect}
      onKeyDown={(event) => {
        if (!event.key.startsWith("Arrow")) return;
        event.preventDefault();
        props.onMove(event.key);
      }}
    >
      <span class="node-head">
        <span class="node-kind">{kindOf(props)}</span>
        <span class="node-width num" title={`parallelism ${vertex.parallelism}`}>
          ×{vertex.parallelism}
        </span>
      </span>
      <span class="node-name" title={vertex.name}>
        {chain.join(" → ")}
      </span>
      <Pace vertex={vertex} pace={pace} word={word} now={props.job.now} />
      <Flow {...props} />
      {props.limits && (
        <span class="node-flag">
          <Badge tone="warn" icon="warning">
            limits the job
          </Badge>
        </span>
      )}
    </button>
  );
}

function kindOf(props: { vertex: Vertex; isSource: boolean; isSink: boolean }): string {
  const operators = props.vertex.operators.length;
  const chained = operators > 1 ? `${operators} operators, one chain` : "";
  const kind = props.isSource && props.isSink ? "Source to sink" : props.isSource ? "Source" : props.isSink ? "Sink" : "";
  return [kind, chained].filter(Boolean).join(" · ") || "Operator";
}

function Pace(props: { vertex: Vertex; pace: string; word: string; now: number }): JSX.Element {
  const { vertex } = props;
  const activity = vertex.activity;
  if (vertex.status !== "RUNNING" || activity === null) {
    return (
      <span class="node-pace">
        <StateBadge state={vertex.status} />
      </span>
    );
  }
  const share = props.pace === "held" ? activity["backpressured-max"] : props.pace === "idle" ? activity.idle : activity["busy-max"];
  return (
    <span class="node-pace">
      <span class="node-share">
        <span>
          {percent(share)} {props.word}
        </span>
        <Lag vertex={vertex} now={props.now} />
      </span>
      <ActivityStrip shares={activity} />
    </span>
  );
}

function Lag(props: { vertex: Vertex; now: number }): JSX.Element | null {
  const { vertex } = props;
  if (vertex["input-ended"]) return <span class="node-lag">input ended</span>;
  if (vertex.watermark === null || vertex.watermark === undefined) return null;
  return (
    <span class="node-lag" title="How far the vertex's event time is behind the clock">
      {duration(Math.max(0, props.now - vertex.watermark))} behind
    </span>
  );
}

function Flow(props: { vertex: Vertex; rates: Rates; isSource: boolean; isSink: boolean; job: Job }): JSX.Element {
  const { vertex, rates, job } = props;
  const flowing = job.state === "RUNNING";
  const shown = (name: string, total: number): string => {
    const now = flowing ? rates.rate(`${vertex.id}:${name}`) : undefined;
    return now === undefined ? compact(total) : rate(Math.round(now));
  };
  return (
    <span class="node-flow num">
      <span title={props.isSource ? "Records read from outside" : "Records that arrive"}>
        {props.isSource ? "read" : "in"} {shown("in", vertex.metrics["read-records"])}
      </span>
      {givesOut(vertex, props.isSink) && <span title="Records emitted">out {shown("out", vertex.metrics["write-records"])}</span>}
    </span>
  );
}

/** A chain that ends in a sink counts nothing as given out, although an edge may leave its middle. */
function givesOut(vertex: Vertex, isSink: boolean): boolean {
  return !isSink && vertex.operators.at(-1)?.kind !== "SINK";
}

function describe(props: { vertex: Vertex; job: Job; rates: Rates; limits: boolean }): string {
  const { vertex } = props;
  const { word } = paceOf(vertex);
  const counts = taskCounts({ ...props.job, vertices: [vertex] });
  const parts = [vertex.name, `parallelism ${vertex.parallelism}`, `${counts.running} running`];
  if (vertex.activity && word) {
    parts.push(`${percent(vertex.activity["busy-max"])} busy`, `${percent(vertex.activity["backpressured-max"])} backpressured`);
  }
  if (props.limits) parts.push("limits the job");
  return parts.join(", ");
}
