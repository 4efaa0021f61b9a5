// Operations that take a while: started, then asked about by their trigger id.

import { api, ApiError } from "../api";

export interface Outcome {
  location?: string;
  checkpointId?: number;
  "failure-cause"?: { class?: string; "stack-trace"?: string };
}

interface Status {
  status: { id: string };
  operation: Outcome | null;
}

const ASK_MS = 400;

/** Start by POST and wait for the end; `statusPath` is asked with the trigger id. Raises ApiError when it fails. */
export async function run(path: string, statusPath: string, body: unknown): Promise<Outcome> {
  const started = await api.post<{ "request-id": string }>(path, body);
  for (;;) {
    const status = await api.get<Status>(`${statusPath}/${started["request-id"]}`);
    if (status.status.id === "COMPLETED") return outcomeOf(status.operation ?? {});
    await new Promise((done) => setTimeout(done, ASK_MS));
  }
}

function outcomeOf(outcome: Outcome): Outcome {
  const failure = outcome["failure-cause"];
  if (failure === undefined) return outcome;
  const code = /^LESTO-\d{4}$/.test(failure.class ?? "") ? (failure.class ?? "") : "";
  throw new ApiError(0, "Failed", failure["stack-trace"] || failure.class || "it failed", code);
}
