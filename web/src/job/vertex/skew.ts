// How unevenly records are spread over subtasks. Pure.

export interface Skew {
  /** 0: all the same; 1: one has everything. */
  skew: number;
  /** Index of the largest. */
  largest: number;
  /** The largest against the mean. */
  factor: number;
}

/** Null where there is nothing to compare: one subtask, or no records. */
export function skewOf(counts: readonly number[]): Skew | null {
  const values = counts.map((value) => (Number.isFinite(value) ? Math.max(0, value) : 0));
  const sum = values.reduce((a, b) => a + b, 0);
  if (values.length < 2 || sum === 0) return null;
  const mean = sum / values.length;
  const off = values.reduce((total, value) => total + Math.abs(value - mean), 0);
  const worst = 2 * (sum - mean);
  const largest = values.indexOf(Math.max(...values));
  return { skew: worst > 0 ? off / worst : 0, largest, factor: (values[largest] ?? 0) / mean };
}
