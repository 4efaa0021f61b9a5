// Flink's SQL Gateway protocol: a session, statements as operations, results in pages.

import { api, ApiError } from "../api";
import type { Change } from "./changelog";

const BASE = "/sql/v3";
const SESSION_KEY = "lesto-sql-session";
const WAIT_MS = [50, 100, 200, 400];

export interface ResultColumn {
  name: string;
  logicalType: { type: string; nullable: boolean };
  comment?: string | null;
}

interface ResultPage {
  results?: { columns: ResultColumn[]; data: Change[]; rowFormat?: string };
  resultType: "NOT_READY" | "PAYLOAD" | "EOS";
  nextResultUri?: string | null;
  jobID?: string | null;
  isQueryResult?: boolean;
  resultKind?: "SUCCESS" | "SUCCESS_WITH_CONTENT";
}

export interface Listener {
  columns(columns: ResultColumn[], isQuery: boolean): void;
  changes(changes: Change[]): void;
  job(id: string): void;
}

/** Fails when the session has ended: its temporary tables and settings are gone with it. */
export class SessionLost extends Error {
  constructor() {
    super("The SQL session had ended: what it knew of temporary tables and settings is gone. A new one was opened.");
  }
}

function storedSession(): string {
  return sessionStorage.getItem(SESSION_KEY) ?? "";
}

let opening: Promise<string> | null = null;

async function open(): Promise<string> {
  const { sessionHandle } = await api.post<{ sessionHandle: string }>(`${BASE}/sessions`, {
    sessionName: "dashboard",
  });
  sessionStorage.setItem(SESSION_KEY, sessionHandle);
  return sessionHandle;
}

/** The tab's session; opened at first use, found again after the page was loaded anew. */
export async function session(): Promise<string> {
  const stored = storedSession();
  if (stored) return stored;
  opening ??= open().finally(() => {
    opening = null;
  });
  return opening;
}

/** Closed, idle for too long (404), or its process has ended (410). */
function isGone(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 404 || error.status === 410);
}

/** Tell the server that the session is still wanted; whether it still exists. */
export async function heartbeat(): Promise<boolean> {
  const stored = storedSession();
  if (!stored) return true;
  try {
    await api.post(`${BASE}/sessions/${stored}/heartbeat`);
    return true;
  } catch (error) {
    if (!isGone(error)) return true; // no answer is no end
    sessionStorage.removeItem(SESSION_KEY);
    return false;
  }
}

async function inSession<T>(ask: (handle: string) => Promise<T>): Promise<T> {
  const handle = await session();
  try {
    return await ask(handle);
  } catch (error) {
    if (!isGone(error)) throw error;
    if (await heartbeat()) throw error; // another thing was not found
    await session();
    throw new SessionLost();
  }
}

export interface Operation {
  session: string;
  handle: string;
}

export async function execute(statement: string): Promise<Operation> {
  return inSession(async (handle) => {
    const { operationHandle } = await api.post<{ operationHandle: string }>(`${BASE}/sessions/${handle}/statements`, {
      statement,
    });
    return { session: handle, handle: operationHandle };
  });
}

function path(operation: Operation): string {
  return `${BASE}/sessions/${operation.session}/operations/${operation.handle}`;
}

export async function cancel(operation: Operation): Promise<void> {
  await api.post(`${path(operation)}/cancel`);
}

export async function close(operation: Operation): Promise<void> {
  await api.del(`${path(operation)}/close`);
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function tokenOf(uri: string): number | null {
  const found = /\/result\/(\d+)/.exec(uri);
  return found ? Number(found[1]) : null;
}

/** Read the results to their end, or until told to stop. */
export async function follow(operation: Operation, listener: Listener, signal: AbortSignal): Promise<void> {
  let token: number | null = 0;
  let idle = 0;
  let known = false;
  let job = "";
  while (token !== null && !signal.aborted) {
    const page: ResultPage = await api.get<ResultPage>(`${path(operation)}/result/${token}?rowFormat=JSON`, signal);
    if (page.jobID && page.jobID !== job) {
      job = page.jobID;
      listener.job(job);
    }
    if (page.results && !known && page.resultType !== "NOT_READY") {
      known = true;
      listener.columns(page.results.columns, page.isQueryResult ?? false);
    }
    const data = page.results?.data ?? [];
    if (data.length > 0) listener.changes(data);
    if (page.resultType === "EOS") return;
    token = page.nextResultUri ? tokenOf(page.nextResultUri) : page.resultType === "NOT_READY" ? token : null;
    idle = data.length > 0 ? 0 : Math.min(idle + 1, WAIT_MS.length);
    if (idle > 0) await pause(WAIT_MS[idle - 1] ?? 400, signal);
  }
}

/** Run a statement whose result is small, and return its rows. */
export async function ask(statement: string, signal: AbortSignal): Promise<unknown[][]> {
  const operation = await execute(statement);
  const rows: unknown[][] = [];
  try {
    await follow(
      operation,
      {
        columns: () => undefined,
        changes: (changes) => rows.push(...changes.map((change) => change.fields)),
        job: () => undefined,
      },
      signal,
    );
  } finally {
    // Whether it is closed now or with the session does not matter to who asked.
    void close(operation).catch(() => undefined);
  }
  return rows;
}
