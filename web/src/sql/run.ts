// One statement on its way: what it has shown so far, and how to stop it.

import { ApiError, asApiError } from "../api";
import { type Change, Folded, MAX_CHANGES } from "./changelog";
import { cancel, close, execute, follow, type Operation, type ResultColumn } from "./gateway";
import type { Statement } from "./statements";

export type RunState = "running" | "done" | "cancelled" | "failed";

/** What a run tells whoever shows it, a few times a second at most. */
const SHOW_MS = 200;
let lastId = 0;

export class Run {
  readonly id = ++lastId;
  readonly started = Date.now();
  ended = 0;
  state: RunState = "running";
  columns: ResultColumn[] = [];
  isQuery = false;
  job = "";
  error: Error | null = null;
  readonly folded = new Folded();
  /** The newest changes, oldest first. */
  log: { number: number; change: Change }[] = [];
  private operation: Operation | null = null;
  private readonly abort = new AbortController();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private count = 0;

  constructor(
    readonly statement: Statement,
    private readonly changed: () => void,
  ) {}

  private show(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.changed();
    }, SHOW_MS);
  }

  private take(changes: Change[]): void {
    const now = Date.now();
    for (const change of changes) {
      this.count += 1;
      this.folded.apply(change, now);
      this.log.push({ number: this.count, change });
    }
    if (this.log.length > 2 * MAX_CHANGES) this.log = this.log.slice(-MAX_CHANGES);
    this.show();
  }

  /** Run to the end; never throws: the state tells. */
  async go(): Promise<void> {
    try {
      this.operation = await execute(this.statement.text);
      if (this.abort.signal.aborted) {
        await cancel(this.operation);
        return;
      }
      await follow(
        this.operation,
        {
          columns: (columns, isQuery) => {
            this.columns = columns;
            this.isQuery = isQuery;
            this.show();
          },
          changes: (changes) => this.take(changes),
          job: (id) => {
            this.job = id;
            this.show();
          },
        },
        this.abort.signal,
      );
      if (!this.abort.signal.aborted) this.state = "done";
    } catch (error) {
      if (!this.abort.signal.aborted) {
        this.state = "failed";
        this.error = error instanceof ApiError || !(error instanceof Error) ? asApiError(error) : error;
      }
    } finally {
      this.ended = Date.now();
      clearTimeout(this.timer);
      this.timer = undefined;
      // A closed operation frees what the server keeps of its results.
      if (this.operation && this.state !== "cancelled") void close(this.operation).catch(() => undefined);
      this.changed();
    }
  }

  /** Stop the statement and, when it is a query, its job. */
  async stop(): Promise<void> {
    if (this.state !== "running") return;
    this.state = "cancelled";
    this.abort.abort();
    this.changed();
    if (!this.operation) return;
    try {
      await cancel(this.operation);
      await close(this.operation);
    } catch (error) {
      // Ended by itself meanwhile; anything else is worth a word.
      if (!(error instanceof ApiError) || error.status !== 404) {
        this.error = asApiError(error);
        this.changed();
      }
    }
  }
}
