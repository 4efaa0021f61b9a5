// States by shape, text and colour together: no meaning hangs on colour alone.

import type { ComponentChildren, JSX } from "preact";

import { count } from "../format";
import { Icon, type IconName } from "./Icon";

export type Tone = "neutral" | "info" | "good" | "warn" | "bad" | "muted";

export function Badge(props: { tone?: Tone; icon?: IconName; title?: string; children: ComponentChildren }): JSX.Element {
  return (
    <span class={`badge tone-${props.tone ?? "neutral"}`} title={props.title}>
      {props.icon && <Icon name={props.icon} size={12} />}
      {props.children}
    </span>
  );
}

const STATES: Record<string, [Tone, IconName]> = {
  RUNNING: ["good", "running"],
  FINISHED: ["neutral", "check"],
  COMPLETED: ["good", "check"],
  FAILED: ["bad", "cross"],
  FAILING: ["bad", "cross"],
  CANCELED: ["muted", "stop"],
  CANCELING: ["warn", "stop"],
  CANCELLING: ["warn", "stop"],
  RESTARTING: ["warn", "restart"],
  IN_PROGRESS: ["info", "clock"],
  SUSPENDED: ["muted", "pause"],
  RECONCILING: ["info", "restart"],
  INITIALIZING: ["info", "clock"],
  CREATED: ["info", "clock"],
  SCHEDULED: ["info", "clock"],
  DEPLOYING: ["info", "clock"],
  FREE: ["muted", "pause"],
  BUSY: ["good", "running"],
};

function words(state: string): string {
  if (state === "CANCELED") return "Cancelled"; // the API's spelling is American, the dashboard's is not
  if (state === "CANCELING") return "Cancelling";
  return state.charAt(0) + state.slice(1).toLowerCase().replaceAll("_", " ");
}

export function toneOf(state: string): Tone {
  return STATES[state]?.[0] ?? "neutral";
}

/** The state of a job, task, checkpoint or slot. */
export function StateBadge(props: { state: string }): JSX.Element {
  const [tone, icon] = STATES[props.state] ?? ["neutral", "info"];
  return (
    <Badge tone={tone} icon={icon}>
      {words(props.state)}
    </Badge>
  );
}

const TASK_ORDER = [
  "RUNNING",
  "FINISHED",
  "INITIALIZING",
  "DEPLOYING",
  "SCHEDULED",
  "CREATED",
  "RECONCILING",
  "CANCELING",
  "CANCELED",
  "FAILED",
];

/** States before the work: a strip shows them hatched. */
const PENDING: ReadonlySet<string> = new Set(["CREATED", "SCHEDULED", "DEPLOYING", "INITIALIZING", "RECONCILING"]);

/** How many tasks are in which state: one strip, with the numbers beside it. Takes upper or lower case names. */
export function TaskBar(props: { tasks: Record<string, number | undefined> }): JSX.Element {
  const tasks = new Map(Object.entries(props.tasks).map(([state, n]) => [state.toUpperCase(), n ?? 0]));
  const parts = TASK_ORDER.map((state) => ({ state, n: tasks.get(state) ?? 0 })).filter((part) => part.n > 0);
  const total = parts.reduce((sum, part) => sum + part.n, 0);
  if (total === 0) return <span class="muted">no tasks</span>;
  const running = tasks.get("RUNNING") ?? 0;
  const waiting = parts.some((part) => PENDING.has(part.state));
  const label = parts.map((part) => `${part.n} ${words(part.state).toLowerCase()}`).join(", ");
  return (
    <span class="taskbar" title={label}>
      <span class="taskbar-strip" role="img" aria-label={label}>
        {parts.map((part) => (
          <span key={part.state} class={`tone-${PENDING.has(part.state) ? "pending" : toneOf(part.state)}`} style={{ flexGrow: part.n }} />
        ))}
      </span>
      <span class="num">
        {running === total || (running === 0 && !waiting) ? count(total) : `${count(running)}/${count(total)}`}
      </span>
    </span>
  );
}
