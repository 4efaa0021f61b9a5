import type { JSX } from "preact";
import { useMemo } from "preact/hooks";

import { usePoll } from "../api";
import { clusterAddress, useCluster } from "../cluster";
import {
  Badge,
  Bar,
  Empty,
  Icon,
  Loading,
  Page,
  Panel,
  Spinner,
  Stat,
  StateBadge,
  Stats,
  Table,
  When,
} from "../components";
import { count, plural } from "../format";
import { href } from "../router";
import type { JobExceptions, JobOverview, JobsOverview, Overview, TaskManager, TaskManagers } from "../types";
import { CHECKPOINT, DURATION, isOver, JobLink, NAME, RESTARTS, STATE, TASKS, urgency } from "./jobs";
import { SlotSquares } from "./SlotSquares";

const LISTS_MS = 2000;
const CAUSES_MS = 15_000;
const SHOWN_JOBS = 12;
const SHOWN_FAILURES = 5;

const RUNNING = [STATE, NAME, TASKS, CHECKPOINT, RESTARTS, DURATION];

function Numbers(props: { overview: Overview }): JSX.Element {
  const { overview } = props;
  const total = overview["slots-total"];
  const free = overview["slots-available"];
  const used = total - free;
  return (
    <Stats label="The cluster in numbers">
      <Stat
        label="Slots in use"
        value={
          <>
            {count(used)}
            <span class="stat-of"> of {count(total)}</span>
          </>
        }
        note={
          <Bar
            value={used}
            max={total}
            label="Slots in use"
            tone={total > 0 && free === 0 ? "warn" : "info"}
            text={total === 0 ? "no slots" : free === 0 ? "none free" : `${count(free)} free`}
          />
        }
      />
      <Stat
        label="TaskManagers"
        value={count(overview.taskmanagers)}
        href="#/taskmanagers"
        {...(overview.taskmanagers === 0 ? { tone: "warn" as const } : {})}
        note={overview.taskmanagers === 0 ? "nothing can run" : `${plural(total, "slot")}`}
      />
      <Stat label="Running jobs" value={count(overview["jobs-running"])} href="#/jobs?show=active" note="not ended yet" />
      <Stat
        label="Failed jobs"
        value={count(overview["jobs-failed"])}
        href="#/jobs?show=failed"
        {...(overview["jobs-failed"] > 0 ? { tone: "bad" as const } : {})}
        note="gave up"
      />
      <Stat label="Finished jobs" value={count(overview["jobs-finished"])} href="#/jobs?show=finished" note="ended by themselves" />
      <Stat
        label="Cancelled jobs"
        value={count(overview["jobs-cancelled"])}
        href="#/jobs?show=canceled"
        note="ended by someone"
      />
    </Stats>
  );
}

function RunningJobs(props: { jobs: readonly JobOverview[]; overview: Overview | undefined }): JSX.Element {
  const active = useMemo(
    () =>
      props.jobs
        .filter((job) => !isOver(job))
        .sort((a, b) => urgency(a) - urgency(b) || b["start-time"] - a["start-time"]),
    [props.jobs],
  );
  const more = active.length - SHOWN_JOBS;
  return (
    <Panel title="Running jobs" side={<a href="#/jobs">All jobs</a>}>
      <Table
        caption="Running jobs"
        columns={RUNNING}
        rows={active.slice(0, SHOWN_JOBS)}
        rowKey={(job) => job.jid}
        empty={
          <Empty
            icon="jobs"
            title="No job runs"
            command={`lesto run -m ${clusterAddress(props.overview)} -d examples/word_count.py`}
          >
            Submit one from a terminal, <a href="#/submit">upload a program</a>, or{" "}
            <a href="#/sql">write a query</a>.
          </Empty>
        }
      />
      {more > 0 && (
        <p class="more">
          <a href="#/jobs?show=active">{plural(more, "more running job")}</a>
        </p>
      )}
    </Panel>
  );
}

function Cause(props: { job: JobOverview }): JSX.Element {
  const { data } = usePoll<JobExceptions>(`/jobs/${props.job.jid}/exceptions?maxExceptions=1`, CAUSES_MS);
  const cause = data?.exceptionHistory.entries[0];
  return (
    <li class="failure">
      <div class="failure-head">
        <StateBadge state={props.job.state} />
        <JobLink job={props.job} />
        <span class="muted">
          <When ms={cause?.timestamp ?? props.job["end-time"]} />
        </span>
      </div>
      {cause && (
        <p class="failure-cause mono">
          {cause.exceptionName.split("\n")[0]}
          {cause.taskName && <span class="muted"> in {cause.taskName}</span>}
        </p>
      )}
      {cause && (
        <p class="small">
          <a href={href("jobs", props.job.jid, "exceptions")}>Traceback</a>
        </p>
      )}
    </li>
  );
}

/** Jobs that gave up or are being restarted, with the last cause. */
function Failures(props: { jobs: readonly JobOverview[] }): JSX.Element {
  const failed = useMemo(
    () =>
      props.jobs
        .filter((job) => ["FAILED", "FAILING", "RESTARTING"].includes(job.state) || (job.restarts ?? 0) > 0)
        .sort((a, b) => b["last-modification"] - a["last-modification"])
        .slice(0, SHOWN_FAILURES),
    [props.jobs],
  );
  return (
    <Panel title="Failed or restarted">
      {failed.length === 0 ? (
        <p class="calm">
          <Icon name="check" /> No job has failed or been restarted.
        </p>
      ) : (
        <ul class="failures">
          {failed.map((job) => (
            <Cause key={job.jid} job={job} />
          ))}
        </ul>
      )}
    </Panel>
  );
}

function Workers(props: { workers: readonly TaskManager[]; overview: Overview | undefined }): JSX.Element {
  const { workers } = props;
  return (
    <Panel title="TaskManagers" side={<a href="#/taskmanagers">All TaskManagers</a>}>
      {workers.length === 0 ? (
        <Empty icon="workers" title="No TaskManager is registered" command="lesto taskmanager">
          Jobs wait until there are slots. Start one on each machine.
        </Empty>
      ) : (
        <ul class="workers">
          {workers.slice(0, SHOWN_JOBS).map((worker) => (
            <li key={worker.id}>
              <a href={href("taskmanagers", worker.id)}>{worker.id}</a>
              <span class="muted">{worker.path}</span>
              <SlotSquares worker={worker} />
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

function Versions(props: { overview: Overview }): JSX.Element {
  const { overview } = props;
  const ha = overview["high-availability"];
  return (
    <Panel title="Control plane" side={<a href="#/jobmanager">JobManager</a>}>
      <dl class="pairs">
        <dt>High availability</dt>
        <dd>
          {ha === "NONE" ? (
            <Badge tone="muted" icon="info" title="When this JobManager dies, its jobs are gone">
              Off
            </Badge>
          ) : (
            <Badge tone="good" icon="check">
              {ha}
            </Badge>
          )}
        </dd>
        <dt>Leader</dt>
        <dd>
          {overview["leader-address"] || "nobody leads"}
          {overview["leader-epoch"] > 0 && <span class="muted"> · epoch {overview["leader-epoch"]}</span>}
        </dd>
        <dt>Lesto</dt>
        <dd>{overview["lesto-version"]}</dd>
        <dt>Python</dt>
        <dd>{overview["python-version"]}</dd>
        <dt>REST API</dt>
        <dd>
          as Flink {overview["flink-version"]} · <a href="openapi.json">OpenAPI</a>
        </dd>
      </dl>
    </Panel>
  );
}

export function OverviewPage(): JSX.Element {
  const cluster = useCluster();
  const jobs = usePoll<JobsOverview>("/jobs/overview", LISTS_MS);
  const workers = usePoll<TaskManagers>("/taskmanagers", LISTS_MS);
  return (
    <Page title="Overview">
      <Loading poll={cluster} what="cluster">
        {(overview) => <Numbers overview={overview} />}
      </Loading>
      <Loading poll={jobs} what="jobs">
        {(data) => <RunningJobs jobs={data.jobs} overview={cluster.data} />}
      </Loading>
      <div class="columns">
        {jobs.data ? <Failures jobs={jobs.data.jobs} /> : <Spinner label="Loading jobs" />}
        <div class="stack">
          {workers.data && <Workers workers={workers.data.taskmanagers} overview={cluster.data} />}
          {cluster.data && <Versions overview={cluster.data} />}
        </div>
      </div>
    </Page>
  );
}
