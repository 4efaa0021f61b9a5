// Rates from counters that are polled. Tasks report once a second, so a difference of two polls may hold no report
// or two: a window of several seconds evens that out. A counter that falls belongs to a restarted task: the window
// starts again, and no negative rate is ever shown.

const WINDOW_MS = 6_000;
const SHORTEST_MS = 1_800;
const HISTORY = 120;

interface Sample {
  at: number;
  value: number;
}

export class Rates {
  private readonly windows = new Map<string, Sample[]>();
  private readonly histories = new Map<string, Sample[]>();

  /** Take a counter's value at a moment (ms); moments that do not grow are ignored. */
  push(name: string, at: number, value: number): void {
    let window = this.windows.get(name);
    if (window === undefined) this.windows.set(name, (window = []));
    const last = window.at(-1);
    if (last !== undefined && at <= last.at) return;
    if (last !== undefined && value < last.value) window.length = 0;
    window.push({ at, value });
    while (window.length > 2 && at - (window[1]?.at ?? at) >= WINDOW_MS) window.shift();
    const rate = this.rate(name);
    if (rate === undefined) return;
    let history = this.histories.get(name);
    if (history === undefined) this.histories.set(name, (history = []));
    history.push({ at, value: rate });
    if (history.length > HISTORY) history.shift();
  }

  /** Increase per second over the window; undefined until it spans two reports. */
  rate(name: string): number | undefined {
    const window = this.windows.get(name);
    const first = window?.[0];
    const last = window?.at(-1);
    if (first === undefined || last === undefined || last.at - first.at < SHORTEST_MS) return undefined;
    return ((last.value - first.value) * 1000) / (last.at - first.at);
  }

  /** Rates over time, oldest first. */
  history(name: string): readonly Sample[] {
    return this.histories.get(name) ?? [];
  }
}

/** How a value moves: change per second over the samples kept. For lag: above 0 falls behind. */
export class Trend {
  private readonly samples: Sample[] = [];

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
