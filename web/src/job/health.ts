// The health line: what an operator of the job wants to hear first, in plain words. Pure.

import { ago, compact, duration, percent, plural } from "../format";
import { eventTimeLag, limitOf } from "./limits";
import type { Limit } from "./limits";
import type { Checkpoint, CheckpointConfig, Checkpoints, Failure, Job, Transition } from "./model";

/** good: nothing to do. busy: at its limit. warning: look. bad: does not work. wait: on its way. ended: no more. */
export type Level = "good" | "busy" | "warning" | "bad" | "wait" | "ended";

export interface Sentence {
  about: "state" | "throughput" | "lag" | "checkpoint" | "limit" | "failure" | "restarts" | "late";
  text: string;
  /** This is why the level is what it is. */
  trouble?: boolean;
  /** Page of the job that says more: "checkpoints", "vertices/<id>". */
  more?: string;
}

export interface Health {
  level: Level;
  headline: string;
  sentences: Sentence[];
}

export interface HealthInput {
  job: Job;
  now: number;
  /** Records per second that the sources read; undefined: not known yet. */
  recordsPerSecond?: number | undefined;
  /** Change of the event-time lag, seconds per second; above 0 it falls behind. */
  lagTrend?: number | undefined;
  checkpoints?: Checkpoints | undefined;
  config?: CheckpointConfig | undefined;
  /** Newest first. */
  failures?: Failure[] | undefined;
}

const RECENT_MS = 600_000;
const JUST_NOW_MS = 20_000;
/** So many failures within RECENT_MS are no accident. */
const OFTEN = 3;
const FALLING_BEHIND = 0.2;
const LAG_WORTH_A_WARNING_MS = 30_000;
/** Flink's "never": intervals from here on mean that checkpoints are off. */
const NEVER_MS = 1e15;

export function healthOf(input: HealthInput): Health {
  switch (input.job.state) {
    case "RUNNING":
      return running(input);
    case "RESTARTING":
    case "FAILING":
      return restarting(input);
    case "FAILED":
      return failed(input);
    case "FINISHED":
    case "CANCELED":
      return gone(input);
    case "CANCELLING":
      return waiting(input, "Cancelling");
    default:
      return waiting(input, "Starting");
  }
}

/** The line as one text, for titles and screen readers. */
export function healthText(health: Health): string {
  return [`${health.headline}.`, ...health.sentences.map((sentence) => `${sentence.text}.`)].join(" ");
}

// ---------------------------------------------------------------------------------------------- running

function running(input: HealthInput): Health {
  const { job } = input;
  const counts = taskCounts(job);
  if (counts.running + counts.finished < counts.total) return deploying(input, counts);
  const sentences: Sentence[] = [];
  add(sentences, throughput(input));
  add(sentences, lag(input));
  add(sentences, checkpoint(input));
  add(sentences, limit(limitOf(job)));
  add(sentences, late(job));
  add(sentences, restarts(input));
  const troubles = sentences.filter((sentence) => sentence.trouble).sort((a, b) => rank(a) - rank(b));
  const ordered = [...troubles, ...sentences.filter((sentence) => !sentence.trouble)];
  if (troubles.length > 0) return { level: "warning", headline: headlineOf(troubles, input), sentences: ordered };
  const limited = limitOf(job);
  const busy = limited !== null && limited.kind !== "input";
  return { level: busy ? "busy" : "good", headline: "Healthy", sentences };
}

/** What explains the other troubles comes first: a job that fails has failed checkpoints, too. */
function rank(sentence: Sentence): number {
  return ["restarts", "checkpoint", "lag"].indexOf(sentence.about);
}

function headlineOf(troubles: Sentence[], input: HealthInput): string {
  switch (troubles[0]?.about) {
    case "lag":
      return "Falling behind";
    case "checkpoint":
      return "Running, but checkpoints fail";
    case "restarts":
      return recentFailures(input).length >= OFTEN ? "Running, but unstable" : "Running again after a failure";
    default:
      return "Running, with trouble";
  }
}

function deploying(input: HealthInput, counts: TaskCounts): Health {
  const missing = counts.total - counts.running - counts.finished;
  const text = `${counts.running} of ${plural(counts.total, "task")} run, ${missing} ${missing === 1 ? "is" : "are"} on the way`;
  const sentences: Sentence[] = [{ about: "state", text }];
  const from = restoredFrom(input);
  if (from) sentences.push({ about: "checkpoint", text: `Goes on from ${from}`, more: "checkpoints" });
  return { level: "wait", headline: "Starting", sentences };
}

function throughput(input: HealthInput): Sentence | null {
  const value = input.recordsPerSecond;
  if (value === undefined) return null;
  return { about: "throughput", text: value === 0 ? "No records come in" : `${compact(Math.round(value))} records/s` };
}

function lag(input: HealthInput): Sentence | null {
  const found = eventTimeLag(input.job);
  if (found === null) return null;
  const behind = duration(found.lag);
  const trend = input.lagTrend;
  if (trend !== undefined && trend > FALLING_BEHIND && found.lag > LAG_WORTH_A_WARNING_MS) {
    const text = `Event time is ${behind} behind and falls back ${trend.toFixed(1)} s each second`;
    return { about: "lag", text, trouble: true, more: `vertices/${found.vertex.id}` };
  }
  const catching = trend !== undefined && trend < -FALLING_BEHIND && found.lag > LAG_WORTH_A_WARNING_MS;
  return { about: "lag", text: `Event time ${behind} behind${catching ? ", catching up" : ""}` };
}

function checkpoint(input: HealthInput): Sentence | null {
  const { checkpoints, config, now } = input;
  if (checkpoints === undefined) return null;
  const latest = checkpoints.latest.completed;
  const interval = config?.interval ?? 0;
  const off = config !== undefined && (interval <= 0 || interval >= NEVER_MS);
  const failedSince = failuresSince(checkpoints, latest);
  if (failedSince.length > 0) return failingCheckpoints(failedSince, latest, input);
  if (latest === null) {
    if (off) return { about: "checkpoint", text: "Checkpoints are off: a failure starts it from the beginning" };
    return { about: "checkpoint", text: "No checkpoint yet", more: "checkpoints" };
  }
  const done = completedAt(latest);
  const kind = latest.is_savepoint ? "Savepoint" : "Checkpoint";
  const took = duration(latest.end_to_end_duration);
  const overdue = !off && interval > 0 && now - done > Math.max(3 * interval, interval + 60_000);
  const since = `${kind} ${latest.id} completed ${when(done, now)}`;
  if (overdue) {
    const text = `No checkpoint for ${duration(now - done)}, although one is due every ${duration(interval)}`;
    return { about: "checkpoint", text, trouble: true, more: "checkpoints" };
  }
  return { about: "checkpoint", text: `${since} (${took})`, more: "checkpoints" };
}

function failuresSince(checkpoints: Checkpoints, latest: Checkpoint | null): Checkpoint[] {
  return checkpoints.history.filter(
    (one) => one.status === "FAILED" && !one.is_savepoint && one.id > (latest?.id ?? 0),
  );
}

function failingCheckpoints(failures: Checkpoint[], latest: Checkpoint | null, input: HealthInput): Sentence {
  const newest = failures[0];
  const good = latest === null ? "none has completed" : `the last good one is ${latest.id}, ${when(completedAt(latest), input.now)}`;
  // A checkpoint that failed with its tasks needs no reason of its own.
  const told = recentFailures(input).some((failure) => newest?.failure_message?.includes(causeOf(failure)));
  const why = newest?.failure_message && !told ? `: ${oneLine(newest.failure_message)}` : "";
  const text = `The last ${failures.length === 1 ? "checkpoint" : `${failures.length} checkpoints`} failed; ${good}${why}`;
  return { about: "checkpoint", text, trouble: true, more: "checkpoints" };
}

/** What limits the job, in words. */
export function limit(found: Limit | null): Sentence | null {
  if (found === null) return null;
  if (found.kind === "slots") {
    const parts = found.vertices.map((share) => `${short(share.vertex.name)} ${percent(share.busy)}`).join(", ");
    return { about: "limit", text: `Limited by its slots, which are ${percent(found.busy)} busy: ${parts}` };
  }
  const name = short(found.vertex.name);
  const more = `vertices/${found.vertex.id}`;
  if (found.kind === "input") {
    return { about: "limit", text: `Nothing limits it: the busiest task, ${name}, is ${percent(found.busy)} busy`, more };
  }
  const who = found.skewed ? `subtask ${found.subtask} of ${name}` : name;
  const uneven = found.skewed ? "; its work is spread unevenly" : "";
  return { about: "limit", text: `Limited by: ${who} (${percent(found.busy)} busy${uneven})`, more };
}

function late(job: Job): Sentence | null {
  const dropped = job.vertices.reduce((sum, vertex) => sum + (vertex["late-dropped"] ?? 0), 0);
  if (dropped === 0) return null;
  return { about: "late", text: `${plural(dropped, "late record")} dropped` };
}

function recentFailures(input: HealthInput): Failure[] {
  return (input.failures ?? []).filter((failure) => input.now - failure.timestamp < RECENT_MS);
}

/** It failed a moment ago, or has not completed a checkpoint since. */
function unproven(input: HealthInput, newest: Failure): boolean {
  if (input.now - newest.timestamp < JUST_NOW_MS) return true;
  const latest = input.checkpoints?.latest.completed;
  return latest !== undefined && latest !== null && completedAt(latest) < newest.timestamp;
}

function restarts(input: HealthInput): Sentence | null {
  const recent = recentFailures(input);
  const newest = recent[0];
  if (newest === undefined || input.job.restarts === 0) return null;
  const often = recent.length > 1 ? `Failed ${recent.length} times within 10 minutes, last` : "Restarted after a failure";
  const text = `${often} ${ago(newest.timestamp, input.now)}: ${causeOf(newest)}`;
  const trouble = recent.length >= OFTEN || unproven(input, newest);
  return { about: "restarts", text, trouble, more: "exceptions" };
}

// -------------------------------------------------------------------------------- all that is not running

function restarting(input: HealthInput): Health {
  const { job, now } = input;
  const change = lastChange(job);
  const since = change === undefined ? "" : ` since ${duration(Math.max(0, now - change.timestamp))}`;
  const sentences: Sentence[] = [];
  const newest = input.failures?.[0];
  const why = newest !== undefined ? causeOf(newest) : change?.cause;
  if (why) sentences.push({ about: "failure", text: capital(why), more: "exceptions", trouble: true });
  const from = restoredFrom(input);
  const goesOn = from ? `Goes on from ${from}` : "No checkpoint yet: starts from the beginning";
  sentences.push({ about: "checkpoint", text: goesOn, more: "checkpoints" });
  if (job.restarts > 0) sentences.push({ about: "restarts", text: `This is restart ${job.restarts + 1}`, more: "timeline" });
  const headline = job.state === "FAILING" ? `Failing${since}` : `Restarting${since}`;
  return { level: "bad", headline, sentences };
}

function failed(input: HealthInput): Health {
  const { job, now } = input;
  const newest = input.failures?.[0];
  const sentences: Sentence[] = [];
  const why = newest !== undefined ? causeOf(newest) : lastChange(job)?.cause;
  if (why) sentences.push({ about: "failure", text: capital(why), more: "exceptions", trouble: true });
  if (job.restarts > 0) sentences.push({ about: "restarts", text: `Had restarted ${plural(job.restarts, "time")}` });
  add(sentences, kept(input));
  return { level: "bad", headline: `Failed ${when(job["end-time"], now)}`, sentences };
}

function gone(input: HealthInput): Health {
  const { job, now } = input;
  const word = job.state === "FINISHED" ? "Finished" : "Cancelled";
  const sentences: Sentence[] = [{ about: "state", text: `Ran ${duration(job.duration)}` }];
  const read = job.vertices.length === 0 ? 0 : recordsRead(job);
  const since = startedAgain(job) ? " since its tasks started last" : "";
  if (read > 0) sentences.push({ about: "throughput", text: `${compact(read)} records read${since}` });
  add(sentences, kept(input));
  return { level: "ended", headline: `${word} ${when(job["end-time"], now)}`, sentences };
}

function waiting(input: HealthInput, word: string): Health {
  const change = lastChange(input.job);
  const since = change === undefined ? "" : ` since ${duration(Math.max(0, input.now - change.timestamp))}`;
  const counts = taskCounts(input.job);
  const sentences: Sentence[] = [{ about: "state", text: `${counts.running} of ${plural(counts.total, "task")} run` }];
  if (change?.cause) sentences.unshift({ about: "state", text: capital(change.cause) });
  return { level: "wait", headline: word + since, sentences };
}

function kept(input: HealthInput): Sentence | null {
  const latest = input.checkpoints?.latest.completed;
  if (!latest) return null;
  const kind = latest.is_savepoint ? "savepoint" : "checkpoint";
  const text = `Last good ${kind} is ${latest.id}, ${ago(completedAt(latest), input.now)}`;
  return { about: "checkpoint", text, more: "checkpoints" };
}

// ----------------------------------------------------------------------------------------------- helpers

interface TaskCounts {
  total: number;
  running: number;
  finished: number;
}

export function taskCounts(job: Job): TaskCounts {
  const counts = { total: 0, running: 0, finished: 0 };
  for (const vertex of job.vertices) {
    counts.total += vertex.parallelism;
    counts.running += vertex.tasks["RUNNING"] ?? 0;
    counts.finished += vertex.tasks["FINISHED"] ?? 0;
  }
  return counts;
}

export function completedAt(one: Checkpoint): number {
  return one.trigger_timestamp + Math.max(0, one.end_to_end_duration);
}

export function lastChange(job: Job): Transition | undefined {
  return (job.transitions ?? []).at(-1);
}

/** "LESTO-6001: ValueError: no price" as a person would say it, without the code. */
export function causeOf(failure: Failure): string {
  return oneLine(failure.message || failure.exceptionName.replace(/^LESTO-\d{4}: /, ""));
}

/** A chain's name with arrows, and tables of the default database by their own name. */
export function pretty(name: string): string {
  return name.replaceAll(" -> ", " → ").replaceAll("default_catalog.default_database.", "");
}

/** A chain's name with arrows; a long one by its ends: "Source: flights → … → Sink". */
export function short(name: string, limit = 48): string {
  const parts = pretty(name).split(" → ");
  const whole = parts.join(" → ");
  if (whole.length <= limit) return whole;
  if (parts.length > 2) {
    const ends = `${parts[0]} → … → ${parts.at(-1)}`;
    if (ends.length <= limit) return ends;
  }
  return `${whole.slice(0, limit - 1)}…`;
}

function restoredFrom(input: HealthInput): string {
  const latest = input.checkpoints?.latest.completed;
  if (!latest) return "";
  return `${latest.is_savepoint ? "savepoint" : "checkpoint"} ${latest.id}`;
}

function when(at: number, now: number): string {
  const text = ago(at, now);
  return text === "now" ? "just now" : text;
}

/** Whether tasks were started after the job was: what they count begins there. */
export function startedAgain(job: Job): boolean {
  const first = (job.transitions ?? []).find((change) => change.state === "RUNNING")?.timestamp ?? job["start-time"];
  return job.vertices.some((vertex) => vertex["start-time"] > first + 2_000);
}

function recordsRead(job: Job): number {
  const fed = new Set(job.plan.nodes.filter((node) => (node.inputs ?? []).length > 0).map((node) => node.id));
  return job.vertices
    .filter((vertex) => !fed.has(vertex.id))
    .reduce((sum, vertex) => sum + Math.max(0, vertex.metrics["read-records"]), 0);
}

function oneLine(text: string, limit = 160): string {
  const line = text.split("\n", 1)[0] ?? "";
  return line.length > limit ? `${line.slice(0, limit - 1)}…` : line;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function add(sentences: Sentence[], sentence: Sentence | null): void {
  if (sentence !== null) sentences.push(sentence);
}
