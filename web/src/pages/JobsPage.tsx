import type { JSX } from "preact";
import { useMemo } from "preact/hooks";

import { usePoll } from "../api";
import { clusterAddress, useCluster } from "../cluster";
import { Empty, Icon, Loading, Page, Panel, Table } from "../components";
import { count, plural } from "../format";
import { setQuery } from "../router";
import type { JobOverview, JobsOverview } from "../types";
import { CHECKPOINT, DURATION, ENDED, ID, isOver, NAME, RESTARTS, STARTED, STATE, TASKS } from "./jobs";

const LIST_MS = 2000;
const COLUMNS = [STATE, NAME, ID, TASKS, CHECKPOINT, RESTARTS, STARTED, DURATION, ENDED];

interface Filter {
  id: string;
  title: string;
  takes: (job: JobOverview) => boolean;
}

const FILTERS: readonly Filter[] = [
  { id: "all", title: "All", takes: () => true },
  { id: "active", title: "Running", takes: (job) => !isOver(job) },
  {
    id: "trouble",
    title: "Restarting",
    takes: (job) => ["RESTARTING", "FAILING"].includes(job.state),
  },
  { id: "failed", title: "Failed", takes: (job) => job.state === "FAILED" },
  { id: "finished", title: "Finished", takes: (job) => job.state === "FINISHED" },
  { id: "canceled", title: "Cancelled", takes: (job) => job.state === "CANCELED" },
];

function matches(job: JobOverview, search: string): boolean {
  const wanted = search.trim().toLowerCase();
  return job.name.toLowerCase().includes(wanted) || job.jid.startsWith(wanted);
}

function Choice(props: { jobs: readonly JobOverview[]; filter: Filter; search: string }): JSX.Element {
  return (
    <div class="toolbar" role="search">
      <span class="searchbox">
        <Icon name="search" size={14} />
        <input
          type="search"
          aria-label="Search jobs"
          placeholder="Name, or first digits of the id"
          value={props.search}
          onInput={(event) => setQuery({ search: event.currentTarget.value })}
        />
      </span>
      <div class="segments" role="group" aria-label="Which jobs">
        {FILTERS.map((filter) => (
          <button
            key={filter.id}
            type="button"
            aria-pressed={filter.id === props.filter.id}
            onClick={() => setQuery({ show: filter.id === "all" ? null : filter.id })}
          >
            {filter.title}
            <span class="num faint-count">{count(props.jobs.filter(filter.takes).length)}</span>
          </button>
        ))}
      </div>
    </div>
  );
}

function Jobs(props: { jobs: readonly JobOverview[]; query: URLSearchParams }): JSX.Element {
  const { data: overview } = useCluster();
  const search = props.query.get("search") ?? "";
  const filter = FILTERS.find((one) => one.id === props.query.get("show")) ?? (FILTERS[0] as Filter);
  const rows = useMemo(
    () => props.jobs.filter((job) => filter.takes(job) && matches(job, search)),
    [props.jobs, filter, search],
  );
  if (props.jobs.length === 0) {
    return (
      <Panel>
        <Empty
          icon="jobs"
          title="This cluster has not had a job yet"
          command={`lesto run -m ${clusterAddress(overview)} -d examples/word_count.py`}
        >
          Submit one from a terminal, <a href="#/submit">upload a program</a>, or <a href="#/sql">write a query</a>.
        </Empty>
      </Panel>
    );
  }
  return (
    <>
      <Choice jobs={props.jobs} filter={filter} search={search} />
      <Panel>
        <Table
          caption="Jobs"
          columns={COLUMNS}
          rows={rows}
          rowKey={(job) => job.jid}
          initialSort={{ key: "start", down: true }}
          empty={
            <Empty icon="search" title="No job matches">
              {plural(props.jobs.length, "job")} in all.{" "}
              <button type="button" class="button" onClick={() => setQuery({ search: null, show: null })}>
                Show all
              </button>
            </Empty>
          }
        />
      </Panel>
    </>
  );
}

export function JobsPage(props: { query: URLSearchParams }): JSX.Element {
  const jobs = usePoll<JobsOverview>("/jobs/overview", LIST_MS);
  return (
    <Page
      title="Jobs"
      actions={
        <a class="button" href="#/submit">
          <Icon name="submit" size={14} /> Submit a job
        </a>
      }
    >
      <Loading poll={jobs} what="jobs">
        {(data) => <Jobs jobs={data.jobs} query={props.query} />}
      </Loading>
    </Page>
  );
}
