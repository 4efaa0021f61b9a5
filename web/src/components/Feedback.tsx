// What is shown instead of data: it is coming, there is none, it failed.

import type { ComponentChildren, JSX } from "preact";

import { ApiError } from "../api";
import type { Poll } from "../api";
import { CodeBlock } from "./CodeBlock";
import { Icon, type IconName } from "./Icon";

export function Spinner(props: { label?: string }): JSX.Element {
  return (
    <span class="spinner" role="status">
      <span class="spinner-ring" aria-hidden="true" />
      <span>{props.label ?? "Loading"}</span>
    </span>
  );
}

/** Nothing there: says so, and what to do next. */
export function Empty(props: {
  icon?: IconName;
  title: string;
  children?: ComponentChildren;
  /** A command to type, shown with a button that copies it. */
  command?: string;
}): JSX.Element {
  return (
    <div class="empty">
      {props.icon && <Icon name={props.icon} size={28} />}
      <p class="empty-title">{props.title}</p>
      {props.children && <div class="empty-text">{props.children}</div>}
      {props.command && <CodeBlock text={props.command} label="command" />}
    </div>
  );
}

export function ErrorBox(props: { error: Error; title?: string; retry?: () => void }): JSX.Element {
  const { error } = props;
  const api = error instanceof ApiError ? error : null;
  // Behind the first line stands a place in a text, with a caret below it.
  const [first, ...rest] = error.message.split("\n");
  return (
    <div class="errorbox" role="alert">
      <Icon name="warning" size={18} />
      <div class="errorbox-body">
        <p class="errorbox-title">
          {props.title ?? "That did not work"}
          {api?.code && <code>{api.code}</code>}
        </p>
        <p class="errorbox-text">{first}</p>
        {rest.length > 0 && <pre class="errorbox-place">{rest.join("\n")}</pre>}
        {api?.remedy && <p class="errorbox-remedy">{api.remedy}</p>}
        {api?.errorId && (
          <p class="muted">
            The JobManager's log has more under the id <code>{api.errorId}</code>.
          </p>
        )}
      </div>
      {props.retry && (
        <button type="button" class="button" onClick={props.retry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** Shows what a poll has: data by `children`, old data with a note, an error, or that it is coming. */
export function Loading<T>(props: {
  poll: Poll<T>;
  what: string;
  children: (data: T) => ComponentChildren;
}): JSX.Element {
  const { poll } = props;
  if (poll.data !== undefined) {
    return (
      <>
        {poll.stale && poll.error && (
          <p class="stale" role="status">
            <Icon name="clock" size={14} /> Not up to date: {poll.error.message}
          </p>
        )}
        {props.children(poll.data)}
      </>
    );
  }
  if (poll.error) {
    return <ErrorBox error={poll.error} title={`No ${props.what}`} retry={poll.reload} />;
  }
  return <Spinner label={`Loading ${props.what}`} />;
}
