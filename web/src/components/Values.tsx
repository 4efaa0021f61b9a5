// Values with their exact form in the tip.

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";

import { ago, bytes, count, dateTime, duration, shortId } from "../format";
import { Icon } from "./Icon";

export function Duration(props: { ms: number | null | undefined }): JSX.Element {
  return (
    <span class="num" title={props.ms !== undefined && props.ms !== null && props.ms >= 0 ? `${count(props.ms)} ms` : undefined}>
      {duration(props.ms)}
    </span>
  );
}

export function Bytes(props: { value: number | null | undefined }): JSX.Element {
  const known = props.value !== undefined && props.value !== null && props.value >= 0;
  return (
    <span class="num" title={known ? `${count(props.value)} bytes` : undefined}>
      {bytes(props.value)}
    </span>
  );
}

/** The time, each second, for what shows ages. */
export function useNow(): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

/** A moment: its age, or with `absolute` its date and time; the other form in the tip. */
export function When(props: { ms: number | null | undefined; absolute?: boolean }): JSX.Element {
  const now = useNow();
  const { ms } = props;
  if (ms === undefined || ms === null || ms <= 0) return <span class="muted">–</span>;
  const [text, tip] = props.absolute ? [dateTime(ms), ago(ms, now)] : [ago(ms, now), dateTime(ms)];
  return (
    <time class="num" dateTime={new Date(ms).toISOString()} title={tip}>
      {text}
    </time>
  );
}

/** A button that copies a text. */
export function Copy(props: { text: string; label: string }): JSX.Element {
  const [done, setDone] = useState(false);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(props.text);
    } catch {
      // Without TLS and off loopback browsers have no clipboard API.
      const area = document.createElement("textarea");
      area.value = props.text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return (
    <button type="button" class="button ghost copy" aria-label={props.label} title={props.label} onClick={() => void copy()}>
      <Icon name={done ? "check" : "copy"} size={14} />
    </button>
  );
}

/** A long id: its beginning, the whole in the tip and in the clipboard. */
export function Id(props: { id: string; whole?: boolean }): JSX.Element {
  return (
    <span class="id">
      <code title={props.id}>{props.whole ? props.id : shortId(props.id)}</code>
      <Copy text={props.id} label={`Copy ${props.id}`} />
    </span>
  );
}
