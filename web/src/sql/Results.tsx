import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { Badge, CodeBlock, Duration, Empty, ErrorBox, Icon, useNow } from "../components";
import { count, plural } from "../format";
import { href } from "../router";
import { type Kind, MAX_CHANGES, MAX_ROWS } from "./changelog";
import type { ResultColumn } from "./gateway";
import type { Run, RunState } from "./run";
import { title } from "./statements";

const SHOWN_CHANGES = 300;
const FRESH_MS = 600;
const MARKS: Record<Kind, [string, string]> = {
  INSERT: ["+I", "added"],
  UPDATE_BEFORE: ["-U", "was"],
  UPDATE_AFTER: ["+U", "is now"],
  DELETE: ["-D", "removed"],
};

function cell(value: unknown): JSX.Element | string {
  if (value === null || value === undefined) return <span class="null">NULL</span>;
  if (typeof value === "object") return JSON.stringify(value);
  return String(value);
}

/** Names of types as they are written in statements. */
function shortType(type: string): string {
  return type
    .replace("TIMESTAMP_WITHOUT_TIME_ZONE", "TIMESTAMP")
    .replace("TIMESTAMP_WITH_LOCAL_TIME_ZONE", "TIMESTAMP_LTZ")
    .replace("TIME_WITHOUT_TIME_ZONE", "TIME")
    .replace("INTEGER", "INT")
    .replace(/VARCHAR\(2147483647\)/, "STRING");
}

function numeric(column: ResultColumn): boolean {
  return /^(TINYINT|SMALLINT|INT|INTEGER|BIGINT|FLOAT|DOUBLE|DECIMAL)/.test(column.logicalType.type);
}

function Headings(props: { columns: readonly ResultColumn[] }): JSX.Element {
  return (
    <>
      {props.columns.map((column, i) => (
        <th key={i} scope="col" class={numeric(column) ? "right" : ""}>
          {column.name}
          <span class="type" title={`${column.logicalType.type}${column.logicalType.nullable ? "" : " NOT NULL"}`}>
            {shortType(column.logicalType.type)}
          </span>
        </th>
      ))}
    </>
  );
}

function Cells(props: { columns: readonly ResultColumn[]; fields: readonly unknown[] }): JSX.Element {
  return (
    <>
      {props.columns.map((column, i) => (
        <td key={i} class={numeric(column) ? "right num" : ""}>
          {cell(props.fields[i])}
        </td>
      ))}
    </>
  );
}

/** Keeps the newest rows in view, until the reader scrolls away from them. */
function useTail(rows: number): { current: HTMLDivElement | null } {
  const box = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  useEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const scrolled = (): void => {
      atEnd.current = element.scrollHeight - element.scrollTop - element.clientHeight < 40;
    };
    element.addEventListener("scroll", scrolled);
    return () => element.removeEventListener("scroll", scrolled);
  }, []);
  useEffect(() => {
    if (box.current && atEnd.current) box.current.scrollTop = box.current.scrollHeight;
  }, [rows]);
  return box;
}

/** The table that the changes have built; rows that just changed are marked. */
function TableView(props: { run: Run }): JSX.Element {
  const { run } = props;
  const rows = run.folded.rows();
  const box = useTail(run.folded.size);
  const fresh = run.state === "running" && run.folded.changes > rows.length ? Date.now() - FRESH_MS : Infinity;
  return (
    <div class="tablebox results" ref={box} tabIndex={0} role="group" aria-label="Result">
      {run.folded.beyond > 0 && (
        <p class="more muted">
          The {count(rows.length)} rows that changed last; {count(run.folded.beyond)} more are in the result. At most{" "}
          {count(MAX_ROWS)} are shown.
        </p>
      )}
      <table class="dense">
        <caption class="hidden">Result as a table</caption>
        <thead>
          <tr>
            <Headings columns={run.columns} />
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.id} class={row.at > fresh ? "fresh" : ""}>
              <Cells columns={run.columns} fields={row.fields} />
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The changes as they came, the newest first. */
function LogView(props: { run: Run }): JSX.Element {
  const { run } = props;
  const newest = run.log.slice(-SHOWN_CHANGES).reverse();
  return (
    <div class="tablebox results" tabIndex={0} role="group" aria-label="Changes">
      <table class="dense">
        <caption class="hidden">Changes, the newest first</caption>
        <thead>
          <tr>
            <th scope="col" class="right">
              No.
            </th>
            <th scope="col">Change</th>
            <Headings columns={run.columns} />
          </tr>
        </thead>
        <tbody>
          {newest.map(({ number, change }) => (
            <tr key={number}>
              <td class="right num muted">{count(number)}</td>
              <td class={`kind kind-${change.kind.toLowerCase()}`}>
                <code>{MARKS[change.kind][0]}</code> {MARKS[change.kind][1]}
              </td>
              <Cells columns={run.columns} fields={change.fields} />
            </tr>
          ))}
        </tbody>
      </table>
      {run.folded.changes > newest.length && (
        <p class="more muted">
          The newest {count(newest.length)} of {count(run.folded.changes)} changes; {count(MAX_CHANGES)} are kept.
        </p>
      )}
    </div>
  );
}

const STATES: Record<RunState, JSX.Element> = {
  running: (
    <Badge tone="good" icon="running">
      Running
    </Badge>
  ),
  done: (
    <Badge tone="neutral" icon="check">
      Done
    </Badge>
  ),
  cancelled: (
    <Badge tone="muted" icon="stop">
      Stopped
    </Badge>
  ),
  failed: (
    <Badge tone="bad" icon="cross">
      Failed
    </Badge>
  ),
};

/** A result of one text column is text to read: a plan, a statement. */
function asText(run: Run): string | null {
  const rows = run.folded.rows();
  if (run.isQuery || run.columns.length !== 1 || rows.length === 0) return null;
  const lines = rows.map((row) => String(row.fields[0] ?? ""));
  return lines.some((line) => line.includes("\n")) ? lines.join("\n") : null;
}

function Content(props: { run: Run; view: "table" | "log" }): JSX.Element {
  const { run } = props;
  if (run.error) return <ErrorBox error={run.error} title="The statement failed" />;
  const text = asText(run);
  if (text !== null) return <CodeBlock text={text} label="result" />;
  if (run.columns.length === 0 || run.folded.changes === 0) {
    if (run.state === "running") {
      return (
        <Empty icon="clock" title={run.job ? "The query runs; nothing has come out of it yet" : "Preparing the statement"}>
          {run.job && "Windows give their rows when they close."}
        </Empty>
      );
    }
    return <Empty icon="check" title={run.isQuery ? "No rows" : "Done"} />;
  }
  return props.view === "log" ? <LogView run={run} /> : <TableView run={run} />;
}

/** What came of one statement, live. */
export function Result(props: { run: Run }): JSX.Element {
  const { run } = props;
  const [view, setView] = useState<"table" | "log">("table");
  const now = useNow();
  return (
    <div class="result">
      <div class="toolbar panel-head">
        {STATES[run.state]}
        <span class="muted num">
          <Duration ms={(run.ended || Math.max(now, run.started)) - run.started} />
        </span>
        {run.columns.length > 0 && !run.error && (
          <span class="muted num" role="status">
            {plural(run.folded.size, "row")}
            {run.folded.changes !== run.folded.size && `, ${plural(run.folded.changes, "change")}`}
          </span>
        )}
        {run.job && <a href={href("jobs", run.job, "graph")}>Job {run.job.slice(0, 8)}</a>}
        <span class="push toolbar">
          {run.isQuery && (
            <div class="segments" role="group" aria-label="Show the result as">
              <button type="button" aria-pressed={view === "table"} onClick={() => setView("table")}>
                Table
              </button>
              <button type="button" aria-pressed={view === "log"} onClick={() => setView("log")}>
                Changes
              </button>
            </div>
          )}
          {run.state === "running" && (
            <button type="button" class="button danger" onClick={() => void run.stop()}>
              <Icon name="stop" size={14} /> Stop
            </button>
          )}
        </span>
      </div>
      <Content run={run} view={view} />
    </div>
  );
}

/** The statements of this visit, newest first, to choose which result is shown. */
export function RunList(props: { runs: readonly Run[]; shown: number; onShow: (id: number) => void }): JSX.Element {
  return (
    <ol class="runlist" aria-label="Statements that were run">
      {props.runs.map((run) => (
        <li key={run.id}>
          <button type="button" aria-pressed={run.id === props.shown} onClick={() => props.onShow(run.id)}>
            <span class={`run-dot run-${run.state}`} role="img" aria-label={run.state} />
            <code>{title(run.statement.text)}</code>
          </button>
        </li>
      ))}
    </ol>
  );
}
