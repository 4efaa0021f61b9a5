// Numbers and times as text. Flink's -1, NaN and missing values are a dash, never a number.

export const NONE = "–";

function missing(value: number | null | undefined): value is null | undefined {
  return value === null || value === undefined || !Number.isFinite(value);
}

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** 1234567 is "1,234,567". */
export function count(value: number | null | undefined): string {
  return missing(value) || value < 0 ? NONE : whole.format(value);
}

/** Three significant digits: 950, 1.23 k, 45.6 M. */
export function compact(value: number | null | undefined): string {
  if (missing(value)) return NONE;
  const size = Math.abs(value);
  for (const [unit, name] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]] as const) {
    // 999,950 is 1.00 M, not 1000 k
    if (size >= unit * 0.9995 && size >= 1000) return `${digits(value / unit)} ${name}`;
  }
  return Number.isInteger(value) ? String(value) : digits(value);
}

function digits(value: number): string {
  const size = Math.abs(value);
  if (size >= 99.95) return value.toFixed(0);
  return value.toFixed(size >= 9.995 ? 1 : 2);
}

/** Records per second. */
export function rate(value: number | null | undefined): string {
  return missing(value) || value < 0 ? NONE : `${compact(value)}/s`;
}

/** Bytes with binary units, as Flink shows them: 1.50 MiB. */
export function bytes(value: number | null | undefined): string {
  if (missing(value) || value < 0) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let size = value;
  let unit = 0;
  while (size >= 1023.5 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return unit === 0 ? `${whole.format(size)} B` : `${digits(size)} ${units[unit]}`;
}

/** A length of time in its two largest units: 850 ms, 4.2 s, 3 m 12 s, 2 h 5 m, 12 d 3 h. */
export function duration(ms: number | null | undefined): string {
  if (missing(ms) || ms < 0) return NONE;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} m ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${minutes % 60} m`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** How long ago, in one unit: now, 12 s ago, 3 m ago. */
export function ago(moment: number | null | undefined, now: number): string {
  if (missing(moment) || moment <= 0) return NONE;
  const seconds = Math.round((now - moment) / 1000);
  if (seconds < 1) return "now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

function two(value: number, width = 2): string {
  return String(value).padStart(width, "0");
}

/** Local date and time: 2026-11-23 14:03:12. */
export function dateTime(moment: number | null | undefined): string {
  if (missing(moment) || moment <= 0) return NONE;
  const at = new Date(moment);
  return `${two(at.getFullYear(), 4)}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(moment)}`;
}

/** Local time of day: 14:03:12. */
export function clock(moment: number | null | undefined): string {
  if (missing(moment) || moment <= 0) return NONE;
  const at = new Date(moment);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** A share from 0 to 1: 42 %. */
export function percent(share: number | null | undefined): string {
  if (missing(share) || share < 0) return NONE;
  const value = share * 100;
  return value > 0 && value < 1 ? "<1 %" : `${Math.round(value)} %`;
}

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** The first digits of a long id. */
export function shortId(id: string): string {
  return id.length > 12 ? id.slice(0, 8) : id;
}
