import type { JSX } from "preact";

import type { ApiError } from "../api";
import { Icon } from "../components";
import type { IconName } from "../components/Icon";
import { href } from "../router";
import type { Health, Level } from "./health";

const LOOKS: Record<Level, { icon: IconName; tone: string }> = {
  good: { icon: "check", tone: "good" },
  busy: { icon: "check", tone: "good" },
  warning: { icon: "warning", tone: "warn" },
  bad: { icon: "cross", tone: "bad" },
  wait: { icon: "clock", tone: "info" },
  ended: { icon: "stop", tone: "muted" },
};

/** How the job is doing, in plain words: the first thing to read. */
export function HealthLine(props: { jobId: string; health: Health | undefined; stale: ApiError | undefined }): JSX.Element | null {
  const { health } = props;
  if (health === undefined) return null;
  const look = LOOKS[health.level];
  return (
    <section class={`health tone-${look.tone}`} aria-label="Health" data-level={health.level}>
      <Icon name={look.icon} size={20} />
      <p class="health-text">
        <strong>{health.headline}.</strong>{" "}
        {health.sentences.map((sentence) => (
          <span key={sentence.about + sentence.text.slice(0, 12)} class={sentence.trouble ? "health-trouble" : ""}>
            {sentence.more ? (
              <a href={href("jobs", props.jobId, ...sentence.more.split("/"))}>{sentence.text}</a>
            ) : (
              sentence.text
            )}
            .{" "}
          </span>
        ))}
      </p>
      {props.stale && (
        <p class="stale" role="status">
          Not up to date: {props.stale.message}
        </p>
      )}
    </section>
  );
}
