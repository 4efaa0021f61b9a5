import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";

import { api, asApiError } from "../../api";
import type { ApiError } from "../../api";
import { Empty, ErrorBox, Panel, Spinner } from "../../components";
import { clock, count } from "../../format";
import { FlameGraph } from "../../flame/FlameGraph";
import type { FlameData } from "../../flame/tree";
import type { Job, Vertex } from "../model";

interface Answer {
  endTimestamp: number;
  data: FlameData | null;
}

const SECONDS = [1, 3, 10];

export function FlameTab(props: { job: Job; vertex: Vertex }): JSX.Element {
  const { job, vertex } = props;
  const [subtask, setSubtask] = useState(-1);
  const [seconds, setSeconds] = useState(SECONDS[0] ?? 1);
  const [asked, setAsked] = useState(1);
  const [answer, setAnswer] = useState<Answer | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [waiting, setWaiting] = useState(true);
  const running = job.state === "RUNNING";
  useEffect(() => {
    if (!running) return undefined;
    const abort = new AbortController();
    setWaiting(true);
    const query = `duration=${seconds * 1000}${subtask >= 0 ? `&subtaskindex=${subtask}` : ""}`;
    api
      .get<Answer>(`/jobs/${job.jid}/vertices/${encodeURIComponent(vertex.id)}/flamegraph?${query}`, abort.signal)
      .then(
        (found) => {
          setAnswer(found);
          setError(null);
          setWaiting(false);
        },
        (failure: unknown) => {
          if (abort.signal.aborted) return;
          setError(asApiError(failure));
          setWaiting(false);
        },
      );
    return () => abort.abort();
  }, [asked, subtask, running, job.jid, vertex.id]);
  if (!running && answer === null) {
    return <Empty icon="clock" title="No task runs">Stacks can be looked at while the job is running.</Empty>;
  }
  return (
    <Panel
      title="Where the time goes, in Python"
      side={
        <>
          {answer && !waiting && (
            <span class="num">
              {count(answer.data?.value ?? 0)} samples until {clock(answer.endTimestamp)}
            </span>
          )}
          {waiting && <Spinner label={`Looking at the stacks for ${seconds} s`} />}
          <label>
            Subtask{" "}
            <select value={subtask} onChange={(event) => setSubtask(Number(event.currentTarget.value))}>
              <option value={-1}>all</option>
              {Array.from({ length: vertex.parallelism }, (_, i) => (
                <option key={i} value={i}>
                  {i}
                </option>
              ))}
            </select>
          </label>
          <label>
            For{" "}
            <select value={seconds} onChange={(event) => setSeconds(Number(event.currentTarget.value))}>
              {SECONDS.map((one) => (
                <option key={one} value={one}>
                  {one} s
                </option>
              ))}
            </select>
          </label>
          <button type="button" class="button primary" disabled={waiting || !running} onClick={() => setAsked(asked + 1)}>
            Look again
          </button>
        </>
      }
    >
      <div class="panel-body">
        {error && <ErrorBox error={error} title="The stacks could not be looked at" retry={() => setAsked(asked + 1)} />}
        {answer && <FlameGraph data={answer.data} label={`Python flame graph of ${vertex.name}`} />}
        {!answer && !error && <Spinner label="Looking at the stacks of the running tasks" />}
        <p class="muted small">
          Time inside a library that holds on to Python's lock is seen at the Python line that called it.
        </p>
      </div>
    </Panel>
  );
}
