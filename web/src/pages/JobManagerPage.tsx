import type { JSX } from "preact";

import { usePoll } from "../api";
import { useCluster } from "../cluster";
import { Loading, Page, Panel, type TabItem, Tabs } from "../components";
import { href } from "../router";
import type { ConfigEntry } from "../types";
import { Entries, Logs, Metrics, Threads } from "./process";

const CONFIG_MS = 30_000;
const BASE = "/jobmanager";

const TABS: TabItem[] = [
  { id: "configuration", title: "Configuration" },
  { id: "environment", title: "Environment" },
  { id: "metrics", title: "Metrics" },
  { id: "logs", title: "Logs" },
  { id: "threads", title: "Threads" },
].map((tab) => ({ ...tab, href: href("jobmanager", tab.id) }));

/** GET /jobmanager/environment: Flink's shape, of a Python process. */
interface Environment {
  jvm?: { version?: string; arch?: string; options?: string[] };
  classpath?: string[];
  [part: string]: unknown;
}

function flat(value: unknown, prefix = ""): ConfigEntry[] {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) return value.flatMap((item, i) => flat(item, `${prefix}[${i}]`));
  if (typeof value === "object") {
    return Object.entries(value).flatMap(([key, item]) => flat(item, prefix ? `${prefix}.${key}` : key));
  }
  // Flink's names, of a Java process, hold what Python has in their place.
  const key = prefix.replace(/^jvm\./, "python.").replace(/^classpath/, "sys.path");
  return [{ key, value: String(value) }];
}

function Environment(): JSX.Element {
  const environment = usePoll<Environment>(`${BASE}/environment`, 0);
  return (
    <Loading poll={environment} what="environment">
      {(data) => (
        <Panel>
          <Entries entries={flat(data)} caption="Environment" empty="The process told nothing of its environment" />
        </Panel>
      )}
    </Loading>
  );
}

function Configuration(): JSX.Element {
  const config = usePoll<ConfigEntry[]>(`${BASE}/config`, CONFIG_MS);
  return (
    <Loading poll={config} what="configuration">
      {(entries) => (
        <Panel>
          <Entries entries={entries} caption="Configuration" empty="No option is set: every option has its default" />
        </Panel>
      )}
    </Loading>
  );
}

function Body(props: { tab: string; rest: string[] }): JSX.Element {
  switch (props.tab) {
    case "environment":
      return <Environment />;
    case "metrics":
      return <Metrics base={BASE} name="JobManager" />;
    case "logs":
      return <Logs base={BASE} page={["jobmanager"]} name={props.rest[0]} />;
    case "threads":
      return <Threads base={BASE} name="JobManager" />;
    default:
      return <Configuration />;
  }
}

export function JobManagerPage(props: { tab: string; rest: string[] }): JSX.Element {
  const { data } = useCluster();
  return (
    <Page
      title="JobManager"
      facts={
        data && (
          <>
            <span>{data["leader-address"] || location.host}</span>
            <span>Lesto {data["lesto-version"]}</span>
            <span>Python {data["python-version"]}</span>
            <span>High availability: {data["high-availability"] === "NONE" ? "off" : data["high-availability"]}</span>
          </>
        )
      }
    >
      <Tabs items={TABS} active={props.tab} label="Parts of the JobManager" />
      <Body tab={props.tab} rest={props.rest} />
    </Page>
  );
}

