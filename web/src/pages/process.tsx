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
import { bytes, count, duration, plural } from "../format";
import { href, navigate } from "../router";
import type { ConfigEntry, LogFiles, Metric, ThreadDump } from "../types";

const LOGS_MS = 5000;
const TAIL_MS = 2000;
const METRICS_MS = 2000;
const NAMES_MS = 30_000;
const ASKED_METRICS = 100;
/** What the viewer reads of a log at first, counted from its end; it keeps up to twice as much. */
const TAIL_BYTES = 200_000;

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
  /** The beginning of the file is left out. */
  cut: boolean;
}

/** Reads the end of a log first, and then what was added to it. */
class LogReader {
  private text = "";
  private next = 0;
  private cut = false;
  private decoder = new TextDecoder();
  private begun = false;

  constructor(private readonly path: string) {}

  async read(signal: AbortSignal): Promise<Tail> {
    const from = this.begun ? this.next : -TAIL_BYTES;
    const response = await send(`${this.path}?offset=${from}`, { signal });
    const content = new Uint8Array(await response.arrayBuffer());
    const size = Number(response.headers.get("X-Log-Size") ?? content.length);
    if (this.begun && size < this.next) {
      // The file was rotated: a new one began.
      Object.assign(this, { text: "", next: 0, begun: false, decoder: new TextDecoder() });
      return this.read(signal);
    }
    const start = Number(response.headers.get("X-Log-Offset") ?? 0);
    if (!this.begun) this.cut = start > 0;
    this.begun = true;
    this.next = start + content.length;
    this.text += this.decoder.decode(content, { stream: true });
    if (this.text.length > 2 * TAIL_BYTES) {
      this.text = this.text.slice(-TAIL_BYTES);
      this.cut = true;
    }
    return { text: this.text, cut: this.cut };
  }
}

/** The end of a log, read on again and again while it is followed. */
function useTail(path: string, follow: boolean): [Tail, () => void] {
  const [tail, setTail] = useState<Tail>({ cut: false });
  const [turn, setTurn] = useState(0);
  const reader = useMemo(() => new LogReader(path), [path]);
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async (): Promise<void> => {
      try {
        if (!document.hidden) setTail(await reader.read(abort.signal));
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
  }, [reader, follow, turn]);
  return [tail, () => setTurn(turn + 1)];
}

/** A line of Lesto's log: time, level, event, logger, and what goes with it. */
const LINE = /^(\d{4}-\d\d-\d\dT[\d:.]+Z?)\s+\[(\w+)\s*\]\s+(.*?)(\s+\[[\w.]+\])?((?:\s+[\w.]+=.*)?)$/;
const LEVELS: Record<string, string> = { warning: "line-warn", error: "line-bad", critical: "line-bad" };

function Line(props: { text: string }): JSX.Element {
  const found = LINE.exec(props.text);
  if (!found) return <span class="log-line">{`${props.text}\n`}</span>;
  const [, time = "", level = "", event = "", logger = "", rest = ""] = found;
  return (
    <span class={`log-line ${LEVELS[level.toLowerCase()] ?? ""}`}>
      <span class="log-time">{time.replace("T", " ").replace(/(\.\d{3})\d*Z?$/, "$1")}</span>{" "}
      <span class="log-level">{level.padEnd(8)}</span> <strong>{event.trim()}</strong>
      <span class="log-rest">
        {rest}
        {logger && ` ${logger.trim()}`}
      </span>
      {"\n"}
    </span>
  );
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
          {tail.cut && ", the end of the file"}
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
        <pre ref={box} class="log" tabIndex={0} role="group" aria-label={`Log ${props.name}`} onScroll={scrolled}>
          {lines.length === 1 && lines[0] === "" ? (
            <span class="muted">Nothing was written yet.</span>
          ) : (
            lines.map((line, i) => <Line key={i} text={line} />)
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

interface Thread {
  name: string;
  /** What it runs, when it runs a task. */
  doing: string;
  stack: string;
}

interface Process {
  name: string;
  threads: Thread[];
}

/** Threads by process: those of slots are called "<slot>: <thread>". Who runs a task comes first. */
function processesOf(dump: ThreadDump): Process[] {
  const found = new Map<string, Thread[]>();
  for (const info of dump.threadInfos) {
    const [, slot = "", name = info.threadName] = /^(slot-[^:]+): (.*)$/.exec(info.threadName) ?? [];
    const [head = "", ...lines] = info.stringifiedThreadInfo.split("\n");
    const doing = /"\s*(?:daemon )?running (.*)$/.exec(head)?.[1] ?? "";
    const thread = { name, doing, stack: lines.join("\n").trimEnd() };
    const threads = found.get(slot);
    if (threads) threads.push(thread);
    else found.set(slot, [thread]);
  }
  const busy = (threads: readonly Thread[]): boolean => threads.some((thread) => thread.doing !== "");
  return [...found]
    .map(([name, threads]) => ({
      name,
      threads: [...threads].sort((a, b) => Number(b.doing !== "") - Number(a.doing !== "")),
    }))
    .sort((a, b) => Number(busy(b.threads)) - Number(busy(a.threads)));
}

/** The stacks of all threads, now. */
export function Threads(props: { base: string; name: string }): JSX.Element {
  const dump = usePoll<ThreadDump>(`${props.base}/thread-dump`, 0);
  const [search, setSearch] = useState("");
  const wanted = search.trim().toLowerCase();
  const matches = (thread: Thread): boolean =>
    `${thread.name} ${thread.doing} ${thread.stack}`.toLowerCase().includes(wanted);
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
          const shown = processesOf(data)
            .map((process) => ({ ...process, threads: process.threads.filter(matches) }))
            .filter((process) => process.threads.length > 0);
          return (
            <>
              {data.unanswered && data.unanswered.length > 0 && (
                <p class="text-warn small">Did not answer: {data.unanswered.join("; ")}</p>
              )}
              {shown.map((process) => (
                <Panel key={process.name} title={process.name || props.name} side={plural(process.threads.length, "thread")}>
                  <div class="threads">
                    {process.threads.map((thread, i) => (
                      <details key={`${thread.name}-${i}`} open={thread.doing !== "" || wanted !== ""}>
                        <summary>
                          {thread.name} {thread.doing && <span class="text-good">runs {thread.doing}</span>}
                        </summary>
                        <CodeBlock text={thread.stack} label={`stack of ${thread.name}`} maxHeight={360} />
                      </details>
                    ))}
                  </div>
                </Panel>
              ))}
              {shown.length === 0 && <Empty icon="search" title="No thread matches" />}
            </>
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
    render: (metric) => <code>{metric.id.replace(/^slot\.\d+\./, "")}</code>,
  },
  {
    key: "value",
    title: "Value",
    align: "right",
    sort: (metric) => Number(metric.value ?? Number.NaN),
    render: (metric) => metricText(metric),
  },
];

function metricText(metric: Metric): string {
  const value = Number(metric.value);
  if (metric.value === undefined || metric.value === "") return "–";
  if (!Number.isFinite(value)) return metric.value;
  if (/bytes|memory/i.test(metric.id) && !/second|ratio|count/i.test(metric.id)) return bytes(value);
  if (/CPU\.Time$/.test(metric.id)) return duration(value / 1e6); // nanoseconds, as Flink's
  if (/GarbageCollector\.\w+\.Time$|Ms(_p\d+)?$/.test(metric.id)) return duration(value);
  return Number.isInteger(value) ? count(value) : value.toPrecision(5).replace(/\.?0+$/, "");
}

/** The process that a metric is of: "slot.0", or "" for the one that was asked. */
function scopeOf(id: string): string {
  return /^slot\.\d+(?=\.)/.exec(id)?.[0] ?? "";
}

/** Every metric of a process by name, with a search. */
export function Metrics(props: { base: string; name: string }): JSX.Element {
  const [search, setSearch] = useState("");
  const [scope, setScope] = useState("");
  const names = usePoll<Metric[]>(`${props.base}/metrics`, NAMES_MS);
  const wanted = search.trim().toLowerCase();
  const ids = (names.data ?? []).map((metric) => metric.id);
  const scopes = [...new Set(ids.map(scopeOf))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const found = ids.filter((id) => scopeOf(id) === scope && id.toLowerCase().includes(wanted));
  const asked = found.slice(0, ASKED_METRICS);
  const path = asked.length > 0 ? `${props.base}/metrics?get=${asked.map(encodeURIComponent).join(",")}` : null;
  const values = usePoll<Metric[]>(path, METRICS_MS);
  const shown = values.data ?? asked.map((id) => ({ id }));
  return (
    <Loading poll={names} what="metrics">
      {() => (
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
            {scopes.length > 1 && (
              <div class="segments" role="group" aria-label="Process">
                {scopes.map((one) => (
                  <button key={one} type="button" aria-pressed={one === scope} onClick={() => setScope(one)}>
                    {one === "" ? props.name : one.replace(".", " ")}
                  </button>
                ))}
              </div>
            )}
            <span class="muted small">
              {plural(found.length, "metric")}
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
              empty={<Empty icon="search" title={ids.length === 0 ? "The process has no metrics yet" : "No metric matches"} />}
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

