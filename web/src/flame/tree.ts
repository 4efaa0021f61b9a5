// Flame graphs as data: frames with their owner, layout, search. Pure.

import { ownerOf, shortPath } from "../job/frames";
import type { Owner } from "../job/frames";

export interface FlameData {
  name: string;
  value: number;
  children?: FlameData[];
}

export interface FlameNode {
  id: number;
  /** Function, file and line; file is empty for groups such as a task. */
  label: string;
  file: string;
  line: number;
  owner: Owner | "group";
  value: number;
  /** Samples in which this frame itself was on top. */
  self: number;
  depth: number;
  parent: FlameNode | null;
  children: FlameNode[];
}

const FRAME = /^(.*) \((.*):(\d+)\)$/;

/** Build the nodes with parents, depths and owners; children largest first. */
export function build(data: FlameData): FlameNode {
  let next = 0;
  const make = (from: FlameData, parent: FlameNode | null, depth: number): FlameNode => {
    const found = FRAME.exec(from.name);
    const node: FlameNode = {
      id: next++,
      label: found?.[1] ?? (parent === null ? "everything" : from.name),
      file: found?.[2] ?? "",
      line: Number(found?.[3] ?? 0),
      owner: found === null ? "group" : ownerOf(found[2] ?? ""),
      value: from.value,
      self: from.value,
      depth,
      parent,
      children: [],
    };
    node.children = (from.children ?? [])
      .map((child) => make(child, node, depth + 1))
      .sort((a, b) => b.value - a.value || (a.label < b.label ? -1 : 1));
    node.self = Math.max(0, from.value - node.children.reduce((sum, child) => sum + child.value, 0));
    return node;
  };
  return make(data, null, 0);
}

export interface Box {
  node: FlameNode;
  /** Shares of the whole width, 0 to 1. */
  x: number;
  width: number;
  row: number;
}

/** Boxes to draw when zoomed into `focus`: its ancestors at full width, itself, what it calls. */
export function layout(focus: FlameNode, smallest: number): Box[] {
  const boxes: Box[] = [];
  for (let node: FlameNode | null = focus.parent; node !== null; node = node.parent) {
    boxes.push({ node, x: 0, width: 1, row: node.depth });
  }
  boxes.reverse();
  const place = (node: FlameNode, x: number, width: number): void => {
    if (width < smallest) return;
    boxes.push({ node, x, width, row: node.depth });
    let at = x;
    for (const child of node.children) {
      const share = node.value > 0 ? (width * child.value) / node.value : 0;
      place(child, at, share);
      at += share;
    }
  };
  place(focus, 0, 1);
  return boxes;
}

/** Ids of the frames that contain a text, and the share of all samples that pass through one. */
export function search(root: FlameNode, text: string): { ids: Set<number>; share: number } {
  const ids = new Set<number>();
  const wanted = text.trim().toLowerCase();
  if (wanted === "") return { ids, share: 0 };
  let through = 0;
  const walk = (node: FlameNode, inside: boolean): void => {
    const hit = `${node.label} ${node.file}`.toLowerCase().includes(wanted);
    if (hit) {
      ids.add(node.id);
      if (!inside) through += node.value;
    }
    for (const child of node.children) walk(child, inside || hit);
  };
  walk(root, false);
  return { ids, share: root.value > 0 ? through / root.value : 0 };
}

/** The frames in which most time is spent themselves, largest first: one entry a function. */
export function hottest(root: FlameNode, limit: number): { label: string; file: string; line: number; owner: FlameNode["owner"]; share: number }[] {
  const found = new Map<string, { label: string; file: string; line: number; owner: FlameNode["owner"]; self: number }>();
  const walk = (node: FlameNode): void => {
    if (node.self > 0 && node.owner !== "group") {
      const key = `${node.label} ${node.file}`;
      const known = found.get(key);
      if (known !== undefined) known.self += node.self;
      else found.set(key, { label: node.label, file: node.file, line: node.line, owner: node.owner, self: node.self });
    }
    for (const child of node.children) walk(child);
  };
  walk(root);
  const whole = Math.max(1, root.value);
  return [...found.values()]
    .sort((a, b) => b.self - a.self)
    .slice(0, limit)
    .map(({ self, ...rest }) => ({ ...rest, share: self / whole }));
}

/** Share of the samples in which the user's code ran or was waited for: it is somewhere on the stack. */
export function userShare(root: FlameNode): number {
  let through = 0;
  const walk = (node: FlameNode): void => {
    if (node.owner === "user") through += node.value;
    else for (const child of node.children) walk(child);
  };
  walk(root);
  return root.value > 0 ? through / root.value : 0;
}

export function describe(node: FlameNode, whole: number): string {
  const share = whole > 0 ? (100 * node.value) / whole : 0;
  const where = node.file ? `, ${shortPath(node.file)}:${node.line}` : "";
  return `${node.label}${where}, ${share.toFixed(1)} % of the time, ${node.value} samples`;
}
