// The page of one job: what it is, how it is doing in one line, and its tabs.

import type { JSX } from "preact";

import { ErrorBox, Id, Page, Spinner, StateBadge, Tabs } from "../components";
import { dateTime, duration, plural } from "../format";
import { href } from "../router";
import { JobActions } from "./JobActions";
import { HealthLine } from "./HealthLine";
import { JobStats } from "./JobStats";
import { CheckpointsTab } from "./checkpoints/CheckpointsTab";
import { ConfigurationTab } from "./ConfigurationTab";
import { ExceptionsTab } from "./ExceptionsTab";
import { GraphTab } from "./graph/GraphTab";
import { lastChange, taskCounts } from "./health";
import { ended } from "./model";
import type { Job } from "./model";
import { TimelineTab } from "./TimelineTab";
import { useJobWatch } from "./watch";
import type { JobWatch } from "./watch";

const TABS = [
  ["graph", "Graph"],
  ["checkpoints", "Checkpoints"],
  ["exceptions", "Exceptions"],
  ["timeline", "Timeline"],
  ["configuration", "Configuration"],
] as const;

export function JobPage(props: { jobId: string; tab: string; rest: string[] }): JSX.Element {
  const watch = useJobWatch(props.jobId);
  const job = watch.poll.data;
  const crumbs = [{ text: "Jobs", href: "#/jobs" }];
  if (job === undefined) {
    return (
      <Page title={`Job ${props.jobId.slice(0, 8)}`} crumbs={crumbs}>
        {watch.poll.error ? (
          <ErrorBox error={watch.poll.error} title="This job cannot be shown" retry={watch.poll.reload} />
        ) : (
          <Spinner label="Loading the job" />
        )}
      </Page>
    );
  }
  return (
    <Page
      title={job.name}
      crumbs={[...crumbs, { text: job.jid.slice(0, 8) }]}
      badge={<StateFor job={job} />}
      facts={<Facts job={job} />}
      actions={<JobActions job={job} watch={watch} />}
    >
      <HealthLine jobId={job.jid} health={watch.health} stale={watch.poll.stale ? watch.poll.error : undefined} />
      <JobStats job={job} watch={watch} />
      <Tabs label="Parts of the job" active={props.tab} items={tabItems(job, watch)} />
      <Tab job={job} watch={watch} tab={props.tab} rest={props.rest} />
    </Page>
  );
}

function tabItems(job: Job, watch: JobWatch): { id: string; title: string; href: string; count?: string }[] {
  const failures = watch.exceptions.data?.exceptionHistory;
  const counts: Record<string, string> = {};
  if (failures && failures.entries.length > 0) counts["exceptions"] = `${failures.entries.length}${failures.truncated ? "+" : ""}`;
  return TABS.map(([id, title]) => ({
    id,
    title,
    href: href("jobs", job.jid, id),
    ...(counts[id] === undefined ? {} : { count: counts[id] }),
  }));
}

function Tab(props: { job: Job; watch: JobWatch; tab: string; rest: string[] }): JSX.Element {
  const { job, watch } = props;
  switch (props.tab) {
    case "graph":
      return <GraphTab job={job} watch={watch} />;
    case "checkpoints":
      return <CheckpointsTab job={job} watch={watch} selected={props.rest[0]} />;
    case "exceptions":
      return <ExceptionsTab job={job} poll={watch.exceptions} />;
    case "timeline":
      return <TimelineTab job={job} watch={watch} />;
    case "configuration":
      return <ConfigurationTab jobId={job.jid} />;
    default:
      return <ErrorBox error={new Error(`A job has no page called ${props.tab}.`)} title="No such page" />;
  }
}

function StateFor(props: { job: Job }): JSX.Element {
  const { job } = props;
  const since = lastChange(job)?.timestamp ?? job["start-time"];
  const over = ended(job);
  return (
    <span class="job-state">
      <StateBadge state={job.state} />
      <span class="muted num" title={dateTime(since)}>
        {over ? `after ${duration(job.duration)}` : `for ${duration(Math.max(0, job.now - since))}`}
      </span>
    </span>
  );
}

function Facts(props: { job: Job }): JSX.Element {
  const { job } = props;
  const widest = Math.max(0, ...job.vertices.map((vertex) => vertex.parallelism));
  const counts = taskCounts(job);
  return (
    <>
      <span>
        <Id id={job.jid} whole />
      </span>
      <span>Parallelism {widest}</span>
      <span>{plural(counts.total, "task")}</span>
      <span>{plural(job.restarts ?? 0, "restart")}</span>
      <span>Started {dateTime(job["start-time"])}</span>
    </>
  );
}
