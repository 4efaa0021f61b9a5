// A flame graph of Python frames: own SVG, zoom by click, search, keyboard. The user's code stands out from Lesto's
// and the libraries'. Used for a vertex and for a TaskManager.

import type { JSX } from "preact";
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";

import { Empty, Icon } from "../components";
import { count, percent } from "../format";
import { shortPath } from "../job/frames";
import { build, describe, hottest, layout, search, userShare } from "./tree";
import type { Box, FlameData, FlameNode } from "./tree";

const ROW = 20;
const NARROWEST_PX = 1.5;
const CHARACTER_PX = 6.7;
const HOTTEST = 6;

export function FlameGraph(props: { data: FlameData | null; label: string }): JSX.Element {
  const { data } = props;
  const root = useMemo(() => (data !== null && data.value > 0 ? build(data) : null), [data]);
  if (root === null) {
    return (
      <Empty icon="clock" title="No samples">
        No task was running while the stacks were looked at.
      </Empty>
    );
  }
  return <Flames root={root} label={props.label} />;
}

function useWidth(): [{ current: HTMLDivElement | null }, number] {
  const ref = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(1000);
  useEffect(() => {
    const shown = ref.current;
    if (shown === null) return undefined;
    const measure = (): void => setWidth(Math.max(200, shown.clientWidth));
    measure();
    const watcher = new ResizeObserver(measure);
    watcher.observe(shown);
    return () => watcher.disconnect();
  }, []);
  return [ref, width];
}

/** The node of the new tree that stands where the old one stood, so that a refresh keeps the zoom. */
function same(root: FlameNode, old: FlameNode | null): FlameNode {
  const path: string[] = [];
  for (let node = old; node !== null && node.parent !== null; node = node.parent) path.push(`${node.label} ${node.file}`);
  let found = root;
  for (const name of path.reverse()) {
    const next = found.children.find((child) => `${child.label} ${child.file}` === name);
    if (next === undefined) return root;
    found = next;
  }
  return found;
}

function Flames(props: { root: FlameNode; label: string }): JSX.Element {
  const { root } = props;
  const [ref, width] = useWidth();
  const [zoomed, setZoomed] = useState<FlameNode>(root);
  const [wanted, setWanted] = useState("");
  const [current, setCurrent] = useState<FlameNode | null>(null);
  const focus = useMemo(() => same(root, zoomed), [root, zoomed]);
  const boxes = useMemo(() => layout(focus, NARROWEST_PX / width), [focus, width]);
  const hits = useMemo(() => search(root, wanted), [root, wanted]);
  const rows = Math.max(...boxes.map((box) => box.row)) + 1;
  const at = current !== null ? boxes.find((box) => box.node.id === current.id) : undefined;

  const key = useCallback(
    (event: KeyboardEvent) => {
      const next = moved(boxes, at ?? boxes.find((box) => box.node === focus), event.key);
      if (next !== undefined) setCurrent(next.node);
      else if (event.key === "Enter" && at !== undefined) setZoomed(at.node);
      else if (event.key === "Escape") setZoomed(root);
      else return;
      event.preventDefault();
    },
    [boxes, at, focus, root],
  );

  return (
    <div class="flame">
      <Tools root={root} focus={focus} wanted={wanted} hits={hits.share} onSearch={setWanted} onReset={() => setZoomed(root)} />
      <div ref={ref} class="flame-box">
        <svg
          class="flame-svg"
          width={width}
          height={rows * ROW}
          role="application"
          aria-label={`${props.label}. Arrow keys go from frame to frame, Enter zooms, Escape shows all.`}
          aria-roledescription="flame graph"
          tabIndex={0}
          onKeyDown={key}
          onFocus={() => {
            if (current === null) setCurrent(focus);
          }}
          onMouseLeave={() => setCurrent(null)}
        >
          {boxes.map((box) => (
            <Frame
              key={box.node.id}
              box={box}
              width={width}
              above={box.node.depth < focus.depth}
              hit={hits.ids.has(box.node.id)}
              dim={wanted.trim() !== "" && !hits.ids.has(box.node.id)}
              current={current?.id === box.node.id}
              onZoom={setZoomed}
              onEnter={setCurrent}
            />
          ))}
        </svg>
      </div>
      <p class="flame-said" role="status">
        {current !== null ? <Said node={current} whole={root.value} /> : <span class="muted">Point at a frame, or click to zoom into it.</span>}
      </p>
      <Hottest root={root} onSearch={setWanted} />
    </div>
  );
}

function moved(boxes: readonly Box[], from: Box | undefined, key: string): Box | undefined {
  if (from === undefined) return undefined;
  const find = (node: FlameNode | null | undefined): Box | undefined =>
    node === null || node === undefined ? undefined : boxes.find((box) => box.node.id === node.id);
  const row = boxes.filter((box) => box.row === from.row).sort((a, b) => a.x - b.x);
  const index = row.indexOf(from);
  switch (key) {
    case "ArrowDown":
      return find(from.node.children[0]);
    case "ArrowUp":
      return find(from.node.parent);
    case "ArrowLeft":
      return row[index - 1];
    case "ArrowRight":
      return row[index + 1];
    default:
      return undefined;
  }
}

function Frame(props: {
  box: Box;
  width: number;
  above: boolean;
  hit: boolean;
  dim: boolean;
  current: boolean;
  onZoom: (node: FlameNode) => void;
  onEnter: (node: FlameNode) => void;
}): JSX.Element {
  const { node, x, width, row } = props.box;
  const left = x * props.width;
  const wide = Math.max(0.5, width * props.width - 1);
  const room = Math.floor((wide - 8) / CHARACTER_PX);
  const full = node.file ? `${node.label} · ${shortPath(node.file)}:${node.line}` : node.label;
  const text = room < 3 ? "" : full.length <= room ? full : node.label.length <= room ? node.label : `${node.label.slice(0, room - 1)}…`;
  const classes = ["flame-frame", `flame-${node.owner}`];
  if (props.above) classes.push("flame-above");
  if (props.hit) classes.push("flame-hit");
  if (props.dim) classes.push("flame-dim");
  if (props.current) classes.push("flame-current");
  return (
    <g class={classes.join(" ")} onClick={() => props.onZoom(node)} onMouseEnter={() => props.onEnter(node)}>
      <rect x={left} y={row * ROW} width={wide} height={ROW - 1} rx={2} />
      {text && (
        <text x={left + 4} y={row * ROW + 14}>
          {text}
        </text>
      )}
    </g>
  );
}

function Said(props: { node: FlameNode; whole: number }): JSX.Element {
  const { node, whole } = props;
  return (
    <>
      <strong>{node.label}</strong> {node.file && <code>{`${node.file}:${node.line}`}</code>}{" "}
      <span class="num">
        {percent(node.value / whole)} of the time ({count(node.value)} samples), {percent(node.self / whole)} in itself
      </span>
      <span class="hidden">{describe(node, whole)}</span>
    </>
  );
}

function Tools(props: {
  root: FlameNode;
  focus: FlameNode;
  wanted: string;
  hits: number;
  onSearch: (text: string) => void;
  onReset: () => void;
}): JSX.Element {
  return (
    <div class="toolbar flame-tools">
      <label class="searchbox">
        <Icon name="search" size={14} />
        <span class="hidden">Search frames</span>
        <input type="search" placeholder="Search functions and files" value={props.wanted} onInput={(event) => props.onSearch(event.currentTarget.value)} />
      </label>
      {props.wanted.trim() !== "" && <span class="num">{percent(props.hits)} of the time</span>}
      <button type="button" class="button" disabled={props.focus === props.root} onClick={props.onReset}>
        Show all
      </button>
      <span class="flame-legend small push">
        <span>
          <i class="flame-user" /> your code ({percent(userShare(props.root))} of the time on the stack)
        </span>
        <span>
          <i class="flame-lesto" /> Lesto
        </span>
        <span>
          <i class="flame-library" /> libraries
        </span>
      </span>
    </div>
  );
}

function Hottest(props: { root: FlameNode; onSearch: (text: string) => void }): JSX.Element | null {
  const found = useMemo(() => hottest(props.root, HOTTEST), [props.root]);
  if (found.length === 0) return null;
  return (
    <div class="flame-hottest">
      <h3>Where the time goes</h3>
      <ol>
        {found.map((one) => (
          <li key={`${one.label}${one.file}`}>
            <span class="num flame-share">{percent(one.share)}</span>
            <button type="button" class={`flame-name flame-name-${one.owner}`} onClick={() => props.onSearch(one.label)}>
              {one.label}
            </button>
            <code class="muted">{one.file ? `${shortPath(one.file)}:${one.line}` : ""}</code>
          </li>
        ))}
      </ol>
    </div>
  );
}
