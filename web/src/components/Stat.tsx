import type { ComponentChildren, JSX } from "preact";

/** One number with its name; several stand in a row of `Stats`. */
export function Stat(props: {
  label: string;
  value: ComponentChildren;
  note?: ComponentChildren;
  tone?: "bad" | "warn" | "good";
  href?: string;
  title?: string;
}): JSX.Element {
  const body = (
    <>
      <dt>{props.label}</dt>
      <dd class={`stat-value ${props.tone ? `text-${props.tone}` : ""}`}>
        {props.href ? <a href={props.href}>{props.value}</a> : props.value}
      </dd>
      {props.note !== undefined && <dd class="stat-note">{props.note}</dd>}
    </>
  );
  return (
    <div class="stat" title={props.title}>
      {body}
    </div>
  );
}

export function Stats(props: { children: ComponentChildren; label?: string }): JSX.Element {
  return (
    <dl class="stats" aria-label={props.label}>
      {props.children}
    </dl>
  );
}
