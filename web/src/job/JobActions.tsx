// What can be done to a job. Each asks first, shows that it goes on, and what came of it.

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { api, asApiError } from "../api";
import type { ApiError } from "../api";
import { Copy, ErrorBox, Icon, Modal, Spinner } from "../components";
import type { IconName } from "../components/Icon";
import { duration } from "../format";
import { notify } from "../store";
import { ended } from "./model";
import type { Job } from "./model";
import { run } from "./operations";
import type { Outcome } from "./operations";
import { RescaleForm } from "./RescaleForm";
import type { JobWatch } from "./watch";

type Action = "checkpoint" | "savepoint" | "rescale" | "stop" | "cancel";

const ACTIONS: { id: Action; text: string; icon: IconName; danger?: boolean; running: boolean }[] = [
  { id: "checkpoint", text: "Checkpoint now", icon: "check", running: true },
  { id: "savepoint", text: "Savepoint", icon: "submit", running: true },
  { id: "rescale", text: "Rescale", icon: "workers", running: true },
  { id: "stop", text: "Stop with savepoint", icon: "pause", running: true },
  { id: "cancel", text: "Cancel", icon: "cross", danger: true, running: false },
];

export function JobActions(props: { job: Job; watch: JobWatch }): JSX.Element | null {
  const { job } = props;
  const [open, setOpen] = useState<Action | null>(null);
  const over = ended(job);
  if (over && open === null) return null;
  const reason = job.state === "RUNNING" ? "" : "The job has to be running.";
  return (
    <>
      {!over &&
        ACTIONS.map((action) => {
          const possible = action.running ? job.state === "RUNNING" : job.state !== "CANCELLING";
          return (
            <button
              key={action.id}
              type="button"
              class={`button ${action.danger ? "danger" : ""}`}
              disabled={!possible}
              title={possible ? undefined : reason}
              onClick={() => setOpen(action.id)}
            >
              <Icon name={action.icon} size={14} /> {action.text}
            </button>
          );
        })}
      {open !== null && <Dialogue action={open} job={job} watch={props.watch} onClose={() => setOpen(null)} />}
    </>
  );
}

function Dialogue(props: { action: Action; job: Job; watch: JobWatch; onClose: () => void }): JSX.Element {
  const { job, watch, onClose } = props;
  const base = `/jobs/${job.jid}`;
  switch (props.action) {
    case "cancel":
      return <CancelDialogue job={job} watch={watch} onClose={onClose} />;
    case "rescale":
      return (
        <Modal title="Rescale" onClose={onClose} wide>
          <RescaleForm job={job} watch={watch} onClose={onClose} />
        </Modal>
      );
    case "checkpoint":
      return (
        <Operation
          title="Checkpoint now"
          verb="Take a checkpoint"
          working="Taking a checkpoint"
          about="A checkpoint outside the schedule. The job goes on meanwhile."
          choice={{ label: "Full: write all state again, not only what has changed" }}
          start={(_target, full) => run(`${base}/checkpoints`, `${base}/checkpoints`, { checkpointType: full ? "FULL" : "CONFIGURED" })}
          watch={watch}
          onClose={onClose}
        />
      );
    case "savepoint":
      return (
        <Operation
          title="Savepoint"
          verb="Take a savepoint"
          working="Taking a savepoint"
          about="A savepoint belongs to you: Lesto never deletes it, and a job can be started from it, also a changed one or with another parallelism."
          target
          start={(target) => run(`${base}/savepoints`, `${base}/savepoints`, target ? { "target-directory": target } : {})}
          watch={watch}
          onClose={onClose}
        />
      );
    case "stop":
      return (
        <Operation
          title="Stop with savepoint"
          verb="Stop the job"
          working="Stopping: sources end, then the savepoint is taken"
          about="Takes a savepoint and ends the job, with nothing lost and nothing twice. The job can be started again from the savepoint."
          target
          choice={{ label: "Drain: let windows and timers fire as if all input had ended. Only when the job is not to go on." }}
          start={(target, drain) => run(`${base}/stop`, `${base}/savepoints`, { drain, ...(target ? { targetDirectory: target } : {}) })}
          watch={watch}
          onClose={onClose}
        />
      );
  }
}

// --------------------------------------------------------------------------------------------- one operation

type Stage = { at: "asking" } | { at: "working"; since: number } | { at: "done"; outcome: Outcome; took: number } | { at: "failed"; error: ApiError };

function Operation(props: {
  title: string;
  verb: string;
  working: string;
  about: string;
  target?: boolean;
  choice?: { label: string };
  start: (target: string, choice: boolean) => Promise<Outcome>;
  watch: JobWatch;
  onClose: () => void;
}): JSX.Element {
  const [stage, setStage] = useState<Stage>({ at: "asking" });
  const [target, setTarget] = useState("");
  const [choice, setChoice] = useState(false);
  const open = useRef(true);
  useEffect(
    () => () => {
      open.current = false;
    },
    [],
  );
  const go = async (): Promise<void> => {
    const since = Date.now();
    setStage({ at: "working", since });
    try {
      const outcome = await props.start(target.trim(), choice);
      if (open.current) setStage({ at: "done", outcome, took: Date.now() - since });
      else notify(`${props.title}: ${said(outcome)}`);
    } catch (error) {
      const failure = asApiError(error);
      if (open.current) setStage({ at: "failed", error: failure });
      else notify(`${props.title} failed: ${failure.message}`, "error");
    }
    props.watch.checkpoints.reload();
    props.watch.poll.reload();
  };
  return (
    <Modal title={props.title} onClose={props.onClose} wide={stage.at === "done" || stage.at === "failed"}>
      {stage.at === "asking" && (
        <form
          class="form"
          onSubmit={(event) => {
            event.preventDefault();
            void go();
          }}
        >
          <p>{props.about}</p>
          {props.target && (
            <label>
              Directory (empty: the one that is configured)
              <input type="text" value={target} placeholder="file:///savepoints or s3://bucket/savepoints" onInput={(event) => setTarget(event.currentTarget.value)} />
            </label>
          )}
          {props.choice && (
            <label class="inline">
              <input type="checkbox" checked={choice} onChange={(event) => setChoice(event.currentTarget.checked)} /> {props.choice.label}
            </label>
          )}
          <Buttons verb={props.verb} onClose={props.onClose} />
        </form>
      )}
      {stage.at === "working" && <Working text={props.working} since={stage.since} onClose={props.onClose} />}
      {stage.at === "done" && <Done outcome={stage.outcome} took={stage.took} onClose={props.onClose} />}
      {stage.at === "failed" && <ErrorBox error={stage.error} title={`${props.title} failed`} retry={() => setStage({ at: "asking" })} />}
    </Modal>
  );
}

function said(outcome: Outcome): string {
  if (outcome.location) return `complete, at ${outcome.location}`;
  return outcome.checkpointId === undefined ? "complete" : `checkpoint ${outcome.checkpointId} is complete`;
}

export function Buttons(props: { verb: string; danger?: boolean; onClose: () => void; disabled?: boolean }): JSX.Element {
  return (
    <div class="form-actions">
      <button type="submit" class={`button ${props.danger ? "danger" : "primary"}`} disabled={props.disabled ?? false}>
        {props.verb}
      </button>
      <button type="button" class="button" onClick={props.onClose}>
        Do nothing
      </button>
    </div>
  );
}

export function Working(props: { text: string; since: number; onClose: () => void }): JSX.Element {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 200);
    return () => clearInterval(timer);
  }, []);
  return (
    <div class="stack-small">
      <Spinner label={`${props.text} … ${duration(Math.max(0, now - props.since))}`} />
      <p class="muted">It goes on when this is closed; a message will say how it ended.</p>
      <div class="form-actions">
        <button type="button" class="button" onClick={props.onClose}>
          Close
        </button>
      </div>
    </div>
  );
}

function Done(props: { outcome: Outcome; took: number; onClose: () => void }): JSX.Element {
  const { outcome } = props;
  return (
    <div class="stack-small" role="status">
      <p class="done">
        <Icon name="check" size={18} />{" "}
        {outcome.checkpointId === undefined ? "Complete" : `Checkpoint ${outcome.checkpointId} is complete`} after {duration(props.took)}.
      </p>
      {outcome.location && (
        <p class="checkpoint-path">
          <code>{outcome.location}</code>
          <Copy text={outcome.location} label="Copy the path" />
        </p>
      )}
      <div class="form-actions">
        <button type="button" class="button primary" onClick={props.onClose}>
          Close
        </button>
      </div>
    </div>
  );
}

// ----------------------------------------------------------------------------------------------------- cancel

function CancelDialogue(props: { job: Job; watch: JobWatch; onClose: () => void }): JSX.Element {
  const { job, watch } = props;
  const [since, setSince] = useState<number | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const over = ended(job);
  const go = async (): Promise<void> => {
    setSince(Date.now());
    setError(null);
    try {
      await api.patch(`/jobs/${job.jid}?mode=cancel`);
      watch.poll.reload();
    } catch (failure) {
      setSince(null);
      setError(asApiError(failure));
    }
  };
  const latest = watch.checkpoints.data?.latest.completed;
  const kept = watch.config.data?.externalization.delete_on_cancellation === false;
  return (
    <Modal title="Cancel the job" onClose={props.onClose}>
      {error && <ErrorBox error={error} title="Not cancelled" />}
      {over && since !== null ? (
        <div class="stack-small" role="status">
          <p class="done">
            <Icon name="check" size={18} /> The job is {job.state === "CANCELED" ? "cancelled" : job.state.toLowerCase()}.
          </p>
          <div class="form-actions">
            <button type="button" class="button primary" onClick={props.onClose}>
              Close
            </button>
          </div>
        </div>
      ) : since !== null ? (
        <Working text="Cancelling" since={since} onClose={props.onClose} />
      ) : (
        <form
          class="form"
          onSubmit={(event) => {
            event.preventDefault();
            void go();
          }}
        >
          <p>
            Ends <strong>{job.name}</strong> at once, without a savepoint. What it has read since the last checkpoint is read again
            by a job that goes on from there.
          </p>
          {latest && (
            <p class="muted">
              Checkpoint {latest.id} {kept ? "is kept: a job can be started from it." : "will be deleted, as its settings say."}
            </p>
          )}
          <Buttons verb="Cancel the job" danger onClose={props.onClose} />
        </form>
      )}
    </Modal>
  );
}
