// Bars and ticks of the timeline. Pure.

import { clock } from "../format";
import type { Transition } from "./model";

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
