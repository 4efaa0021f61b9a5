import type { JSX } from "preact";

import { type Column, Panel, Table } from "../components";
import { count, plural } from "../format";
import type { Plan, PlanNode } from "../types";

/** The text of a node of Flink's plans, which is HTML there. */
export function nodeText(description: string): string {
  return description
    .replace(/<br\s*\/?>/g, " ")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&amp;", "&")
    .trim();
}

interface Row {
  node: PlanNode;
  number: number;
  inputs: { from: number; how: string }[];
}

/** Nodes in an order in which inputs come first. */
function rowsOf(plan: Plan): Row[] {
  const nodes = new Map(plan.nodes.map((node) => [node.id, node]));
  const numbers = new Map<string, number>();
  const order: PlanNode[] = [];
  const visit = (node: PlanNode, above: ReadonlySet<string>): void => {
    if (numbers.has(node.id) || above.has(node.id)) return;
    const path = new Set([...above, node.id]);
    for (const input of node.inputs ?? []) {
      const source = nodes.get(input.id);
      if (source) visit(source, path);
    }
    numbers.set(node.id, order.length + 1);
    order.push(node);
  };
  for (const node of plan.nodes) visit(node, new Set());
  return order.map((node) => ({
    node,
    number: numbers.get(node.id) ?? 0,
    inputs: (node.inputs ?? []).map((input) => ({
      from: numbers.get(input.id) ?? 0,
      how: input.ship_strategy.toLowerCase(),
    })),
  }));
}

const COLUMNS: Column<Row>[] = [
  { key: "number", title: "#", render: (row) => row.number },
  { key: "name", title: "Tasks chained together", grow: true, render: (row) => nodeText(row.node.description) },
  {
    key: "inputs",
    title: "Reads from",
    render: (row) =>
      row.inputs.length > 0 ? row.inputs.map((input) => `${input.from} (${input.how})`).join(", ") : "outside",
  },
  { key: "parallelism", title: "Parallelism", align: "right", render: (row) => count(row.node.parallelism) },
];

/** What a program would run as. */
export function PlanView(props: { plan: Plan }): JSX.Element {
  const rows = rowsOf(props.plan);
  const tasks = rows.reduce((sum, row) => sum + row.node.parallelism, 0);
  return (
    <Panel title="Plan" side={`${plural(rows.length, "vertex", "vertices")}, ${plural(tasks, "task")}`}>
      <Table caption="Plan" columns={COLUMNS} rows={rows} rowKey={(row) => row.node.id} />
    </Panel>
  );
}
