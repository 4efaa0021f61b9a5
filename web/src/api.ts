// All that the dashboard knows of HTTP: relative addresses, problem+json errors, the token, polling.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";

import { connection, needToken } from "./store";

const TOKEN_KEY = "lesto-token";
const READ_TIMEOUT_MS = 30_000;
// A rescaling, an upload or a statement answers when it is through.
const WRITE_TIMEOUT_MS = 300_000;

/** What a request failed with: RFC 9457's fields, with Lesto's code and remedy. Status 0: no answer. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    message: string,
    readonly code: string = "",
    readonly remedy: string = "",
    readonly errorId: string = "",
    /** The whole problem document, for fields that one route adds (a user's traceback, a position). */
    readonly problem: Record<string, unknown> = {},
  ) {
    super(message);
    this.name = "ApiError";
  }
}

export function token(): string {
  return sessionStorage.getItem(TOKEN_KEY) ?? "";
}

export function setToken(value: string): void {
  if (value) sessionStorage.setItem(TOKEN_KEY, value);
  else sessionStorage.removeItem(TOKEN_KEY);
}

/** The address of a REST path below the folder this page was served from. */
export function address(path: string): string {
  return new URL(path.replace(/^\/+/, ""), document.baseURI.replace(/[#?].*$/, "")).toString();
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

async function problemOf(response: Response): Promise<ApiError> {
  let problem: Record<string, unknown> = {};
  try {
    const body: unknown = await response.json();
    if (body !== null && typeof body === "object") problem = body as Record<string, unknown>;
  } catch {
    // Not JSON: a proxy's page. The status says what there is to say.
  }
  const errors = Array.isArray(problem["errors"]) ? problem["errors"].map(String).join("\n") : "";
  const message = text(problem["detail"]) || errors || `the server answered ${response.status}`;
  return new ApiError(
    response.status,
    text(problem["title"]) || response.statusText || "Error",
    message,
    text(problem["code"]),
    text(problem["remedy"]),
    text(problem["error_id"]),
    problem,
  );
}

/** Send one request; the raw response, or an ApiError. A missing token is asked for once, then it is sent again. */
export async function send(path: string, init: RequestInit = {}): Promise<Response> {
  const limitMs = (init.method ?? "GET") === "GET" ? READ_TIMEOUT_MS : WRITE_TIMEOUT_MS;
  for (;;) {
    const sent = token();
    const headers = new Headers(init.headers);
    if (sent) headers.set("Authorization", `Bearer ${sent}`);
    const limit = AbortSignal.timeout(limitMs);
    const signal = init.signal ? AbortSignal.any([init.signal, limit]) : limit;
    let response: Response;
    try {
      response = await fetch(address(path), { cache: "no-store", ...init, headers, signal });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      connection.lost();
      const slow = error instanceof DOMException && error.name === "TimeoutError";
      const message = slow
        ? `the JobManager did not answer within ${limitMs / 1000} s`
        : "the JobManager does not answer";
      throw new ApiError(0, "Unreachable", message, "", "Is the JobManager running at this address?");
    }
    connection.heard();
    if (response.status === 401) {
      // Another request may have asked meanwhile: then its token is tried before the user is asked again.
      if (token() === sent) {
        setToken("");
        if (!(await needToken(sent !== ""))) throw await problemOf(response);
      }
      continue;
    }
    if (!response.ok) throw await problemOf(response);
    return response;
  }
}

async function json<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const init: RequestInit = { method };
  if (signal) init.signal = signal;
  if (body instanceof FormData) init.body = body;
  else if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "Content-Type": "application/json" };
  }
  const response = await send(path, init);
  const content = await response.text();
  return (content ? JSON.parse(content) : {}) as T;
}

export const api = {
  get: <T>(path: string, signal?: AbortSignal): Promise<T> => json<T>("GET", path, undefined, signal),
  post: <T>(path: string, body?: unknown, signal?: AbortSignal): Promise<T> =>
    json<T>("POST", path, body ?? {}, signal),
  patch: <T>(path: string, body?: unknown): Promise<T> => json<T>("PATCH", path, body),
  put: <T>(path: string, body?: unknown): Promise<T> => json<T>("PUT", path, body ?? {}),
  del: <T>(path: string): Promise<T> => json<T>("DELETE", path),
};

export interface Poll<T> {
  data?: T;
  error?: ApiError;
  /** There is data, and the last request for newer data failed. */
  stale: boolean;
  reload(): void;
}

export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError(0, "Error", error instanceof Error ? error.message : String(error));
}

/**
 * Ask for a path now and each `ms` milliseconds (0: once), never two requests at a time, and not while the page is
 * hidden. A null path asks for nothing.
 */
export function usePoll<T>(path: string | null, ms: number): Poll<T> {
  const [state, setState] = useState<{ path: string | null; data?: T; error?: ApiError }>({ path });
  const again = useRef<() => void>(() => undefined);

  useEffect(() => {
    if (path === null) return undefined;
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let running = false;

    const ask = async (): Promise<void> => {
      if (running || abort.signal.aborted) return;
      running = true;
      clearTimeout(timer);
      try {
        const data = await api.get<T>(path, abort.signal);
        if (!abort.signal.aborted) setState({ path, data });
      } catch (error) {
        if (!abort.signal.aborted) {
          const failure = asApiError(error);
          setState((old) => {
            const kept = old.path === path && failure.status !== 404 ? old.data : undefined;
            return kept === undefined ? { path, error: failure } : { path, data: kept, error: failure };
          });
        }
      } finally {
        running = false;
        if (ms > 0 && !abort.signal.aborted && !document.hidden) timer = setTimeout(() => void ask(), ms);
      }
    };
    const seen = (): void => {
      if (document.hidden) clearTimeout(timer);
      else if (ms > 0) void ask();
    };
    again.current = () => void ask();
    document.addEventListener("visibilitychange", seen);
    void ask();
    return () => {
      abort.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [path, ms]);

  const reload = useCallback(() => again.current(), []);
  // A changed path shows nothing of the old one, not even for a moment.
  const current = state.path === path ? state : { path };
  return {
    ...(current.data === undefined ? {} : { data: current.data }),
    ...(current.error === undefined ? {} : { error: current.error }),
    stale: current.data !== undefined && current.error !== undefined,
    reload,
  };
}
