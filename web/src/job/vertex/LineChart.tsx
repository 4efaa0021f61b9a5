import type { JSX } from "preact";

import { clock, compact } from "../../format";

export interface Point {
  at: number;
  value: number;
}

const TIMES_FROM = 1e11;
const WIDTH = 320;
const HEIGHT = 96;
const LEFT = 44;
const BOTTOM = 16;

/** A value over time, with the least and the greatest at the side. */
export function LineChart(props: { points: readonly Point[]; label: string }): JSX.Element {
  const { points } = props;
  const first = points[0];
  const last = points.at(-1);
  if (first === undefined || last === undefined || points.length < 2) {
    return <p class="muted small chart-wait">drawn from the second value on</p>;
  }
  const values = points.map((point) => point.value);
  const top = Math.max(...values);
  const least = Math.min(...values);
  // From zero, so that noise looks like noise; event times are too far from it.
  const low = least >= 0 && top < TIMES_FROM ? 0 : least;
  const high = top > low ? top : low + 1;
  const x = (at: number): number => LEFT + ((WIDTH - LEFT - 4) * (at - first.at)) / Math.max(1, last.at - first.at);
  const y = (value: number): number => 6 + (HEIGHT - BOTTOM - 6) * (1 - (value - low) / (high - low));
  const line = points.map((point) => `${x(point.at).toFixed(1)},${y(point.value).toFixed(1)}`).join(" ");
  const label = `${props.label}: from ${compact(least)} to ${compact(top)}, now ${compact(last.value)}`;
  return (
    <svg class="linechart" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={label}>
      <line x1={LEFT} x2={WIDTH - 4} y1={y(high)} y2={y(high)} />
      <line x1={LEFT} x2={WIDTH - 4} y1={y(low)} y2={y(low)} />
      <polyline points={line} />
      <text x={LEFT - 6} y={y(high) + 4} text-anchor="end">
        {compact(high)}
      </text>
      <text x={LEFT - 6} y={y(low) + 2} text-anchor="end">
        {compact(low)}
      </text>
      <text x={LEFT} y={HEIGHT - 3}>
        {clock(first.at)}
      </text>
      <text x={WIDTH - 4} y={HEIGHT - 3} text-anchor="end">
        {clock(last.at)}
      </text>
    </svg>
  );
}
