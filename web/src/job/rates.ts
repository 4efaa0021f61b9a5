// Rates from counters that are polled. Tasks report once a second, and a report carries its own clock: the time that
// the tasks have been busy, idle and backpressured. Rates are taken over that clock, so neither the poll's nor the
// network's jitter is in them. A counter or clock that falls belongs to a restarted task: the window starts again, and
// no negative rate is ever shown.

/** Reports that a rate is taken over, in ms of their clock. */
const WINDOW_MS = 5_000;
const SHORTEST_MS = 700;
/** Nothing reported for so long: the rate is not known any more. */
const SILENT_MS = 6_000;

interface Sample {
  clock: number;
  value: number;
}

interface Followed {
  window: Sample[];
  /** Wall clock of the last poll, and of the last one that brought a report. */
  polled: number;
  heard: number;
}

export class Rates {
  private readonly followed = new Map<string, Followed>();

  /**
   * Take a counter's value.
   *
   * @param clock ms, of the report that the value comes from; the same clock again is the same report
   * @param now ms, of the poll
   */
  push(name: string, clock: number, value: number, now: number): void {
    let one = this.followed.get(name);
    if (one === undefined) this.followed.set(name, (one = { window: [], polled: now, heard: now }));
    one.polled = now;
    const last = one.window.at(-1);
    if (last !== undefined && clock === last.clock && value === last.value) return;
    one.heard = now;
    if (last !== undefined && (clock < last.clock || value < last.value)) one.window.length = 0;
    if (one.window.at(-1)?.clock === clock) one.window.pop();
    one.window.push({ clock, value });
    while (one.window.length > 2 && clock - (one.window[1]?.clock ?? clock) >= WINDOW_MS) one.window.shift();
  }

  /** Increase per second over the window; undefined before two reports, and when reports have stopped. */
  rate(name: string): number | undefined {
    const one = this.followed.get(name);
    if (one === undefined || one.polled - one.heard > SILENT_MS) return undefined;
    const first = one.window[0];
    const last = one.window.at(-1);
    if (first === undefined || last === undefined || last.clock - first.clock < SHORTEST_MS) return undefined;
    return ((last.value - first.value) * 1000) / (last.clock - first.clock);
  }
}

/** How a value moves. For lag: above 0 falls behind. */
export class Trend {
  private readonly samples: { at: number; value: number }[] = [];

  constructor(private readonly windowMs = 30_000) {}

  push(at: number, value: number | null): void {
    if (value === null) {
      this.samples.length = 0;
      return;
    }
    const last = this.samples.at(-1);
    if (last !== undefined && at <= last.at) return;
    this.samples.push({ at, value });
    while (this.samples.length > 2 && at - (this.samples[0]?.at ?? at) > this.windowMs) this.samples.shift();
  }

  /** Change of the value per second; undefined before ten seconds have been seen. */
  perSecond(): number | undefined {
    const first = this.samples[0];
    const last = this.samples.at(-1);
    if (first === undefined || last === undefined || last.at - first.at < 10_000) return undefined;
    return ((last.value - first.value) * 1000) / (last.at - first.at);
  }
}
