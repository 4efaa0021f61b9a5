import type { JSX } from "preact";

import { plural } from "../format";
import type { TaskManager } from "../types";

const MOST = 32;

/** One square a slot: filled when something runs in it. */
export function SlotSquares(props: { worker: TaskManager }): JSX.Element {
  const { worker } = props;
  const used = worker.slotsNumber - worker.freeSlots;
  const label = `${used} of ${plural(worker.slotsNumber, "slot")} in use`;
  return (
    <span class="squares" role="img" aria-label={label} title={label}>
      {Array.from({ length: Math.min(worker.slotsNumber, MOST) }, (_, i) => (
        <span key={i} class={i < used ? "used" : ""} />
      ))}
    </span>
  );
}
