// The job's graph, live: who works, who waits, what flows.

import type { JSX } from "preact";
import { useMemo, useRef } from "preact/hooks";

import { Empty } from "../../components";
import { rate } from "../../format";
import { setQuery, useRoute } from "../../router";
import { limitOf } from "../limits";
import { sinks, sources } from "../model";
import type { Job } from "../model";
import type { JobWatch } from "../watch";
import { ActivityLegend } from "./Activity";
import { GraphNode } from "./GraphNode";
import { breadth, edgeRate } from "./pace";
import { place, shapeOf } from "./layout";
import type { Placed, PlacedEdge } from "./layout";
import { VertexDrawer } from "./VertexDrawer";
import { Viewport } from "./Viewport";

const TALLEST = 640;
const SHORTEST = 230;

export function GraphTab(props: { job: Job; watch: JobWatch }): JSX.Element {
  const { job, watch } = props;
  const route = useRoute();
  const selected = job.vertices.find((vertex) => vertex.id === route.query.get("vertex"));
  const placed = useMemo(() => place(job.plan.nodes), [shapeOf(job.plan.nodes)]);
  const plane = useRef<HTMLDivElement>(null);
  if (job.vertices.length === 0) return <Empty icon="jobs" title="The job has no vertices yet" />;
  const found = job.state === "RUNNING" ? limitOf(job) : null;
  const limiting = found?.kind === "vertex" ? found.vertex.id : null;
  const first = new Set(sources(job).map((vertex) => vertex.id));
  const last = new Set(sinks(job).map((vertex) => vertex.id));
  const height = Math.min(TALLEST, Math.max(SHORTEST, placed.height + 24));
  const focus = (from: string, key: string): void => {
    const to = neighbour(placed, from, key);
    if (to !== null) plane.current?.querySelector<HTMLElement>(`[data-vertex="${CSS.escape(to)}"]`)?.focus();
  };
  return (
    <div class={selected ? "graph graph-open" : "graph"}>
      <div class="panel graph-panel" style={{ "--graph-height": `${height}px` }}>
        <Viewport width={placed.width} height={placed.height} label="Job graph" legend={<ActivityLegend />}>
          <div ref={plane} class="graph-plane">
            <Edges placed={placed} job={job} watch={watch} />
            {placed.order.map((id) => {
              const vertex = job.vertices.find((one) => one.id === id);
              const at = placed.nodes.find((one) => one.id === id);
              if (vertex === undefined || at === undefined) return null;
              return (
                <GraphNode
                  key={id}
                  at={at}
                  job={job}
                  vertex={vertex}
                  rates={watch.rates}
                  limits={limiting === id}
                  selected={selected?.id === id}
                  isSource={first.has(id)}
                  isSink={last.has(id)}
                  onSelect={() => setQuery({ vertex: selected?.id === id ? null : id })}
                  onMove={(key) => focus(id, key)}
                />
              );
            })}
          </div>
        </Viewport>
      </div>
      {selected && <VertexDrawer job={job} vertex={selected} watch={watch} onClose={() => setQuery({ vertex: null })} />}
    </div>
  );
}

function Edges(props: { placed: Placed; job: Job; watch: JobWatch }): JSX.Element {
  const { placed, job, watch } = props;
  const flowing = job.state === "RUNNING";
  const known = placed.edges.map((edge) => ({
    edge,
    rate: flowing ? edgeRate(job, watch.rates, edge.to, edge.input) : undefined,
  }));
  return (
    <>
      <svg class="edges" width={placed.width} height={placed.height} aria-hidden="true">
        <defs>
          <marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" markerUnits="userSpaceOnUse" orient="auto">
            <path d="M0,0L8,4L0,8z" />
          </marker>
        </defs>
        {known.map((one) => (
          <path
            key={one.edge.key}
            class={one.rate !== undefined && one.rate >= 1 ? "edge edge-flows" : "edge"}
            d={one.edge.path}
            style={{ strokeWidth: `${breadth(one.rate)}px` }}
            marker-end="url(#arrow)"
          />
        ))}
      </svg>
      {known.map((one) => (
        <EdgeLabel key={one.edge.key} edge={one.edge} rate={one.rate} />
      ))}
    </>
  );
}

function EdgeLabel(props: { edge: PlacedEdge; rate: number | undefined }): JSX.Element {
  const { input } = props.edge;
  const keys = input.key_columns.length > 0 ? ` by ${input.key_columns.join(", ")}` : "";
  const side = input.side_tag ? `side output "${input.side_tag}"` : "";
  return (
    <span
      class="edge-label"
      style={{ left: `${props.edge.labelX}px`, top: `${props.edge.labelY}px` }}
      title={`${input.ship_strategy}${keys}${side ? `, ${side}` : ""}`}
    >
      <span class="edge-kind">{input.ship_strategy}</span>
      {props.rate !== undefined && <span class="num">{rate(Math.round(props.rate))}</span>}
    </span>
  );
}

/** The node that an arrow key leads to: the nearest in its direction. */
export function neighbour(placed: Placed, from: string, key: string): string | null {
  const here = placed.nodes.find((node) => node.id === from);
  if (here === undefined) return null;
  const ways: Record<string, [number, number]> = {
    ArrowLeft: [-1, 0],
    ArrowRight: [1, 0],
    ArrowUp: [0, -1],
    ArrowDown: [0, 1],
  };
  const [dx, dy] = ways[key] ?? [0, 0];
  let best: string | null = null;
  let least = Infinity;
  for (const node of placed.nodes) {
    if (node.id === from) continue;
    const along = (node.x - here.x) * dx + (node.y - here.y) * dy;
    if (along <= 1) continue;
    const aside = Math.abs((node.x - here.x) * dy) + Math.abs((node.y - here.y) * dx);
    const far = along + 2 * aside;
    if (far < least) {
      least = far;
      best = node.id;
    }
  }
  return best;
}
