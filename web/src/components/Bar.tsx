import type { JSX } from "preact";

import { percent } from "../format";
import type { Tone } from "./Badge";

/** A share of a whole as a bar. */
export function Bar(props: { value: number; max: number; label: string; tone?: Tone; text?: string }): JSX.Element {
  const share = props.max > 0 ? Math.min(1, Math.max(0, props.value / props.max)) : 0;
  return (
    <span class="bar">
      <span
        class="bar-track"
        role="meter"
        aria-label={props.label}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(share * 100)}
        aria-valuetext={props.text ?? percent(share)}
      >
        <span class={`bar-fill tone-${props.tone ?? "info"}`} style={{ width: `${share * 100}%` }} />
      </span>
      <span class="num bar-text">{props.text ?? percent(share)}</span>
    </span>
  );
}

/** The last values as a line, newest at the right. */
export function Sparkline(props: { values: readonly number[]; label: string; max?: number }): JSX.Element | null {
  const { values } = props;
  if (values.length < 2) return null;
  const top = props.max ?? Math.max(...values, 1);
  const step = 100 / (values.length - 1);
  const at = (value: number, i: number): string =>
    `${(i * step).toFixed(1)},${(23 - (Math.min(value, top) / top) * 22).toFixed(1)}`;
  const line = values.map(at).join(" ");
  return (
    <svg class="sparkline" viewBox="0 0 100 24" preserveAspectRatio="none" role="img" aria-label={props.label}>
      <polygon points={`0,24 ${line} 100,24`} />
      <polyline points={line} />
    </svg>
  );
}
