// From changes to the table that they add up to. Pure.

export type Kind = "INSERT" | "UPDATE_BEFORE" | "UPDATE_AFTER" | "DELETE";

export interface Change {
  kind: Kind;
  fields: unknown[];
}

export interface FoldedRow {
  id: number;
  fields: unknown[];
  /** Number of the change that made it what it is: the newest are marked. */
  at: number;
}

/** Rows that are kept to look at; more are counted only. */
export const MAX_ROWS = 2_000;
export const MAX_CHANGES = 2_000;

/**
 * The table that a changelog has built so far. A retraction takes back one row of equal content; when an update
 * follows, its new content takes the same place, so that rows do not jump.
 */
export class Folded {
  private readonly byId = new Map<number, FoldedRow>();
  private readonly byContent = new Map<string, number[]>();
  private vacated: number[] = [];
  private lastId = 0;
  changes = 0;
  /** Retractions of rows that are not kept. */
  unmatched = 0;
  /** Rows beyond those kept. */
  beyond = 0;

  apply(change: Change): void {
    this.changes += 1;
    if (change.kind === "UPDATE_BEFORE" || change.kind === "DELETE") this.remove(change);
    else this.add(change);
  }

  private add(change: Change): void {
    const place = change.kind === "UPDATE_AFTER" ? this.vacated.shift() : undefined;
    if (place === undefined && this.byId.size + this.vacated.length >= MAX_ROWS) {
      this.beyond += 1;
      return;
    }
    const id = place ?? ++this.lastId;
    this.byId.set(id, { id, fields: change.fields, at: this.changes });
    const key = JSON.stringify(change.fields);
    const ids = this.byContent.get(key);
    if (ids) ids.push(id);
    else this.byContent.set(key, [id]);
  }

  private remove(change: Change): void {
    const key = JSON.stringify(change.fields);
    const ids = this.byContent.get(key);
    const id = ids?.pop();
    if (id === undefined) {
      if (this.beyond > 0) this.beyond -= 1;
      else this.unmatched += 1;
      return;
    }
    if (ids?.length === 0) this.byContent.delete(key);
    this.byId.delete(id);
    if (change.kind === "UPDATE_BEFORE") this.vacated.push(id);
  }

  get size(): number {
    return this.byId.size + this.beyond;
  }

  /** The kept rows in the order in which they came. */
  rows(): FoldedRow[] {
    return [...this.byId.values()].sort((a, b) => a.id - b.id);
  }
}
