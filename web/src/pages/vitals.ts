// Memory and CPU of processes over the last minutes, from their metrics.

import { useEffect, useRef, useState } from "preact/hooks";

import { usePoll } from "../api";
import type { Metric } from "../types";

const POLL_MS = 2000;
/** Values kept for the lines: the last two minutes. */
const KEPT = 60;
const NANOSECONDS = 1e9;

export interface Vitals {
  /** Bytes of the process's memory; null: not known yet. */
  memory: number | null;
  /** Cores in use since the last look: 1.5 is one and a half. */
  cpu: number | null;
  threads: number | null;
  files: number | null;
  memoryLine: number[];
  cpuLine: number[];
}

interface Seen {
  cpuTime: number;
  at: number;
}

const NONE: Vitals = { memory: null, cpu: null, threads: null, files: null, memoryLine: [], cpuLine: [] };
const NAMES = [
  "Status.JVM.CPU.Time",
  "Status.JVM.Memory.Heap.Used",
  "Status.JVM.Threads.Count",
  "Status.FileDescriptor.Open",
] as const;

function numberOf(values: ReadonlyMap<string, number>, name: string): number | null {
  const value = values.get(name);
  return value !== undefined && Number.isFinite(value) && value >= 0 ? value : null;
}

function next(old: Vitals, values: ReadonlyMap<string, number>, prefix: string, cpu: number | null): Vitals {
  const memory = numberOf(values, prefix + NAMES[1]);
  const kept = (line: number[], value: number | null): number[] =>
    value === null ? line : [...line, value].slice(-KEPT);
  return {
    memory,
    cpu,
    threads: numberOf(values, prefix + NAMES[2]),
    files: numberOf(values, prefix + NAMES[3]),
    memoryLine: kept(old.memoryLine, memory),
    cpuLine: kept(old.cpuLine, cpu),
  };
}

/**
 * What the processes behind `base` use. `prefixes` name them in the metrics: "" is the process itself, "slot.0." a slot.
 */
export function useVitals(base: string, prefixes: readonly string[]): ReadonlyMap<string, Vitals> {
  const ids = prefixes.flatMap((prefix) => NAMES.map((name) => prefix + name));
  const metrics = usePoll<Metric[]>(`${base}/metrics?get=${ids.map(encodeURIComponent).join(",")}`, POLL_MS);
  const seen = useRef(new Map<string, Seen>());
  const [vitals, setVitals] = useState<ReadonlyMap<string, Vitals>>(new Map());

  useEffect(() => {
    if (!metrics.data) return;
    const values = new Map(metrics.data.map((metric) => [metric.id, Number(metric.value)]));
    const at = performance.now();
    setVitals((old) => {
      const made = new Map<string, Vitals>();
      for (const prefix of prefixes) {
        const cpuTime = numberOf(values, prefix + NAMES[0]);
        const before = seen.current.get(prefix);
        let cpu: number | null = null;
        if (cpuTime !== null) {
          // A process that was started anew counts from zero: nothing can be said of it for one look.
          if (before && cpuTime >= before.cpuTime && at > before.at) {
            cpu = (cpuTime - before.cpuTime) / NANOSECONDS / ((at - before.at) / 1000);
          }
          seen.current.set(prefix, { cpuTime, at });
        }
        made.set(prefix, next(old.get(prefix) ?? NONE, values, prefix, cpu));
      }
      return made;
    });
  }, [metrics.data]);
  return vitals;
}

export function vitalsOf(vitals: ReadonlyMap<string, Vitals>, prefix: string): Vitals {
  return vitals.get(prefix) ?? NONE;
}

/** Cores in use: "1.25". */
export function cores(cpu: number | null): string {
  return cpu === null ? "–" : cpu.toFixed(2);
}
