// Everything that has happened to the job, each with its cause, below bars of the states it was in.

import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";

import { usePoll } from "../api";
import { Badge, Empty, Loading, Panel } from "../components";
import type { Tone } from "../components";
import { clock, count, dateTime, duration, plural } from "../format";
import { href } from "../router";
import { pretty } from "./health";
import { ended } from "./model";
import type { Checkpoint, Job, JobEvent } from "./model";
import { folds, marks, spans } from "./timeline";
import type { Span } from "./timeline";
import type { JobWatch } from "./watch";

const TIMELINE_MS = 2_000;

interface Events {
  events: JobEvent[];
}

export function TimelineTab(props: { job: Job; watch: JobWatch }): JSX.Element {
  const { job, watch } = props;
  const poll = usePoll<Events>(`/jobs/${job.jid}/events`, ended(job) ? 0 : TIMELINE_MS);
  return (
    <div class="stack">
      <StateBars job={job} watch={watch} />
      <Loading poll={poll} what="timeline">
        {(data) => <EventList job={job} events={data.events} />}
      </Loading>
    </div>
  );
}

// ---------------------------------------------------------------------------------------------------- bars

function StateBars(props: { job: Job; watch: JobWatch }): JSX.Element {
  const { job, watch } = props;
  const from = job["start-time"];
  const to = ended(job) ? job["end-time"] : job.now;
  const failures = watch.exceptions.data?.exceptionHistory.entries ?? [];
  const checkpoints = watch.checkpoints.data?.history ?? [];
  const whole = Math.max(1, to - from);
  const left = (at: number): string => `${(100 * (Math.min(Math.max(at, from), to) - from)) / whole}%`;
  const ticks = useMemo(() => marks(from, to), [from, Math.floor(to / 1000)]);
  return (
    <Panel title="States" side={<span class="num">{duration(whole)} from {dateTime(from)}</span>}>
      <div class="panel-body bars">
        <div class="bars-row">
          <span class="bars-name">Job</span>
          <Track spans={spans(job.transitions, from, to)} from={from} whole={whole} />
        </div>
        {job.vertices.map((vertex) => (
          <div class="bars-row" key={vertex.id}>
            <a class="bars-name" href={href("jobs", job.jid, "vertices", vertex.id)} title={vertex.name}>
              {pretty(vertex.name)}
            </a>
            <Track
              from={from}
              whole={whole}
              spans={
                vertex["start-time"] > 0
                  ? [{ state: vertex.status, from: vertex["start-time"], to: vertex["end-time"] > 0 ? vertex["end-time"] : to, cause: "the newest attempts" }]
                  : []
              }
            />
          </div>
        ))}
        <div class="bars-row">
          <span class="bars-name">Checkpoints, failures</span>
          <span class="bars-track bars-marks" role="img" aria-label={told(checkpoints, failures.length)}>
            {checkpoints.map((one) => (
              <i
                key={one.id}
                class={`mark mark-${one.status.toLowerCase()}`}
                title={`${one.is_savepoint ? "Savepoint" : "Checkpoint"} ${one.id}: ${one.status.toLowerCase()}, ${clock(one.trigger_timestamp)}`}
                style={{ left: left(one.trigger_timestamp) }}
              />
            ))}
            {failures.map((failure, i) => (
              <i
                key={`f${i}`}
                class="mark mark-failure"
                title={`${clock(failure.timestamp)} ${failure.exceptionName}`}
                style={{ left: left(failure.timestamp) }}
              />
            ))}
          </span>
        </div>
        <div class="bars-row" aria-hidden="true">
          <span class="bars-name" />
          <span class="bars-axis num muted">
            {ticks.map((tick) => (
              <span key={tick.at} class={tick.at - from > 0.95 * whole ? "bars-last" : ""} style={{ left: left(tick.at) }}>
                {tick.text}
              </span>
            ))}
          </span>
        </div>
      </div>
    </Panel>
  );
}

function told(checkpoints: readonly Checkpoint[], failures: number): string {
  const completed = checkpoints.filter((one) => one.status === "COMPLETED").length;
  const failed = checkpoints.filter((one) => one.status === "FAILED").length;
  return `${plural(completed, "checkpoint")} completed and ${count(failed)} failed of the newest, ${plural(failures, "failure")} of tasks`;
}

function Track(props: { spans: Span[]; from: number; whole: number }): JSX.Element {
  return (
    <span class="bars-track">
      {props.spans.map((span) => {
        const width = (100 * (span.to - span.from)) / props.whole;
        const text = `${span.state.toLowerCase()} for ${duration(span.to - span.from)}${span.cause ? `: ${span.cause}` : ""}`;
        return (
          <span
            key={`${span.from}${span.state}`}
            class={`span span-${span.state.toLowerCase()}`}
            style={{ left: `${(100 * (span.from - props.from)) / props.whole}%`, width: `max(2px, ${width}%)` }}
            title={text}
          >
            <span class={width > 8 ? "" : "hidden"}>{span.state.charAt(0) + span.state.slice(1).toLowerCase()}</span>
          </span>
        );
      })}
    </span>
  );
}

// -------------------------------------------------------------------------------------------------- events

const TONES: Record<string, Tone> = { info: "neutral", warning: "warn", error: "bad" };

function EventList(props: { job: Job; events: JobEvent[] }): JSX.Element {
  const [kind, setKind] = useState("");
  const [serious, setSerious] = useState(false);
  const kinds = [...new Set(props.events.map((event) => groupOf(event.kind)))].sort();
  const shown = props.events.filter(
    (event) => (kind === "" || groupOf(event.kind) === kind) && (!serious || event.severity !== "info"),
  );
  const newest = [...shown].reverse();
  return (
    <Panel
      title="Events"
      side={
        <>
          <label>
            Show{" "}
            <select value={kind} onChange={(event) => setKind(event.currentTarget.value)}>
              <option value="">everything</option>
              {kinds.map((one) => (
                <option key={one} value={one}>
                  {one}
                </option>
              ))}
            </select>
          </label>
          <label class="inline">
            <input type="checkbox" checked={serious} onChange={(event) => setSerious(event.currentTarget.checked)} /> only
            warnings and errors
          </label>
          <span>
            {count(shown.length)} of {count(props.events.length)}
          </span>
        </>
      }
    >
      {newest.length === 0 ? (
        <Empty icon="clock" title={props.events.length === 0 ? "Nothing has happened yet" : "No event matches"} />
      ) : (
        <Folds job={props.job} newest={newest} />
      )}
    </Panel>
  );
}

/** The events, runs of completed checkpoints as one line that opens. */
function Folds(props: { job: Job; newest: JobEvent[] }): JSX.Element {
  const [open, setOpen] = useState<ReadonlySet<number>>(new Set());
  return (
    <ol class="events">
      {folds(props.newest).map((run) => {
        const oldest = run.events.at(-1);
        const key = oldest?.timestamp ?? 0;
        if (!run.folded || open.has(key)) {
          return run.events.map((event, i) => (
            <EventLine key={`${event.timestamp}.${event.kind}.${event.subject}`} job={props.job} event={event} before={run.events[i + 1] ?? run.before} />
          ));
        }
        return <FoldedLine key={`fold.${key}`} job={props.job} events={run.events} onOpen={() => setOpen(new Set([...open, key]))} />;
      })}
    </ol>
  );
}

function FoldedLine(props: { job: Job; events: JobEvent[]; onOpen: () => void }): JSX.Element | null {
  const { events } = props;
  const newest = events[0];
  const oldest = events.at(-1);
  if (newest === undefined || oldest === undefined) return null;
  return (
    <li class="event">
      <span class="num event-time" title={`${dateTime(oldest.timestamp)} to ${dateTime(newest.timestamp)}`}>
        {clock(newest.timestamp)}
      </span>
      <span class="num muted small event-since">{duration(newest.timestamp - oldest.timestamp)}</span>
      <span class="event-kind">
        <Badge>checkpoint completed</Badge>
      </span>
      <span class="event-text">
        <button type="button" class="event-fold" aria-expanded={false} onClick={props.onOpen}>
          {count(events.length)} checkpoints, {oldest.subject.replace(/^checkpoint /, "")} to {newest.subject.replace(/^checkpoint /, "")}
        </button>
        <span class="event-cause">the last: {newest.cause}</span>
      </span>
    </li>
  );
}

const KINDS: Record<string, string> = { "task.restarted": "tasks running", "journal.left_out": "left out" };

function words(kind: string): string {
  return KINDS[kind] ?? kind.replaceAll(".", " ").replaceAll("_", " ");
}

function EventLine(props: { job: Job; event: JobEvent; before: JobEvent | undefined }): JSX.Element {
  const { event, before } = props;
  const since = before === undefined ? "" : `+${duration(Math.max(0, event.timestamp - before.timestamp))}`;
  return (
    <li class={`event event-${event.severity}`}>
      <span class="num event-time" title={dateTime(event.timestamp)}>
        {clock(event.timestamp)}
      </span>
      <span class="num muted small event-since" title="since the event before">
        {since}
      </span>
      <span class="event-kind">
        <Badge tone={TONES[event.severity] ?? "neutral"}>{words(event.kind)}</Badge>
      </span>
      <span class="event-text">
        <Subject job={props.job} event={event} />
        {event.cause && <span class="event-cause">{event.cause}</span>}
      </span>
    </li>
  );
}

function Subject(props: { job: Job; event: JobEvent }): JSX.Element {
  const { job, event } = props;
  const number = /\d+/.exec(event.subject)?.[0];
  if ((event.kind.startsWith("checkpoint.") || event.kind === "savepoint.completed") && number) {
    return <a href={href("jobs", job.jid, "checkpoints", number)}>{event.subject}</a>;
  }
  return <strong>{event.subject}</strong>;
}

function groupOf(kind: string): string {
  return kind.split(".", 1)[0] ?? kind;
}
