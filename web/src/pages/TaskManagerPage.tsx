import type { JSX } from "preact";

import { usePoll } from "../api";
import { Bytes, Loading, Page, type TabItem, Tabs, When } from "../components";
import { count, plural } from "../format";
import { href } from "../router";
import type { TaskManagerDetails } from "../types";
import { Flames } from "./Flames";
import { Logs, Metrics, Threads } from "./process";
import { SlotsTab } from "./SlotsTab";

const DETAILS_MS = 2000;

function tabs(id: string): TabItem[] {
  return [
    { id: "slots", title: "Slots" },
    { id: "metrics", title: "Metrics" },
    { id: "logs", title: "Logs" },
    { id: "threads", title: "Threads" },
    { id: "flamegraph", title: "Flame graph" },
  ].map((tab) => ({ ...tab, href: href("taskmanagers", id, tab.id) }));
}

function Body(props: { worker: TaskManagerDetails; tab: string; rest: string[] }): JSX.Element {
  const { id } = props.worker;
  const base = `/taskmanagers/${encodeURIComponent(id)}`;
  switch (props.tab) {
    case "metrics":
      return <Metrics base={base} name="TaskManager" />;
    case "logs":
      return <Logs base={base} page={["taskmanagers", id]} name={props.rest[0]} />;
    case "threads":
      return <Threads base={base} name="TaskManager" />;
    case "flamegraph":
      return <Flames base={base} name={id} />;
    default:
      return <SlotsTab worker={props.worker} base={base} />;
  }
}

export function TaskManagerPage(props: { id: string; tab: string; rest: string[] }): JSX.Element {
  const worker = usePoll<TaskManagerDetails>(`/taskmanagers/${encodeURIComponent(props.id)}`, DETAILS_MS);
  const { data } = worker;
  return (
    <Page
      title={props.id}
      crumbs={[{ text: "TaskManagers", href: "#/taskmanagers" }, { text: props.id }]}
      facts={
        data && (
          <>
            <span>{data.path}</span>
            <span>process {data.pid}</span>
            <span>{plural(data.slotsNumber, "slot")}</span>
            <span>{count(data.hardware.cpuCores)} CPUs</span>
            <span>
              <Bytes value={data.hardware.physicalMemory} /> of memory
            </span>
            <span>
              heard <When ms={data.timeSinceLastHeartbeat} />
            </span>
          </>
        )
      }
    >
      <Loading poll={worker} what="TaskManager">
        {(shown) => (
          <>
            <Tabs items={tabs(props.id)} active={props.tab} label="Parts of the TaskManager" />
            <Body worker={shown} tab={props.tab} rest={props.rest} />
          </>
        )}
      </Loading>
    </Page>
  );
}
