// From changes to the table that they add up to. Pure.

export type Kind = "INSERT" | "UPDATE_BEFORE" | "UPDATE_AFTER" | "DELETE";

export interface Change {
  kind: Kind;
  fields: unknown[];
}

export interface FoldedRow {
  id: number;
  fields: unknown[];
  /** When it became what it is, in ms: what just changed is marked. */
  at: number;
}

/** Rows that are kept to look at, the last changed; the others are counted only. */
export const MAX_ROWS = 1_000;
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
  /** Rows of the table that are not kept any more. */
  beyond = 0;

  apply(change: Change, now: number): void {
    this.changes += 1;
    if (change.kind === "UPDATE_BEFORE" || change.kind === "DELETE") this.remove(change);
    else this.add(change, now);
  }

  private add(change: Change, now: number): void {
    const place = change.kind === "UPDATE_AFTER" ? this.vacated.shift() : undefined;
    if (place === undefined && this.byId.size + this.vacated.length >= MAX_ROWS) this.forgetOldest();
    const id = place ?? ++this.lastId;
    this.byId.set(id, { id, fields: change.fields, at: now });
    const key = JSON.stringify(change.fields);
    const ids = this.byContent.get(key);
    if (ids) ids.push(id);
    else this.byContent.set(key, [id]);
  }

  /** A map keeps the order of insertion, and a changed row was inserted anew: the first changed longest ago. */
  private forgetOldest(): void {
    for (const row of this.byId.values()) {
      this.drop(row.id, JSON.stringify(row.fields));
      this.beyond += 1;
      return;
    }
  }

  private drop(id: number, key: string): void {
    const left = (this.byContent.get(key) ?? []).filter((one) => one !== id);
    if (left.length > 0) this.byContent.set(key, left);
    else this.byContent.delete(key);
    this.byId.delete(id);
  }

  private remove(change: Change): void {
    const key = JSON.stringify(change.fields);
    const id = this.byContent.get(key)?.at(-1);
    if (id === undefined) {
      if (this.beyond > 0) this.beyond -= 1;
      else this.unmatched += 1;
      return;
    }
    this.drop(id, key);
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
