// Metrics of the vertex, chosen by name, each drawn while the page is open.

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { usePoll } from "../../api";
import { Empty, Icon, Loading, Panel } from "../../components";
import { compact, count } from "../../format";
import { setQuery, useRoute } from "../../router";
import { ended } from "../model";
import type { Job, MetricEntry, Vertex } from "../model";
import { LineChart } from "./LineChart";
import type { Point } from "./LineChart";

const METRICS_MS = 2_000;
const KEPT = 150;
const CHARTS_MAX = 12;
const LISTED = 200;
/** Shown when nobody has chosen: what is looked at first. */
const USUAL = ["numRecordsInPerSecond", "numRecordsOutPerSecond", "busyTimeMsPerSecond", "backPressuredTimeMsPerSecond"];

export function MetricsTab(props: { job: Job; vertex: Vertex }): JSX.Element {
  const { job, vertex } = props;
  const base = `/jobs/${job.jid}/vertices/${encodeURIComponent(vertex.id)}/metrics`;
  const names = usePoll<MetricEntry[]>(base, 0);
  return (
    <Loading poll={names} what="metrics">
      {(entries) => <Chosen base={base} names={entries.map((entry) => entry.id)} over={ended(job)} />}
    </Loading>
  );
}

function usual(names: string[]): string[] {
  return names.filter((name) => USUAL.some((end) => name === `0.${end}`)).slice(0, CHARTS_MAX);
}

function Chosen(props: { base: string; names: string[]; over: boolean }): JSX.Element {
  const { names } = props;
  const route = useRoute();
  const asked = route.query.get("metrics");
  const chosen = asked === null ? usual(names) : asked.split(",").filter((name) => names.includes(name));
  const [wanted, setWanted] = useState("");
  const toggle = (name: string): void => {
    const next = chosen.includes(name) ? chosen.filter((one) => one !== name) : [...chosen, name].slice(-CHARTS_MAX);
    setQuery({ metrics: next.length > 0 ? next.join(",") : "-" });
  };
  if (names.length === 0) return <Empty icon="table" title="No metrics are reported">{props.over ? "The job has ended." : "They come when tasks run."}</Empty>;
  const found = names.filter((name) => name.toLowerCase().includes(wanted.trim().toLowerCase()));
  return (
    <div class="metrics">
      <Panel title="Metrics" side={`${count(names.length)}`} class="metrics-list">
        <div class="panel-body stack-small">
          <label class="searchbox">
            <Icon name="search" size={14} />
            <span class="hidden">Search metrics</span>
            <input type="search" placeholder="Search metrics" value={wanted} onInput={(event) => setWanted(event.currentTarget.value)} />
          </label>
          <ul class="metrics-names" aria-label="Metrics to choose from">
            {found.slice(0, LISTED).map((name) => (
              <li key={name}>
                <label class="inline">
                  <input type="checkbox" checked={chosen.includes(name)} onChange={() => toggle(name)} />
                  <span class="metrics-name" title={name}>
                    {name}
                  </span>
                </label>
              </li>
            ))}
          </ul>
          {found.length > LISTED && <p class="muted small">{count(found.length - LISTED)} more: search to narrow them.</p>}
        </div>
      </Panel>
      <Charts base={props.base} chosen={chosen} over={props.over} />
    </div>
  );
}

function Charts(props: { base: string; chosen: string[]; over: boolean }): JSX.Element {
  const { chosen } = props;
  const path = chosen.length > 0 ? `${props.base}?get=${chosen.map(encodeURIComponent).join(",")}` : null;
  const poll = usePoll<MetricEntry[]>(path, props.over ? 0 : METRICS_MS);
  const series = useRef(new Map<string, Point[]>());
  const [, redraw] = useState(0);
  useEffect(() => {
    if (poll.data === undefined) return;
    const at = Date.now();
    for (const entry of poll.data) {
      const value = Number(entry.value);
      if (!Number.isFinite(value)) continue;
      const points = series.current.get(entry.id) ?? [];
      points.push({ at, value });
      if (points.length > KEPT) points.shift();
      series.current.set(entry.id, points);
    }
    redraw((n) => n + 1);
  }, [poll.data]);
  if (chosen.length === 0) return <Empty icon="table" title="Choose metrics at the left">They are drawn from the moment they are chosen.</Empty>;
  return (
    <div class="charts">
      {chosen.map((name) => {
        const points = series.current.get(name) ?? [];
        const text = poll.data?.find((entry) => entry.id === name)?.value;
        const value = Number(text);
        return (
          <figure key={name} class="panel chart">
            <figcaption title={name}>
              <span class="metrics-name">{name}</span>
              <strong class="num">{text === undefined ? "–" : Number.isFinite(value) ? compact(value) : text}</strong>
            </figcaption>
            <LineChart points={points} label={name} />
          </figure>
        );
      })}
    </div>
  );
}
