import type { JSX } from "preact";

import { percent } from "../../format";

export interface Shares {
  busy: number;
  idle: number;
  backpressured: number;
}

/** Where a task's time goes: one strip, told apart by colour, pattern and words. */
export function ActivityStrip(props: { shares: Shares | null; text?: boolean }): JSX.Element {
  const { shares } = props;
  if (shares === null) return <span class="muted small">no report</span>;
  const label = `${percent(shares.busy)} busy, ${percent(shares.backpressured)} backpressured, ${percent(shares.idle)} idle`;
  return (
    <span class="activity" title={label}>
      <span class="activity-strip" role="img" aria-label={label}>
        <span class="activity-busy" style={{ width: `${100 * shares.busy}%` }} />
        <span class="activity-held" style={{ width: `${100 * shares.backpressured}%` }} />
      </span>
      {props.text && (
        <span class="activity-text num small">
          {percent(shares.busy)} · {percent(shares.backpressured)} · {percent(shares.idle)}
        </span>
      )}
    </span>
  );
}

export function ActivityLegend(): JSX.Element {
  return (
    <span class="activity-legend small">
      <span>
        <i class="activity-busy" /> busy
      </span>
      <span>
        <i class="activity-held" /> backpressured: could work, but waits for what is behind it
      </span>
      <span>
        <i class="activity-idle" /> idle: waits for input
      </span>
    </span>
  );
}
