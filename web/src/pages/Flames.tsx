import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";

import { api, type ApiError, asApiError } from "../api";
import { ErrorBox, Panel, Spinner } from "../components";
import { FlameGraph } from "../flame/FlameGraph";
import { clock, count } from "../format";
import type { FlameGraphData } from "../types";

const SECONDS = [1, 3, 10];

/** Where the slots of a TaskManager spend their time, looked at when the page opens and on demand. */
export function Flames(props: { base: string; name: string }): JSX.Element {
  const [seconds, setSeconds] = useState(1);
  const [asked, setAsked] = useState(0);
  const [answer, setAnswer] = useState<FlameGraphData | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [waiting, setWaiting] = useState(true);

  useEffect(() => {
    const abort = new AbortController();
    setWaiting(true);
    api
      .get<FlameGraphData>(`${props.base}/flamegraph?duration=${seconds * 1000}`, abort.signal)
      .then(
        (found) => {
          setAnswer(found);
          setError(null);
        },
        (problem: unknown) => {
          if (!abort.signal.aborted) setError(asApiError(problem));
        },
      )
      .finally(() => {
        if (!abort.signal.aborted) setWaiting(false);
      });
    return () => abort.abort();
    // A change of the duration counts from the next look.
  }, [asked, props.base]);

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
          {waiting && answer && <Spinner label={`Looking for ${seconds} s`} />}
          <label class="inline-label">
            For
            <select value={seconds} onChange={(event) => setSeconds(Number(event.currentTarget.value))}>
              {SECONDS.map((one) => (
                <option key={one} value={one}>
                  {one} s
                </option>
              ))}
            </select>
          </label>
          <button type="button" class="button primary" disabled={waiting} onClick={() => setAsked(asked + 1)}>
            Look again
          </button>
        </>
      }
    >
      <div class="panel-body stack">
        {error && <ErrorBox error={error} title="The stacks could not be looked at" retry={() => setAsked(asked + 1)} />}
        {!answer && !error && <Spinner label="Looking at the stacks of the slots" />}
        {answer && <FlameGraph data={answer.data} label={`Python flame graph of ${props.name}`} />}
        {answer?.unanswered && answer.unanswered.length > 0 && (
          <p class="text-warn small">Did not answer: {answer.unanswered.join("; ")}</p>
        )}
      </div>
    </Panel>
  );
}
