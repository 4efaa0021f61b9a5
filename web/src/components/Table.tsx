import type { ComponentChildren, JSX } from "preact";
import { useMemo, useState } from "preact/hooks";

import { count } from "../format";
import { Icon } from "./Icon";

export interface Column<R> {
  key: string;
  title: string;
  /** What the column means, as a tip on its heading. */
  hint?: string;
  render: (row: R) => ComponentChildren;
  /** What to sort by; without it the column cannot be sorted. */
  sort?: (row: R) => number | string;
  /** Numbers stand at the right. */
  align?: "right";
  /** The column that takes the room that is left. */
  grow?: boolean;
  /** Cells do not wrap, and are cut off when there is no room. */
  clip?: boolean;
}

type Order = { key: string; down: boolean } | null;

function compare(a: number | string, b: number | string): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

function sorted<R>(rows: readonly R[], columns: readonly Column<R>[], order: Order): readonly R[] {
  const by = order && columns.find((column) => column.key === order.key)?.sort;
  if (!by) return rows;
  const sign = order.down ? -1 : 1;
  return [...rows].sort((a, b) => sign * compare(by(a), by(b)));
}

function Heading<R>(props: { column: Column<R>; order: Order; onSort: (order: Order) => void }): JSX.Element {
  const { column, order } = props;
  const active = order?.key === column.key;
  const className = `${column.align === "right" ? "right" : ""} ${column.grow ? "grow" : ""}`;
  if (!column.sort) {
    return (
      <th scope="col" class={className} title={column.hint}>
        {column.title}
      </th>
    );
  }
  return (
    <th scope="col" class={className} aria-sort={active ? (order.down ? "descending" : "ascending") : "none"}>
      <button
        type="button"
        class="sorter"
        title={column.hint}
        onClick={() => props.onSort({ key: column.key, down: active ? !order.down : column.align === "right" })}
      >
        {column.title}
        <Icon name={active && !order.down ? "up" : "down"} size={12} class={active ? "" : "faint"} />
      </button>
    </th>
  );
}

/** Rows under headings; headings sort. At most `limit` rows are drawn, with a button for more. */
export function Table<R>(props: {
  columns: readonly Column<R>[];
  rows: readonly R[];
  rowKey: (row: R) => string;
  /** Says what the table holds to those who cannot see it. */
  caption: string;
  empty?: ComponentChildren;
  initialSort?: { key: string; down: boolean };
  limit?: number;
  rowClass?: (row: R) => string;
  dense?: boolean;
}): JSX.Element {
  const step = props.limit ?? 100;
  const [order, setOrder] = useState<Order>(props.initialSort ?? null);
  const [shown, setShown] = useState(step);
  const rows = useMemo(() => sorted(props.rows, props.columns, order), [props.rows, props.columns, order]);
  if (rows.length === 0 && props.empty !== undefined) return <>{props.empty}</>;
  return (
    <div class="tablebox" role="group" aria-label={props.caption} tabIndex={0}>
      <table class={props.dense ? "dense" : ""}>
        <caption class="hidden">{props.caption}</caption>
        <thead>
          <tr>
            {props.columns.map((column) => (
              <Heading key={column.key} column={column} order={order} onSort={setOrder} />
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, shown).map((row) => (
            <tr key={props.rowKey(row)} class={props.rowClass?.(row)}>
              {props.columns.map((column) => (
                <td
                  key={column.key}
                  class={`${column.align === "right" ? "right num" : ""} ${column.clip ? "clip" : ""}`}
                >
                  {column.render(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > shown && (
        <p class="more">
          <button type="button" class="button" onClick={() => setShown(shown + step)}>
            Show {count(Math.min(step, rows.length - shown))} more of {count(rows.length)}
          </button>
        </p>
      )}
    </div>
  );
}
