// One job as it is followed while its page is open: what is polled, and rates and trends computed from it.

import { useEffect, useMemo, useRef } from "preact/hooks";

import { usePoll } from "../api";
import type { Poll } from "../api";
import { healthOf } from "./health";
import type { Health } from "./health";
import { eventTimeLag, sourceIds } from "./limits";
import { ended, reportClock } from "./model";
import type { CheckpointConfig, Checkpoints, Exceptions, Job } from "./model";
import { Rates, Trend } from "./rates";

const JOB_MS = 1_000;
const BESIDES_MS = 2_000;
const ENDED_MS = 15_000;
export const EXCEPTIONS_SHOWN = 20;

export interface JobWatch {
  poll: Poll<Job>;
  checkpoints: Poll<Checkpoints>;
  config: Poll<CheckpointConfig>;
  exceptions: Poll<Exceptions>;
  rates: Rates;
  health: Health | undefined;
  /** Records per second that the sources read, newest last. */
  intake: readonly number[];
  recordsPerSecond: number | undefined;
  lag: number | null;
}

interface Followed {
  rates: Rates;
  trend: Trend;
  intake: number[];
  seen: number;
}

const INTAKE_KEPT = 120;

function follow(followed: Followed, job: Job): void {
  if (job.now <= followed.seen) return;
  followed.seen = job.now;
  for (const vertex of job.vertices) {
    const clock = reportClock(vertex);
    followed.rates.push(`${vertex.id}:in`, clock, vertex.metrics["read-records"], job.now);
    followed.rates.push(`${vertex.id}:out`, clock, vertex.metrics["write-records"], job.now);
  }
  const lag = eventTimeLag(job);
  followed.trend.push(job.now, lag === null ? null : lag.lag / 1000);
  const rate = intakeOf(followed.rates, job);
  if (rate !== undefined) {
    followed.intake.push(rate);
    if (followed.intake.length > INTAKE_KEPT) followed.intake.shift();
  }
}

function intakeOf(rates: Rates, job: Job): number | undefined {
  if (job.state !== "RUNNING") return undefined;
  let sum: number | undefined;
  for (const id of sourceIds(job)) {
    const rate = rates.rate(`${id}:in`);
    if (rate !== undefined) sum = (sum ?? 0) + rate;
  }
  return sum;
}

/** Follow a job. */
export function useJobWatch(jobId: string): JobWatch {
  const followed = useRef<Followed>({ rates: new Rates(), trend: new Trend(), intake: [], seen: 0 });
  const over = useRef(false);
  const base = `/jobs/${encodeURIComponent(jobId)}`;
  const poll = usePoll<Job>(base, over.current ? ENDED_MS : JOB_MS);
  const unknown = poll.data === undefined && poll.error !== undefined;
  over.current ||= poll.error?.status === 404; // it does not come back: no need to ask each second
  const beside = unknown ? null : base;
  const slow = over.current ? ENDED_MS : BESIDES_MS;
  const checkpoints = usePoll<Checkpoints>(beside && `${beside}/checkpoints`, slow);
  const config = usePoll<CheckpointConfig>(beside && `${beside}/checkpoints/config`, 0);
  const exceptions = usePoll<Exceptions>(beside && `${beside}/exceptions?maxExceptions=${EXCEPTIONS_SHOWN}`, slow);
  const job = poll.data;
  if (job !== undefined) {
    follow(followed.current, job);
    over.current = ended(job);
  }
  const { rates, trend, intake } = followed.current;
  const recordsPerSecond = job === undefined ? undefined : intakeOf(rates, job);
  const health = useMemo(
    () =>
      job === undefined
        ? undefined
        : healthOf({
            job,
            now: job.now,
            recordsPerSecond,
            lagTrend: trend.perSecond(),
            checkpoints: checkpoints.data,
            config: config.data,
            failures: exceptions.data?.exceptionHistory.entries,
          }),
    [job, checkpoints.data, config.data, exceptions.data, recordsPerSecond],
  );
  // The state has changed: what stands beside it has, too.
  const state = job?.state;
  useEffect(() => {
    if (state === undefined) return;
    checkpoints.reload();
    exceptions.reload();
  }, [state]);
  const lag = job === undefined ? null : (eventTimeLag(job)?.lag ?? null);
  return { poll, checkpoints, config, exceptions, rates, health, intake, recordsPerSecond, lag };
}
