// Where the graph's boxes and lines stand: dagre's layered layout, left to right. Computed again only when the graph
// itself has changed, so that live figures never move anything.

import { Graph, layout as dagre } from "@dagrejs/dagre";

import type { PlanInput, PlanNode } from "../model";

export const NODE_WIDTH = 268;
export const NODE_HEIGHT = 148;
const LABEL_WIDTH = 104;
const LABEL_HEIGHT = 40;

export interface PlacedNode {
  id: string;
  x: number;
  y: number;
}

export interface PlacedEdge {
  key: string;
  from: string;
  to: string;
  input: PlanInput;
  /** A path of SVG. */
  path: string;
  labelX: number;
  labelY: number;
}

export interface Placed {
  width: number;
  height: number;
  nodes: PlacedNode[];
  edges: PlacedEdge[];
  /** Ids left to right, top to bottom: the order of the Tab key. */
  order: string[];
}

/** What the layout depends on. */
export function shapeOf(nodes: readonly PlanNode[]): string {
  return nodes.map((node) => `${node.id}<${(node.inputs ?? []).map((input) => `${input.id}.${input.num}`).join()}`).join(";");
}

export function place(nodes: readonly PlanNode[]): Placed {
  const graph = new Graph({ multigraph: true });
  graph.setGraph({ rankdir: "LR", nodesep: 28, ranksep: 40, edgesep: 18, marginx: 12, marginy: 12 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const node of nodes) graph.setNode(node.id, { width: NODE_WIDTH, height: NODE_HEIGHT });
  for (const node of nodes) {
    for (const input of node.inputs ?? []) {
      if (!graph.hasNode(input.id)) continue;
      graph.setEdge(input.id, node.id, { width: LABEL_WIDTH, height: LABEL_HEIGHT, labelpos: "c" }, keyOf(node, input));
    }
  }
  dagre(graph);
  const placed = nodes.map((node) => {
    const at = graph.node(node.id);
    return { id: node.id, x: at.x - NODE_WIDTH / 2, y: at.y - NODE_HEIGHT / 2 };
  });
  const edges = nodes.flatMap((node) =>
    (node.inputs ?? []).filter((input) => graph.hasNode(input.id)).map((input): PlacedEdge => {
      const key = keyOf(node, input);
      const edge = graph.edge(input.id, node.id, key);
      return {
        key,
        from: input.id,
        to: node.id,
        input,
        path: pathOf(edge.points),
        labelX: edge.x ?? 0,
        labelY: edge.y ?? 0,
      };
    }),
  );
  const size = graph.graph();
  const order = [...placed].sort((a, b) => a.x - b.x || a.y - b.y).map((node) => node.id);
  return { width: size.width ?? NODE_WIDTH, height: size.height ?? NODE_HEIGHT, nodes: placed, edges, order };
}

function keyOf(node: PlanNode, input: PlanInput): string {
  return `${input.id}>${node.id}#${input.num}`;
}

interface Point {
  x: number;
  y: number;
}

/** A soft line through the points, level where it leaves and arrives. */
export function pathOf(points: readonly Point[]): string {
  const [first, ...rest] = points;
  if (first === undefined) return "";
  let path = `M${round(first.x)},${round(first.y)}`;
  let before = first;
  for (const point of rest) {
    const half = (point.x - before.x) / 2;
    path += `C${round(before.x + half)},${round(before.y)} ${round(point.x - half)},${round(point.y)} ${round(point.x)},${round(point.y)}`;
    before = point;
  }
  return path;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
