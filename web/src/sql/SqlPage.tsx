import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { Empty, Icon, Page } from "../components";
import { notify } from "../store";
import { Catalog, useCatalog } from "./Catalog";
import { Editor, type EditorHandle } from "./Editor";
import { EXAMPLES } from "./examples";
import { heartbeat } from "./gateway";
import { Result, RunList } from "./Results";
import { Run } from "./run";
import { type Statement, statementAt, statements } from "./statements";

const TEXT_KEY = "lesto-sql-text";
const HEARTBEAT_MS = 60_000;
const KEPT_RUNS = 20;
/** Statements that change what can be named. */
const CHANGES_CATALOG = /^\s*(CREATE|DROP|ALTER|USE|LOAD|UNLOAD|RESET|SET)\b/i;

/** Where in the whole text an error is, when its message says "at line L, column C" of the statement. */
function placeOf(statement: Statement, message: string): { from: number; to: number } | null {
  const found = /line (\d+),? column (\d+)/i.exec(message);
  if (!found) return null;
  const lines = statement.text.split("\n").slice(0, Number(found[1]) - 1);
  const inside = lines.reduce((sum, line) => sum + line.length + 1, 0) + Number(found[2]) - 1;
  const from = statement.from + Math.min(inside, statement.text.length);
  const word = /^[\w`"']+/.exec(statement.text.slice(inside))?.[0] ?? " ";
  return { from, to: Math.min(from + word.length, statement.to) };
}

/** The session stays while the page is open; when it ended anyway, the user hears of it. */
function useHeartbeat(): void {
  useEffect(() => {
    const timer = setInterval(() => {
      void heartbeat().then((there) => {
        if (!there) notify("The SQL session has ended; the next statement opens a new one.", "error");
      });
    }, HEARTBEAT_MS);
    return () => clearInterval(timer);
  }, []);
}

function Keys(): JSX.Element {
  return (
    <span class="muted small keys">
      <kbd>Ctrl</kbd>+<kbd>Enter</kbd> runs the statement at the cursor, with <kbd>Shift</kbd> all
    </span>
  );
}

export function SqlPage(): JSX.Element {
  const editor = useRef<EditorHandle>(null);
  const [runs, setRuns] = useState<readonly Run[]>([]);
  const [shown, setShown] = useState(0);
  const [, setTick] = useState(0);
  const [busy, setBusy] = useState(false);
  const catalog = useCatalog();
  const working = useRef(false);
  const live = useRef<readonly Run[]>([]);
  live.current = runs;
  useHeartbeat();

  useEffect(
    () => () => {
      // Who leaves the page leaves its queries: a SELECT without a reader would run for ever.
      for (const run of live.current) if (run.isQuery) void run.stop();
    },
    [],
  );

  const schema = useMemo(
    () =>
      Object.fromEntries(
        (catalog.tables ?? []).map((table) => [table.name, (table.columns ?? []).map((column) => column.name)]),
      ),
    [catalog.tables],
  );

  const runOne = async (statement: Statement): Promise<boolean> => {
    const run = new Run(statement, () => setTick((old) => old + 1));
    setRuns((old) => [run, ...old].slice(0, KEPT_RUNS));
    setShown(run.id);
    await run.go();
    if (run.error) {
      const place = placeOf(statement, run.error.message);
      if (place) editor.current?.mark(place.from, place.to, run.error.message);
    } else if (CHANGES_CATALOG.test(statement.text)) catalog.reload();
    return run.state === "done";
  };

  const runAll = async (list: readonly Statement[], wrap = (text: string): string => text): Promise<void> => {
    if (list.length === 0) return;
    // A query that streams is given up for the next statement; one that is being prepared is waited for.
    await Promise.all(live.current.filter((run) => run.isQuery).map((run) => run.stop()));
    if (working.current) return;
    working.current = true;
    setBusy(true);
    editor.current?.clear();
    try {
      for (const statement of list) {
        const wrapped = wrap(statement.text);
        const from = statement.from - (wrapped.length - statement.text.length);
        if (!(await runOne({ ...statement, text: wrapped, from }))) break;
      }
    } finally {
      working.current = false;
      setBusy(false);
    }
  };

  const chosen = (): Statement[] => {
    const text = editor.current?.text() ?? "";
    const { from, to } = editor.current?.selection() ?? { from: 0, to: 0 };
    if (to > from) {
      return statements(text.slice(from, to)).map((one) => ({ ...one, from: one.from + from, to: one.to + from }));
    }
    const one = statementAt(text, from);
    return one ? [one] : [];
  };

  const current = runs.find((run) => run.id === shown);
  const preparing = busy && runs[0]?.state === "running" && !runs[0].isQuery;
  return (
    <Page title="SQL editor">
      <div class="sql">
        <Catalog catalog={catalog} onPick={(text) => editor.current?.insert(text)} />
        <div class="sql-main">
          <section class="panel" aria-label="Statements">
            <div class="toolbar panel-head">
              <button type="button" class="button primary" disabled={preparing} onClick={() => void runAll(chosen())}>
                <Icon name="running" size={14} /> Run
              </button>
              <button
                type="button"
                class="button"
                disabled={preparing}
                onClick={() => void runAll(statements(editor.current?.text() ?? ""))}
              >
                Run all
              </button>
              <button
                type="button"
                class="button"
                disabled={preparing}
                onClick={() => void runAll(chosen(), (text) => (/^\s*EXPLAIN\b/i.test(text) ? text : `EXPLAIN ${text}`))}
              >
                Explain
              </button>
              <Keys />
              <label class="inline-label push">
                <span class="hidden">Examples</span>
                <select
                  value=""
                  onChange={(event) => {
                    const example = EXAMPLES[Number(event.currentTarget.value)];
                    event.currentTarget.value = "";
                    if (example) editor.current?.replace(example.text);
                  }}
                >
                  <option value="">Examples</option>
                  {EXAMPLES.map((example, i) => (
                    <option key={example.title} value={i}>
                      {example.title}
                    </option>
                  ))}
                </select>
              </label>
            </div>
            <Editor
              handle={editor}
              initial={localStorage.getItem(TEXT_KEY) ?? EXAMPLES[1]?.text ?? ""}
              schema={schema}
              onChange={(text) => localStorage.setItem(TEXT_KEY, text)}
              onRun={() => void runAll(chosen())}
              onRunAll={() => void runAll(statements(editor.current?.text() ?? ""))}
            />
          </section>
          <section class="panel sql-result" aria-label="Results">
            {runs.length > 1 && <RunList runs={runs} shown={shown} onShow={setShown} />}
            {current ? (
              <Result key={current.id} run={current} />
            ) : (
              <Empty icon="sql" title="Results appear here, live">
                The text above can be run as it is: it makes its own data.
              </Empty>
            )}
          </section>
        </div>
      </div>
    </Page>
  );
}
