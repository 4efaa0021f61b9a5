// Bars and ticks of the timeline. Pure.

import { clock } from "../format";
import type { JobEvent, Transition } from "./model";

export interface Span {
  state: string;
  from: number;
  to: number;
  cause: string;
}

/** The states one after another; the last goes on to the end. */
export function spans(transitions: readonly Transition[], from: number, to: number): Span[] {
  return (transitions ?? []).map((change, i) => ({
    state: change.state,
    from: Math.max(from, change.timestamp),
    to: Math.max(from, Math.min(to, transitions[i + 1]?.timestamp ?? to)),
    cause: change.cause,
  }));
}

const STEPS = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 43_200, 86_400, 604_800].map((s) => s * 1000);
const TICKS = 7;

/** Round moments between two, not more than a handful. */
export function marks(from: number, to: number): { at: number; text: string }[] {
  const step = STEPS.find((one) => (to - from) / one <= TICKS) ?? Math.ceil((to - from) / TICKS);
  const found = [];
  for (let at = Math.ceil(from / step) * step; at <= to && found.length <= TICKS; at += step) {
    found.push({ at, text: clock(at) });
  }
  return found;
}

/** So many completed checkpoints in a row are one line. */
const FOLDED_FROM = 4;
const ROUTINE = "checkpoint.completed";

export interface Run {
  folded: boolean;
  events: JobEvent[];
  /** The event before the oldest of the run. */
  before: JobEvent | undefined;
}

/** Events, newest first, with runs of completed checkpoints folded. */
export function folds(newest: readonly JobEvent[]): Run[] {
  const runs: Run[] = [];
  let at = 0;
  while (at < newest.length) {
    let end = at + 1;
    if (newest[at]?.kind === ROUTINE) while (newest[end]?.kind === ROUTINE) end += 1;
    const events = newest.slice(at, end);
    runs.push({ folded: events.length >= FOLDED_FROM, events, before: newest[end] });
    at = end;
  }
  return runs;
}
