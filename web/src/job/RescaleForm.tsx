import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";

import { api, asApiError } from "../api";
import type { ApiError } from "../api";
import { ErrorBox, Icon, Spinner } from "../components";
import { duration, plural } from "../format";
import { useCluster } from "../cluster";
import { Buttons, Working } from "./JobActions";
import { pretty } from "./health";
import type { Job } from "./model";
import type { JobWatch } from "./watch";

type Requirements = Record<string, { parallelism: { lowerBound: number; upperBound: number } }>;

type Stage = { at: "asking" } | { at: "working"; since: number } | { at: "done"; took: number };

/** How many subtasks each vertex shall have, or all. */
export function RescaleForm(props: { job: Job; watch: JobWatch; onClose: () => void }): JSX.Element {
  const { job } = props;
  const [known, setKnown] = useState<Requirements | null>(null);
  const [wanted, setWanted] = useState<Record<string, number>>({});
  const [error, setError] = useState<ApiError | null>(null);
  const [stage, setStage] = useState<Stage>({ at: "asking" });
  const path = `/jobs/${job.jid}/resource-requirements`;
  useEffect(() => {
    api.get<Requirements>(path).then(setKnown, (failure: unknown) => setError(asApiError(failure)));
  }, [path]);
  if (known === null) return error ? <ErrorBox error={error} /> : <Spinner label="Loading the parallelism" />;
  const now = (id: string): number => known[id]?.parallelism.upperBound ?? 1;
  const changed = Object.entries(wanted).filter(([id, value]) => value !== now(id));
  const go = async (): Promise<void> => {
    const since = Date.now();
    setStage({ at: "working", since });
    setError(null);
    try {
      const body: Requirements = {};
      for (const [id, value] of changed) {
        body[id] = { parallelism: { lowerBound: Math.min(known[id]?.parallelism.lowerBound ?? 1, value), upperBound: value } };
      }
      await api.put(path, body);
      setStage({ at: "done", took: Date.now() - since });
      props.watch.poll.reload();
    } catch (failure) {
      setStage({ at: "asking" });
      setError(asApiError(failure));
    }
  };
  if (stage.at === "working") return <Working text="Rescaling: a checkpoint, then the tasks start again" since={stage.since} onClose={props.onClose} />;
  if (stage.at === "done") {
    return (
      <div class="stack-small" role="status">
        <p class="done">
          <Icon name="check" size={18} /> The job runs with the new parallelism; it took {duration(stage.took)}.
        </p>
        <div class="form-actions">
          <button type="button" class="button primary" onClick={props.onClose}>
            Close
          </button>
        </div>
      </div>
    );
  }
  return (
    <form
      class="form"
      onSubmit={(event) => {
        event.preventDefault();
        void go();
      }}
    >
      {error && <ErrorBox error={error} title="Not rescaled" />}
      <p>The state moves along; records are neither lost nor counted twice. The job pauses for a moment. <Slots /></p>
      <Fields job={job} now={now} wanted={wanted} onChange={setWanted} />
      <Buttons
        verb={changed.length === 0 ? "Nothing changed" : `Rescale ${changed.length === 1 ? "one vertex" : `${changed.length} vertices`}`}
        onClose={props.onClose}
        disabled={changed.length === 0}
      />
    </form>
  );
}

function Slots(): JSX.Element {
  const { data } = useCluster();
  if (data === undefined) return <></>;
  return (
    <span class="muted">
      {data["slots-available"]} of {plural(data["slots-total"], "slot")} free; vertices share slots.
    </span>
  );
}

function Fields(props: {
  job: Job;
  now: (id: string) => number;
  wanted: Record<string, number>;
  onChange: (wanted: Record<string, number>) => void;
}): JSX.Element {
  const { job, wanted } = props;
  const set = (ids: string[], text: string): void => {
    const value = Number.parseInt(text, 10);
    const next = { ...wanted };
    for (const id of ids) {
      const most = job.vertices.find((vertex) => vertex.id === id)?.maxParallelism ?? value;
      if (Number.isFinite(value) && value >= 1) next[id] = Math.min(value, most > 0 ? most : value);
      else delete next[id];
    }
    props.onChange(next);
  };
  return (
    <table class="dense">
      <caption class="hidden">Parallelism by vertex</caption>
      <thead>
        <tr>
          <th scope="col">Vertex</th>
          <th scope="col" class="right">
            Now
          </th>
          <th scope="col" class="right">
            New
          </th>
          <th scope="col" class="right">
            At most
          </th>
        </tr>
      </thead>
      <tbody>
        <tr>
          <td>
            <strong>All</strong>
          </td>
          <td />
          <td class="right">
            <input
              type="number"
              min={1}
              class="number"
              aria-label="Parallelism of all vertices"
              onInput={(event) => set(job.vertices.map((vertex) => vertex.id), event.currentTarget.value)}
            />
          </td>
          <td />
        </tr>
        {job.vertices.map((vertex) => (
          <tr key={vertex.id}>
            <td class="breakable">{pretty(vertex.name)}</td>
            <td class="right num">{props.now(vertex.id)}</td>
            <td class="right">
              <input
                type="number"
                min={1}
                max={vertex.maxParallelism > 0 ? vertex.maxParallelism : undefined}
                class="number"
                aria-label={`Parallelism of ${vertex.name}`}
                value={wanted[vertex.id] ?? props.now(vertex.id)}
                onInput={(event) => set([vertex.id], event.currentTarget.value)}
              />
            </td>
            <td class="right num muted">{vertex.maxParallelism}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
