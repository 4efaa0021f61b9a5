// The tables that a statement can name: asked of the session by statements, as a user would.

import type { JSX } from "preact";
import { useCallback, useEffect, useState } from "preact/hooks";

import { asApiError } from "../api";
import { Empty, ErrorBox, Icon, Spinner } from "../components";
import { ask } from "./gateway";

export interface TableColumn {
  name: string;
  type: string;
  /** "PK", "WATERMARK", computed: what DESCRIBE says beside the type. */
  extra: string;
}

export interface CatalogTable {
  name: string;
  columns: TableColumn[] | null;
}

/** Tables whose columns are asked for at once, for completion; others when they are opened. */
const EAGER = 12;

export function quoted(name: string): string {
  return /^[A-Za-z_]\w*$/.test(name) ? name : `\`${name.replaceAll("`", "``")}\``;
}

function texts(row: unknown[] | undefined): string[] {
  return (row ?? []).map((value) => (value === null || value === undefined ? "" : String(value)));
}

async function columnsOf(table: string, signal: AbortSignal): Promise<TableColumn[]> {
  const rows = await ask(`DESCRIBE ${quoted(table)}`, signal);
  return rows.map((row) => {
    const [name = "", type = "", nullable = "", key = "", extras = "", watermark = ""] = texts(row);
    const extra = [key && "key", nullable.toLowerCase() === "false" && "not null", extras, watermark && "watermark"];
    return { name, type, extra: extra.filter(Boolean).join(", ") };
  });
}

export interface CatalogState {
  place: string;
  tables: CatalogTable[] | null;
  error: Error | null;
  reload(): void;
  open(table: string): void;
}

/** The tables of the session's current database. */
export function useCatalog(): CatalogState {
  const [state, setState] = useState<Omit<CatalogState, "reload" | "open">>({ place: "", tables: null, error: null });
  const [turn, setTurn] = useState(0);

  const describe = useCallback(async (name: string, signal: AbortSignal): Promise<void> => {
    const columns = await columnsOf(name, signal);
    setState((old) => ({
      ...old,
      tables: old.tables?.map((table) => (table.name === name ? { name, columns } : table)) ?? null,
    }));
  }, []);

  useEffect(() => {
    const abort = new AbortController();
    const load = async (): Promise<void> => {
      try {
        const [catalog] = texts((await ask("SHOW CURRENT CATALOG", abort.signal))[0]);
        const [database] = texts((await ask("SHOW CURRENT DATABASE", abort.signal))[0]);
        const rows = await ask("SHOW TABLES", abort.signal);
        const names = rows.map((row) => texts(row)[0] ?? "");
        setState({
          place: `${catalog ?? ""}.${database ?? ""}`,
          tables: names.map((name) => ({ name, columns: null })),
          error: null,
        });
        for (const name of names.slice(0, EAGER)) {
          if (abort.signal.aborted) return;
          await describe(name, abort.signal);
        }
      } catch (error) {
        if (!abort.signal.aborted) setState((old) => ({ ...old, error: asApiError(error) }));
      }
    };
    void load();
    return () => abort.abort();
  }, [turn, describe]);

  const open = (name: string): void => {
    const known = state.tables?.find((table) => table.name === name);
    if (!known || known.columns) return;
    describe(name, new AbortController().signal).catch((error: unknown) =>
      setState((old) => ({ ...old, error: asApiError(error) })),
    );
  };
  return { ...state, reload: useCallback(() => setTurn((old) => old + 1), []), open };
}

export function Catalog(props: { catalog: CatalogState; onPick: (text: string) => void }): JSX.Element {
  const { catalog } = props;
  return (
    <section class="panel catalog" aria-labelledby="catalog-head">
      <header class="panel-head">
        <h2 id="catalog-head">Tables</h2>
        <div class="panel-side">
          <button type="button" class="button ghost" aria-label="Read the tables again" onClick={catalog.reload}>
            <Icon name="reload" size={14} />
          </button>
        </div>
      </header>
      {catalog.place && <p class="muted small catalog-place">{catalog.place}</p>}
      {catalog.error && <ErrorBox error={catalog.error} title="No tables" retry={catalog.reload} />}
      {!catalog.tables && !catalog.error && <Spinner label="Opening a session" />}
      {catalog.tables?.length === 0 && (
        <Empty title="No tables yet">Run a CREATE TABLE, or take one of the examples.</Empty>
      )}
      {catalog.tables?.map((table) => (
        <details key={table.name} class="catalog-table" onToggle={() => catalog.open(table.name)}>
          <summary>
            <Icon name="table" size={14} />
            <span>{table.name}</span>
          </summary>
          <ul>
            {table.columns?.map((column) => (
              <li key={column.name}>
                <button type="button" title={`Insert ${column.name}`} onClick={() => props.onPick(quoted(column.name))}>
                  <span>{column.name}</span>
                  <span class="type">{column.type}</span>
                </button>
                {column.extra && <span class="muted small">{column.extra}</span>}
              </li>
            )) ?? <li class="muted small">Reading the columns</li>}
            <li>
              <button type="button" class="button" onClick={() => props.onPick(`SELECT * FROM ${quoted(table.name)};`)}>
                Insert SELECT
              </button>
            </li>
          </ul>
        </details>
      ))}
    </section>
  );
}
