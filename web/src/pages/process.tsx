// What can be asked of any process: its logs, threads, metrics. `base` is "/jobmanager" or "/taskmanagers/<id>".

import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { type ApiError, asApiError, send, usePoll } from "../api";
import {
  Bytes,
  type Column,
  CodeBlock,
  Empty,
  ErrorBox,
  Icon,
  Loading,
  Panel,
  Spinner,
  Table,
  When,
} from "../components";
import { bytes, count } from "../format";
import { href, navigate } from "../router";
import type { ConfigEntry, LogFiles, Metric, ThreadDump } from "../types";

const LOGS_MS = 5000;
const TAIL_MS = 2000;
const METRICS_MS = 2000;
/** What the viewer keeps of a log, counted from its end. */
const TAIL_CHARACTERS = 400_000;

// ------------------------------------------------------------------------------------------------ logs

type LogFile = LogFiles["logs"][number];

function fileColumns(link: (name: string) => string): Column<LogFile>[] {
  return [
    {
      key: "name",
      title: "File",
      grow: true,
      sort: (file) => file.name,
      render: (file) => <a href={link(file.name)}>{file.name}</a>,
    },
    {
      key: "size",
      title: "Size",
      align: "right",
      sort: (file) => file.size,
      render: (file) => <Bytes value={file.size} />,
    },
    {
      key: "time",
      title: "Last written",
      align: "right",
      sort: (file) => file.mtime ?? 0,
      render: (file) => <When ms={file.mtime} />,
    },
  ];
}

/** The files of a process, or one of them. */
export function Logs(props: { base: string; page: string[]; name: string | undefined }): JSX.Element {
  const files = usePoll<LogFiles>(`${props.base}/logs`, LOGS_MS);
  const link = (name: string): string => href(...props.page, "logs", name);
  if (props.name !== undefined) {
    const names = files.data?.logs.map((file) => file.name) ?? [props.name];
    return <LogViewer key={props.name} base={props.base} name={props.name} names={names} link={link} />;
  }
  return (
    <Loading poll={files} what="log files">
      {(data) => (
        <Panel>
          <Table
            caption="Log files"
            columns={fileColumns(link)}
            rows={data.logs}
            rowKey={(file) => file.name}
            empty={
              <Empty icon="info" title="This process writes no log files" command="lesto dev -D env.log.dir=./logs">
                Its log goes to standard error alone. The option <code>env.log.dir</code> names a folder for files.
              </Empty>
            }
          />
        </Panel>
      )}
    </Loading>
  );
}

interface Tail {
  text?: string;
  error?: ApiError;
  whole: number;
}

/** The end of a log, asked for again and again while it is followed. */
function useTail(path: string, follow: boolean): [Tail, () => void] {
  const [tail, setTail] = useState<Tail>({ whole: 0 });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async (): Promise<void> => {
      try {
        if (!document.hidden) {
          const response = await send(path, { signal: abort.signal });
          const text = await response.text();
          setTail({ text: text.slice(-TAIL_CHARACTERS), whole: text.length });
        }
      } catch (error) {
        if (abort.signal.aborted) return;
        setTail((old) => ({ ...old, error: asApiError(error) }));
      }
      if (follow && !abort.signal.aborted) timer = setTimeout(() => void ask(), TAIL_MS);
    };
    void ask();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [path, follow, turn]);
  return [tail, () => setTurn(turn + 1)];
}

function levelOf(line: string): string {
  const found = /\b(ERROR|CRITICAL|WARNING|WARN|error|critical|warning)\b/.exec(line.slice(0, 160));
  if (!found) return "";
  return found[0].toLowerCase().startsWith("warn") ? "line-warn" : "line-bad";
}

function LogViewer(props: {
  base: string;
  name: string;
  names: string[];
  link: (name: string) => string;
}): JSX.Element {
  const [follow, setFollow] = useState(true);
  const [search, setSearch] = useState("");
  const [tail, reload] = useTail(`${props.base}/logs/${encodeURIComponent(props.name)}`, follow);
  const box = useRef<HTMLPreElement>(null);
  const lines = useMemo(() => {
    const wanted = search.trim().toLowerCase();
    const all = (tail.text ?? "").replace(/\n$/, "").split("\n");
    return wanted ? all.filter((line) => line.toLowerCase().includes(wanted)) : all;
  }, [tail.text, search]);

  useEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines, follow]);

  const scrolled = (): void => {
    const element = box.current;
    if (!element) return;
    // Who scrolls up wants to read: following would take the line away.
    if (follow && element.scrollHeight - element.scrollTop - element.clientHeight > 60) setFollow(false);
  };

  return (
    <Panel class="logviewer">
      <div class="toolbar panel-head">
        <label class="inline-label">
          <span class="hidden">File</span>
          <select value={props.name} onChange={(event) => navigate(props.link(event.currentTarget.value))}>
            {props.names.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        <span class="searchbox">
          <Icon name="search" size={14} />
          <input
            type="search"
            aria-label="Lines with"
            placeholder="Only lines with"
            value={search}
            onInput={(event) => setSearch(event.currentTarget.value)}
          />
        </span>
        <span class="muted small num">
          {tail.text !== undefined && `${count(lines.length)} lines`}
          {tail.whole > TAIL_CHARACTERS && `, the last ${bytes(TAIL_CHARACTERS)}`}
        </span>
        <span class="push toolbar">
          <button type="button" class="button" aria-pressed={follow} onClick={() => setFollow(!follow)}>
            <Icon name={follow ? "pause" : "down"} size={14} /> {follow ? "Stop following" : "Follow"}
          </button>
          {!follow && (
            <button type="button" class="button" onClick={reload}>
              <Icon name="reload" size={14} /> Read again
            </button>
          )}
          <button
            type="button"
            class="button"
            disabled={tail.text === undefined}
            onClick={() => download(props.name, tail.text ?? "")}
          >
            Download
          </button>
        </span>
      </div>
      {tail.error && <ErrorBox error={tail.error} title="The log cannot be read" retry={reload} />}
      {tail.text === undefined && !tail.error && <Spinner label="Reading the log" />}
      {tail.text !== undefined && (
        <pre ref={box} class="log" tabIndex={0} role="region" aria-label={`Log ${props.name}`} onScroll={scrolled}>
          {lines.length === 1 && lines[0] === "" ? (
            <span class="muted">Nothing was written yet.</span>
          ) : (
            lines.map((line, i) => (
              <span key={i} class={levelOf(line)}>
                {line}
                {"\n"}
              </span>
            ))
          )}
        </pre>
      )}
    </Panel>
  );
}

function download(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}

// --------------------------------------------------------------------------------------------- threads

/** The stacks of all threads, now. */
export function Threads(props: { base: string }): JSX.Element {
  const dump = usePoll<ThreadDump>(`${props.base}/thread-dump`, 0);
  const [search, setSearch] = useState("");
  return (
    <>
      <div class="toolbar">
        <span class="searchbox">
          <Icon name="search" size={14} />
          <input
            type="search"
            aria-label="Threads with"
            placeholder="Only threads with"
            value={search}
            onInput={(event) => setSearch(event.currentTarget.value)}
          />
        </span>
        <button type="button" class="button" onClick={dump.reload}>
          <Icon name="reload" size={14} /> Take another
        </button>
      </div>
      <Loading poll={dump} what="thread dump">
        {(data) => {
          const wanted = search.toLowerCase();
          const shown = data.threadInfos.filter(
            (thread) =>
              thread.threadName.toLowerCase().includes(wanted) ||
              thread.stringifiedThreadInfo.toLowerCase().includes(wanted),
          );
          return (
            <div class="threads">
              {shown.map((thread, i) => (
                <details key={`${thread.threadName}-${i}`} class="panel" open={shown.length < 12}>
                  <summary>{thread.threadName}</summary>
                  <CodeBlock text={thread.stringifiedThreadInfo} label={`stack of ${thread.threadName}`} />
                </details>
              ))}
              {shown.length === 0 && <Empty icon="search" title="No thread matches" />}
            </div>
          );
        }}
      </Loading>
    </>
  );
}

// --------------------------------------------------------------------------------------------- metrics

const METRIC_COLUMNS: Column<Metric>[] = [
  {
    key: "id",
    title: "Metric",
    grow: true,
    sort: (metric) => metric.id,
    render: (metric) => <code>{metric.id}</code>,
  },
  {
    key: "value",
    title: "Value",
    align: "right",
    sort: (metric) => Number(metric.value ?? Number.NaN),
    render: (metric) => metricText(metric),
  },
];

export function metricText(metric: Metric): string {
  const value = Number(metric.value);
  if (metric.value === undefined || metric.value === "") return "–";
  if (!Number.isFinite(value)) return metric.value;
  if (/bytes/i.test(metric.id) && !/second|ratio/i.test(metric.id)) return bytes(value);
  return Number.isInteger(value) ? count(value) : value.toPrecision(5).replace(/\.?0+$/, "");
}

/** Every metric of a process by name, with a search. */
export function Metrics(props: { base: string; query?: string }): JSX.Element {
  const [search, setSearch] = useState("");
  const names = usePoll<Metric[]>(`${props.base}/metrics`, 30_000);
  const wanted = search.trim().toLowerCase();
  const found = (names.data ?? []).map((metric) => metric.id).filter((id) => id.toLowerCase().includes(wanted));
  const asked = found.slice(0, 100);
  const path = asked.length > 0 ? `${props.base}/metrics?get=${asked.map(encodeURIComponent).join(",")}` : null;
  const values = usePoll<Metric[]>(path, METRICS_MS);
  const shown = values.data ?? asked.map((id) => ({ id }));
  return (
    <Loading poll={names} what="metrics">
      {(all) => (
        <>
          <div class="toolbar">
            <span class="searchbox">
              <Icon name="search" size={14} />
              <input
                type="search"
                aria-label="Search metrics"
                placeholder="Search metrics"
                value={search}
                onInput={(event) => setSearch(event.currentTarget.value)}
              />
            </span>
            <span class="muted small">
              {count(found.length)} of {count(all.length)}
              {found.length > asked.length && `, the first ${asked.length} shown`}
            </span>
          </div>
          <Panel>
            <Table
              dense
              caption="Metrics"
              columns={METRIC_COLUMNS}
              rows={shown}
              rowKey={(metric) => metric.id}
              empty={<Empty icon="search" title="No metric matches" />}
            />
          </Panel>
        </>
      )}
    </Loading>
  );
}

// ----------------------------------------------------------------------------------------- configuration

const ENTRY_COLUMNS: Column<ConfigEntry>[] = [
  { key: "key", title: "Key", sort: (entry) => entry.key, render: (entry) => <code>{entry.key}</code> },
  { key: "value", title: "Value", grow: true, render: (entry) => <code class="breaks">{entry.value}</code> },
];

/** Keys and values with a search. */
export function Entries(props: { entries: readonly ConfigEntry[]; caption: string; empty: string }): JSX.Element {
  const [search, setSearch] = useState("");
  const wanted = search.trim().toLowerCase();
  const rows = props.entries.filter((entry) => `${entry.key} ${entry.value}`.toLowerCase().includes(wanted));
  if (props.entries.length === 0) return <Empty icon="info" title={props.empty} />;
  return (
    <>
      <div class="toolbar panel-head">
        <span class="searchbox">
          <Icon name="search" size={14} />
          <input
            type="search"
            aria-label={`Search: ${props.caption}`}
            placeholder="Search keys and values"
            value={search}
            onInput={(event) => setSearch(event.currentTarget.value)}
          />
        </span>
        <span class="muted small">{count(rows.length)} entries</span>
      </div>
      <Table
        dense
        caption={props.caption}
        columns={ENTRY_COLUMNS}
        rows={rows}
        rowKey={(entry) => entry.key}
        initialSort={{ key: "key", down: false }}
        limit={400}
        empty={<Empty icon="search" title="No entry matches" />}
      />
    </>
  );
}

