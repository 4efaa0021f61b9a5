import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { usePoll } from "../api";
import { Empty, Icon, Loading, Panel, Table } from "../components";
import { count } from "../format";

interface JobConfig {
  "execution-config"?: {
    "execution-mode"?: string;
    "restart-strategy"?: string;
    "job-parallelism"?: number;
    "object-reuse-mode"?: boolean;
    "user-config"?: Record<string, string>;
  };
}

/** All options that the job runs with. */
export function ConfigurationTab(props: { jobId: string }): JSX.Element {
  const poll = usePoll<JobConfig>(`/jobs/${encodeURIComponent(props.jobId)}/config`, 0);
  const [wanted, setWanted] = useState("");
  return (
    <Loading poll={poll} what="configuration">
      {(data) => {
        const entries = Object.entries(data["execution-config"]?.["user-config"] ?? {});
        const rows = entries
          .filter(([key, value]) => `${key} ${value}`.toLowerCase().includes(wanted.trim().toLowerCase()))
          .sort(([a], [b]) => (a < b ? -1 : 1));
        return (
          <Panel
            title="Configuration"
            side={
              <label class="searchbox">
                <Icon name="search" size={14} />
                <span class="hidden">Search options</span>
                <input type="search" placeholder="Search options" value={wanted} onInput={(event) => setWanted(event.currentTarget.value)} />
              </label>
            }
          >
            <Facts config={data} />
            <Table
              caption="Options of the job"
              dense
              columns={[
                { key: "key", title: "Option", render: ([key]) => <code>{key}</code>, sort: ([key]) => key },
                { key: "value", title: "Value", grow: true, render: ([, value]) => <code class="breakable">{value}</code> },
              ]}
              rows={rows}
              rowKey={([key]) => key}
              limit={500}
              empty={<Empty title={wanted ? `No option of ${count(entries.length)} matches` : "The job sets no options: the cluster's and the defaults hold"} />}
            />
          </Panel>
        );
      }}
    </Loading>
  );
}

function Facts(props: { config: JobConfig }): JSX.Element | null {
  const execution = props.config["execution-config"];
  if (execution === undefined) return null;
  const facts: [string, string][] = [];
  if (execution["restart-strategy"]) facts.push(["Restart strategy", execution["restart-strategy"]]);
  if (execution["job-parallelism"] !== undefined && execution["job-parallelism"] > 0) facts.push(["Default parallelism", String(execution["job-parallelism"])]);
  if (facts.length === 0) return null;
  return (
    <dl class="facts facts-row panel-body">
      {facts.map(([name, value]) => (
        <>
          <dt key={name}>{name}</dt>
          <dd>{value}</dd>
        </>
      ))}
    </dl>
  );
}
