// One checkpoint: which subtask was slow, and in which phase.

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { api, asApiError } from "../../api";
import type { ApiError } from "../../api";
import { Copy, Icon, Panel, Spinner, StateBadge } from "../../components";
import { bytes, dateTime, duration } from "../../format";
import { PHASES, PHASE_WORDS, phases, totalOf, verdict } from "../checkpointVerdict";
import type { Part } from "../checkpointVerdict";
import { pretty } from "../health";
import type { Checkpoint, CheckpointSubtasks, Job } from "../model";

interface Loaded {
  parts: Part[];
  error?: ApiError;
  done: boolean;
}

/** The parts of all subtasks; asked for again while the checkpoint is in progress. */
function useParts(job: Job, checkpoint: Checkpoint): Loaded {
  const [loaded, setLoaded] = useState<Loaded>({ parts: [], done: false });
  const vertices = Object.keys(checkpoint.tasks ?? {}).join();
  const stamp = `${checkpoint.status}/${checkpoint.num_acknowledged_subtasks}`;
  useEffect(() => {
    const abort = new AbortController();
    const base = `/jobs/${job.jid}/checkpoints/details/${checkpoint.id}/subtasks`;
    const ask = async (): Promise<void> => {
      const ids = vertices.split(",").filter(Boolean);
      try {
        const answers = await Promise.all(
          ids.map((id) => api.get<CheckpointSubtasks>(`${base}/${encodeURIComponent(id)}`, abort.signal)),
        );
        const parts = answers.flatMap((answer, i) => partsOf(job, ids[i] ?? "", answer));
        if (!abort.signal.aborted) setLoaded({ parts, done: true });
      } catch (error) {
        if (!abort.signal.aborted) setLoaded({ parts: [], done: true, error: asApiError(error) });
      }
    };
    void ask();
    return () => abort.abort();
  }, [job.jid, checkpoint.id, vertices, stamp]);
  return loaded;
}

function partsOf(job: Job, vertexId: string, answer: CheckpointSubtasks): Part[] {
  const vertexName = job.vertices.find((vertex) => vertex.id === vertexId)?.name ?? vertexId;
  return answer.subtasks.map((subtask) => ({ vertexId, vertexName, subtask }));
}

export function CheckpointDetails(props: { job: Job; checkpoint: Checkpoint; chosen: boolean }): JSX.Element {
  const { job, checkpoint } = props;
  const loaded = useParts(job, checkpoint);
  const top = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // Chosen from the history below: it is shown above.
    if (props.chosen) top.current?.scrollIntoView({ block: "nearest" });
  }, [props.chosen]);
  const kind = checkpoint.is_savepoint ? "Savepoint" : "Checkpoint";
  const title = `${kind} ${checkpoint.id}${props.chosen ? "" : ", the newest"}`;
  return (
    <div ref={top} class="checkpoint-top">
      <Panel
        title={title}
        side={
          <>
            <StateBadge state={checkpoint.status} />
            <span class="num">{dateTime(checkpoint.trigger_timestamp)}</span>
            <span class="num">{duration(checkpoint.end_to_end_duration)}</span>
            <span class="num">{bytes(checkpoint.state_size)}</span>
          </>
        }
      >
        <div class="panel-body stack">
          {checkpoint.failure_message && (
            <p class="text-bad checkpoint-failure">
              <Icon name="warning" /> {checkpoint.failure_message}
            </p>
          )}
          {checkpoint.external_path && (
            <p class="checkpoint-path">
              <code>{checkpoint.external_path}</code>
              <Copy text={checkpoint.external_path} label="Copy the path" />
            </p>
          )}
          <Parts checkpoint={checkpoint} loaded={loaded} />
        </div>
      </Panel>
    </div>
  );
}

function Parts(props: { checkpoint: Checkpoint; loaded: Loaded }): JSX.Element {
  const { checkpoint, loaded } = props;
  if (!loaded.done) return <Spinner label="Loading what each subtask did" />;
  if (loaded.error) return <p class="muted">What each subtask did is not known: {loaded.error.message}</p>;
  const found = verdict(checkpoint, loaded.parts);
  const longest = Math.max(1, ...loaded.parts.map((part) => totalOf(part.subtask)));
  const byVertex = new Map<string, Part[]>();
  for (const part of loaded.parts) byVertex.set(part.vertexId, [...(byVertex.get(part.vertexId) ?? []), part]);
  return (
    <>
      <p class={`verdict ${found.slow ? "verdict-slow" : ""}`}>
        <Icon name={found.slow ? "warning" : "check"} size={18} /> {found.text}.
      </p>
      {loaded.parts.length > 0 && (
        <div class="phases" role="group" aria-label="Time of each subtask by phase">
          <PhaseLegend longest={longest} />
          {[...byVertex.entries()].map(([id, parts]) => (
            <VertexPhases key={id} parts={parts} longest={longest} slowest={found.part} />
          ))}
        </div>
      )}
    </>
  );
}

function PhaseLegend(props: { longest: number }): JSX.Element {
  return (
    <div class="phase-legend small">
      {PHASES.map((phase) => (
        <span key={phase} title={PHASE_WORDS[phase].meaning}>
          <i class={`phase phase-${phase}`} aria-hidden="true" /> {PHASE_WORDS[phase].name}
        </span>
      ))}
      <span class="muted">
        full width {duration(props.longest)}
      </span>
    </div>
  );
}

const FEW = 12;

function VertexPhases(props: { parts: Part[]; longest: number; slowest: Part | undefined }): JSX.Element {
  const [all, setAll] = useState(false);
  const ordered = [...props.parts].sort((a, b) => totalOf(b.subtask) - totalOf(a.subtask) || a.subtask.index - b.subtask.index);
  const shown = all ? ordered : ordered.slice(0, FEW);
  return (
    <div class="phase-vertex">
      <h3>{pretty(props.parts[0]?.vertexName ?? "")}</h3>
      {shown.map((part) => (
        <PhaseRow key={part.subtask.index} part={part} longest={props.longest} slowest={part === props.slowest} />
      ))}
      {ordered.length > shown.length && (
        <button type="button" class="button" onClick={() => setAll(true)}>
          Show all {ordered.length} subtasks
        </button>
      )}
    </div>
  );
}

function PhaseRow(props: { part: Part; longest: number; slowest: boolean }): JSX.Element {
  const { subtask } = props.part;
  const parts = phases(subtask);
  const total = totalOf(subtask);
  const said = PHASES.filter((phase) => parts[phase] > 0).map((phase) => `${PHASE_WORDS[phase].name} ${duration(parts[phase])}`);
  const text = said.join(", ") || (subtask.status === "completed" ? "under 1 ms in each phase" : "has not answered");
  return (
    <div class={`phase-row ${props.slowest ? "phase-slowest" : ""}`}>
      <span class="num phase-index">
        {subtask.index}
      </span>
      <span class="phase-bar" title={text}>
        {PHASES.map((phase) => (
          <span key={phase} class={`phase phase-${phase}`} style={{ width: `${(100 * parts[phase]) / props.longest}%` }} />
        ))}
        <span class="hidden">{text}</span>
      </span>
      <span class="num phase-total">
        {subtask.status === "completed" ? duration(total) : "no answer"}
      </span>
      <span class="num muted phase-size">
        {bytes(subtask.checkpointed_size)}
        {subtask.unaligned_checkpoint ? ", unaligned" : ""}
      </span>
    </div>
  );
}
