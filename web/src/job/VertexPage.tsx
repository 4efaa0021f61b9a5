// One vertex: its subtasks, what flows through it, where its time goes.

import type { JSX } from "preact";

import { Empty, ErrorBox, Page, Spinner, StateBadge, Stat, Stats, Tabs } from "../components";
import { bytes, compact, dateTime, duration, percent, plural, rate } from "../format";
import { href } from "../router";
import { short } from "./health";
import { limitOf } from "./limits";
import { sinks } from "./model";
import type { Job, Vertex } from "./model";
import { AccumulatorsTab } from "./vertex/AccumulatorsTab";
import { FlameTab } from "./vertex/FlameTab";
import { MetricsTab } from "./vertex/MetricsTab";
import { RecordsTab } from "./vertex/RecordsTab";
import { SubtasksTab } from "./vertex/SubtasksTab";
import { WatermarksTab } from "./vertex/WatermarksTab";
import { useJobWatch } from "./watch";
import type { JobWatch } from "./watch";

const TABS = [
  ["subtasks", "Subtasks"],
  ["records", "Records"],
  ["flamegraph", "Flame graph"],
  ["metrics", "Metrics"],
  ["watermarks", "Watermarks"],
  ["accumulators", "Accumulators"],
] as const;

export function VertexPage(props: { jobId: string; vertexId: string; rest: string[] }): JSX.Element {
  const watch = useJobWatch(props.jobId);
  const job = watch.poll.data;
  const tab = props.rest[0] ?? "subtasks";
  const crumbs = [
    { text: "Jobs", href: "#/jobs" },
    { text: job?.name ?? props.jobId.slice(0, 8), href: href("jobs", props.jobId) },
  ];
  if (job === undefined) {
    return (
      <Page title="Vertex" crumbs={crumbs}>
        {watch.poll.error ? <ErrorBox error={watch.poll.error} title="This vertex cannot be shown" retry={watch.poll.reload} /> : <Spinner label="Loading the vertex" />}
      </Page>
    );
  }
  const vertex = job.vertices.find((one) => one.id === props.vertexId);
  if (vertex === undefined) {
    return (
      <Page title="No such vertex" crumbs={crumbs}>
        <Empty icon="info" title={`The job has no vertex ${props.vertexId}`}>
          <a href={href("jobs", props.jobId)}>Go to the job's graph</a>
        </Empty>
      </Page>
    );
  }
  const page = (id: string): string => href("jobs", job.jid, "vertices", vertex.id, id);
  return (
    <Page title={short(vertex.name, 90)} crumbs={[...crumbs, { text: short(vertex.name, 40) }]} badge={<StateBadge state={vertex.status} />} facts={<Facts job={job} vertex={vertex} />}>
      <VertexStats job={job} vertex={vertex} watch={watch} />
      <Tabs label="Parts of the vertex" active={tab} items={TABS.map(([id, title]) => ({ id, title, href: page(id) }))} />
      <Tab job={job} vertex={vertex} tab={tab} />
    </Page>
  );
}

function Tab(props: { job: Job; vertex: Vertex; tab: string }): JSX.Element {
  const { job, vertex } = props;
  switch (props.tab) {
    case "subtasks":
      return <SubtasksTab job={job} vertex={vertex} />;
    case "records":
      return <RecordsTab job={job} vertex={vertex} />;
    case "flamegraph":
      return <FlameTab job={job} vertex={vertex} />;
    case "metrics":
      return <MetricsTab job={job} vertex={vertex} />;
    case "watermarks":
      return <WatermarksTab job={job} vertex={vertex} />;
    case "accumulators":
      return <AccumulatorsTab job={job} vertex={vertex} />;
    default:
      return <ErrorBox error={new Error(`A vertex has no page called ${props.tab}.`)} title="No such page" />;
  }
}

function Facts(props: { job: Job; vertex: Vertex }): JSX.Element {
  const { vertex } = props;
  const names = vertex.operators.map((operator) => operator.location).filter(Boolean);
  return (
    <>
      <span>
        Parallelism {vertex.parallelism} of at most {vertex.maxParallelism}
      </span>
      {vertex.operators.length > 0 && <span>{plural(vertex.operators.length, "operator")}</span>}
      {names[0] && (
        <span>
          made at <code>{names[0]}</code>
        </span>
      )}
      {vertex["start-time"] > 0 && <span>Started {dateTime(vertex["start-time"])}</span>}
    </>
  );
}

function VertexStats(props: { job: Job; vertex: Vertex; watch: JobWatch }): JSX.Element {
  const { job, vertex, watch } = props;
  const { activity, metrics } = vertex;
  const running = job.state === "RUNNING";
  const flow = (name: string): number | undefined => (running ? watch.rates.rate(`${vertex.id}:${name}`) : undefined);
  const found = running ? limitOf(job) : null;
  const isSink = sinks(job).some((one) => one.id === vertex.id);
  const limits = found?.kind === "vertex" && found.vertex.id === vertex.id;
  const shown = (value: number | undefined): string => rate(value === undefined ? undefined : Math.round(value));
  return (
    <Stats label="Figures of the vertex">
      <Stat
        label="Busy"
        value={activity ? percent(activity.busy) : "–"}
        note={limits ? "it limits the job" : activity ? `${percent(activity.idle)} idle` : "no report"}
        {...(limits ? { tone: "warn" as const } : {})}
      />
      <Stat
        label="Backpressured"
        value={activity ? percent(activity.backpressured) : "–"}
        note={activity && activity["backpressured-max"] > 0.3 ? "waits for those behind it" : "not held up"}
      />
      <Stat label="Records in" value={shown(flow("in"))} note={`${compact(metrics["read-records"])}, ${bytes(metrics["read-bytes"])} in all`} />
      <Stat
        label="Records out"
        value={isSink ? "–" : shown(flow("out"))}
        note={isSink ? "it ends in a sink" : `${compact(metrics["write-records"])}, ${bytes(metrics["write-bytes"])} in all`}
      />
      <Stat
        label="Event time behind"
        value={vertex.watermark === null || vertex.watermark === undefined ? "–" : duration(Math.max(0, job.now - vertex.watermark))}
        note={vertex["input-ended"] ? "the input has ended" : vertex.watermark ? dateTime(vertex.watermark) : "no watermark yet"}
      />
    </Stats>
  );
}
