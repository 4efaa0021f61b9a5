import type { JSX } from "preact";

import { Sparkline, Stat, Stats } from "../components";
import { ago, bytes, compact, duration, percent, plural, rate } from "../format";
import { href } from "../router";
import { completedAt, short, startedAgain } from "./health";
import { limitOf } from "./limits";
import type { Job } from "./model";
import { ended, sinks, sources } from "./model";
import type { JobWatch } from "./watch";

/** The five numbers that are asked for most. */
export function JobStats(props: { job: Job; watch: JobWatch }): JSX.Element {
  const { job, watch } = props;
  return (
    <Stats label="Key figures">
      <Intake job={job} watch={watch} />
      <Lag job={job} watch={watch} />
      <LastCheckpoint job={job} watch={watch} />
      <Busiest job={job} />
      <Failures job={job} watch={watch} />
    </Stats>
  );
}

function Intake(props: { job: Job; watch: JobWatch }): JSX.Element {
  const { job, watch } = props;
  const total = sources(job).reduce((sum, vertex) => sum + Math.max(0, vertex.metrics["read-records"]), 0);
  const line = <Sparkline values={watch.intake} label="Records read per second over the last two minutes" />;
  const over = ended(job);
  return (
    <Stat
      label={over ? "Records read" : "Records read per second"}
      value={
        <span class="stat-line">
          {over ? compact(total) : rate(watch.recordsPerSecond === undefined ? undefined : Math.round(watch.recordsPerSecond))}
          {!over && line}
        </span>
      }
      note={over ? (startedAgain(job) ? "since the tasks started last" : `by ${plural(sources(job).length, "source")}`) : `${compact(total)} since the tasks started`}
    />
  );
}

function Lag(props: { job: Job; watch: JobWatch }): JSX.Element {
  const { job, watch } = props;
  if (watch.lag === null) {
    const through = job.vertices.length > 0 && sinks(job).every((vertex) => vertex["input-ended"]);
    const note = through ? "all input has been read" : "no watermark has been seen";
    return <Stat label="Event time behind" value="–" note={ended(job) ? "the job has ended" : note} />;
  }
  return (
    <Stat
      label="Event time behind"
      value={duration(watch.lag)}
      note="now less the lowest watermark"
      title="How much older than the clock the event time is that every task has reached"
    />
  );
}

function LastCheckpoint(props: { job: Job; watch: JobWatch }): JSX.Element {
  const { job, watch } = props;
  const latest = watch.checkpoints.data?.latest.completed;
  const link = href("jobs", job.jid, "checkpoints");
  if (!latest) return <Stat label="Last good checkpoint" value="–" note="none yet" href={link} />;
  return (
    <Stat
      label={`Last good ${latest.is_savepoint ? "savepoint" : "checkpoint"}`}
      value={ago(completedAt(latest), job.now)}
      note={`number ${latest.id}, ${duration(latest.end_to_end_duration)}, ${bytes(latest.state_size)}`}
      href={link}
    />
  );
}

function Busiest(props: { job: Job }): JSX.Element {
  const found = props.job.state === "RUNNING" ? limitOf(props.job) : null;
  if (found === null) return <Stat label="Busiest task" value="–" note="no task reports" />;
  const tone = found.kind === "input" ? {} : { tone: "warn" as const };
  if (found.kind === "slots") return <Stat label="Slots busy" value={percent(found.busy)} note="with several tasks" {...tone} />;
  return (
    <Stat
      label="Busiest task"
      value={percent(found.busy)}
      note={<a href={href("jobs", props.job.jid, "vertices", found.vertex.id)}>{short(found.vertex.name, 30)}</a>}
      {...tone}
    />
  );
}

function Failures(props: { job: Job; watch: JobWatch }): JSX.Element {
  const { job, watch } = props;
  const newest = watch.exceptions.data?.exceptionHistory.entries[0];
  return (
    <Stat
      label="Restarts"
      value={job.restarts ?? "–"}
      note={newest ? `last failure ${ago(newest.timestamp, job.now)}` : "nothing has failed"}
      href={href("jobs", job.jid, "exceptions")}
    />
  );
}
