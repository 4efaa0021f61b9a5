// What the overview and the list of jobs both show of a job.

import type { JSX } from "preact";

import { type Column, Duration, Id, StateBadge, TaskBar, When } from "../components";
import { count } from "../format";
import { href } from "../router";
import type { JobOverview, JobState } from "../types";

const OVER: ReadonlySet<JobState> = new Set(["FINISHED", "CANCELED", "FAILED"]);

/** Nothing will happen with the job any more. */
export function isOver(job: JobOverview): boolean {
  return OVER.has(job.state);
}

/** States by what needs a look first. */
const URGENCY: JobState[] = [
  "FAILING",
  "RESTARTING",
  "FAILED",
  "INITIALIZING",
  "CREATED",
  "RECONCILING",
  "CANCELLING",
  "RUNNING",
  "SUSPENDED",
  "FINISHED",
  "CANCELED",
];

export function urgency(job: JobOverview): number {
  return URGENCY.indexOf(job.state);
}

export function JobLink(props: { job: JobOverview }): JSX.Element {
  const { job } = props;
  return (
    <a class="strong" href={href("jobs", job.jid, "graph")}>
      {job.name || job.jid}
    </a>
  );
}

export const NAME: Column<JobOverview> = {
  key: "name",
  title: "Job",
  grow: true,
  sort: (job) => job.name.toLowerCase(),
  render: (job) => <JobLink job={job} />,
};

export const STATE: Column<JobOverview> = {
  key: "state",
  title: "State",
  sort: urgency,
  render: (job) => <StateBadge state={job.state} />,
};

export const TASKS: Column<JobOverview> = {
  key: "tasks",
  title: "Tasks",
  hint: "Running tasks of all tasks",
  sort: (job) => job.tasks["total"] ?? 0,
  render: (job) => {
    const { total: _, ...states } = job.tasks;
    return <TaskBar tasks={states} />;
  },
};

export const RESTARTS: Column<JobOverview> = {
  key: "restarts",
  title: "Restarts",
  hint: "How often the job went back to its last checkpoint",
  align: "right",
  sort: (job) => job.restarts ?? -1,
  render: (job) => (
    <span class={job.restarts ? "text-warn" : ""}>{count(job.restarts)}</span>
  ),
};

export const CHECKPOINT: Column<JobOverview> = {
  key: "checkpoint",
  title: "Last checkpoint",
  hint: "When the last checkpoint was complete: what a failure now would go back to",
  align: "right",
  sort: (job) => job["last-checkpoint"] ?? 0,
  render: (job) => <When ms={job["last-checkpoint"]} />,
};

export const STARTED: Column<JobOverview> = {
  key: "start",
  title: "Started",
  align: "right",
  sort: (job) => job["start-time"],
  render: (job) => <When ms={job["start-time"]} absolute />,
};

export const ENDED: Column<JobOverview> = {
  key: "end",
  title: "Ended",
  align: "right",
  sort: (job) => job["end-time"],
  render: (job) => <When ms={job["end-time"]} />,
};

export const DURATION: Column<JobOverview> = {
  key: "duration",
  title: "Duration",
  align: "right",
  sort: (job) => job.duration,
  render: (job) => <Duration ms={job.duration} />,
};

export const ID: Column<JobOverview> = {
  key: "id",
  title: "Id",
  render: (job) => <Id id={job.jid} />,
};
