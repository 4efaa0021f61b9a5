// "Which subtask was slow, and in which phase": one sentence about a checkpoint. Pure.

import { bytes, duration, percent } from "../format";
import { short } from "./health";
import type { Checkpoint, CheckpointSubtask } from "./model";

export type Phase = "start_delay" | "alignment" | "sync" | "async";

export const PHASES: readonly Phase[] = ["start_delay", "alignment", "sync", "async"];

/** Each phase: its name, and what time spent in it means. */
export const PHASE_WORDS: Record<Phase, { name: string; meaning: string }> = {
  start_delay: {
    name: "start delay",
    meaning: "the barrier waited behind records on its way: the job was backpressured",
  },
  alignment: {
    name: "alignment",
    meaning: "barriers of its other inputs came later: one input is slower than the others",
  },
  sync: { name: "sync", meaning: "the task took its snapshot itself and did no other work meanwhile" },
  async: { name: "async", meaning: "its files were written to the checkpoint storage while it went on" },
};

export interface Part {
  vertexId: string;
  vertexName: string;
  subtask: CheckpointSubtask;
}

/** A verdict is worth a colour from here on. */
const SLOW_MS = 1_000;
/** Below this the phases are not worth a word. */
const QUICK_MS = 20;
const STANDS_OUT = 2;

export function phases(subtask: CheckpointSubtask): Record<Phase, number> {
  return {
    start_delay: Math.max(0, subtask.start_delay ?? 0),
    alignment: Math.max(0, subtask.alignment?.duration ?? 0),
    sync: Math.max(0, subtask.checkpoint?.sync ?? 0),
    async: Math.max(0, subtask.checkpoint?.async ?? 0),
  };
}

export function totalOf(subtask: CheckpointSubtask): number {
  const parts = phases(subtask);
  return Math.max(subtask.end_to_end_duration ?? 0, PHASES.reduce((sum, phase) => sum + parts[phase], 0));
}

export interface Verdict {
  text: string;
  slow: boolean;
  /** The subtask that the sentence is about. */
  part?: Part;
  phase?: Phase;
}

/** One sentence: who was slowest (or has not answered), in which phase, and what that means. */
export function verdict(checkpoint: Checkpoint, parts: readonly Part[]): Verdict {
  const silent = parts.filter((part) => part.subtask.status !== "completed");
  if (checkpoint.status !== "COMPLETED" && silent.length > 0) return unanswered(checkpoint, parts, silent);
  const done = parts.filter((part) => part.subtask.status === "completed");
  if (done.length === 0) return { text: "What each subtask did is no longer known", slow: false };
  const slowest = done.reduce((a, b) => (totalOf(b.subtask) > totalOf(a.subtask) ? b : a));
  const total = totalOf(slowest.subtask);
  const phase = longest(slowest.subtask);
  const found = { part: slowest, phase, slow: total >= SLOW_MS };
  const who = `subtask ${slowest.subtask.index} of ${short(slowest.vertexName)}`;
  if (total < QUICK_MS) return { ...found, text: `No subtask was slow: the slowest, ${who}, took ${duration(total)}` };
  const others = done.filter((part) => part !== slowest).map((part) => totalOf(part.subtask));
  const typical = median(others);
  const alone = others.length > 0 && total >= STANDS_OUT * typical;
  const lead = !found.slow
    ? `No subtask was slow: the slowest, ${who}, took ${duration(total)}`
    : alone
      ? `${capital(who)} was slow: it took ${duration(total)}, the others ${duration(typical)}`
      : `${capital(who)} was the slowest with ${duration(total)}${others.length > 0 ? `, and the others were about as slow (${duration(typical)})` : ""}`;
  const spent = phases(slowest.subtask)[phase];
  const words = PHASE_WORDS[phase];
  const size = phase === "async" || phase === "sync" ? ` (${bytes(slowest.subtask.checkpointed_size)})` : "";
  return { ...found, text: `${lead}. ${percent(spent / total)} of it was ${words.name}: ${words.meaning}${size}` };
}

function unanswered(checkpoint: Checkpoint, parts: readonly Part[], silent: Part[]): Verdict {
  const first = silent[0];
  if (first === undefined) return { text: "", slow: false };
  const who = `subtask ${first.subtask.index} of ${short(first.vertexName)}`;
  const others = silent.length > 1 ? ` and ${silent.length - 1} more` : "";
  const did = checkpoint.status === "FAILED" ? "had not answered" : "has not answered yet";
  const answered = parts.length - silent.length;
  const text = `${capital(who)}${others} ${did} (${answered} of ${parts.length} had)`;
  return { text, slow: checkpoint.status === "FAILED", part: first };
}

function longest(subtask: CheckpointSubtask): Phase {
  const parts = phases(subtask);
  return PHASES.reduce((a, b) => (parts[b] > parts[a] ? b : a));
}

function median(values: number[]): number {
  const ordered = [...values].sort((a, b) => a - b);
  const middle = Math.floor(ordered.length / 2);
  return (ordered.length % 2 === 1 ? ordered[middle] : ((ordered[middle - 1] ?? 0) + (ordered[middle] ?? 0)) / 2) ?? 0;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
