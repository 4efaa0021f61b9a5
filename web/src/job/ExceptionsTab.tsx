// What has failed: the newest first and open, the user's lines first.

import type { JSX } from "preact";
import { useState } from "preact/hooks";

import type { Poll } from "../api";
import { Badge, Empty, Icon, Id, Loading, Panel } from "../components";
import { ago, dateTime } from "../format";
import { href } from "../router";
import { pretty } from "./health";
import { ended } from "./model";
import type { Exceptions, Failure, Job } from "./model";
import { place, shortPath } from "./frames";
import { Traceback } from "./Traceback";

export function ExceptionsTab(props: { job: Job; poll: Poll<Exceptions> }): JSX.Element {
  const { job } = props;
  return (
    <Loading poll={props.poll} what="failures">
      {(data) => {
        const [newest, ...older] = data.exceptionHistory.entries;
        if (newest === undefined) {
          return (
            <Empty icon="check" title="Nothing has failed">
              {ended(job) ? "The job ended without a failure." : "A failure would be shown here with its cause, your lines of code first."}
            </Empty>
          );
        }
        return (
          <div class="stack">
            <RootCause job={job} failure={newest} />
            {older.length > 0 && (
              <Panel title="Earlier failures" side={data.exceptionHistory.truncated ? "the newest 20; older ones are not kept here" : `${older.length}`}>
                <ol class="failures">
                  {older.map((failure, i) => (
                    <Earlier key={`${failure.timestamp}.${i}`} job={job} failure={failure} />
                  ))}
                </ol>
              </Panel>
            )}
          </div>
        );
      }}
    </Loading>
  );
}

function messageOf(failure: Failure): string {
  return failure.message || failure.exceptionName.replace(/^LESTO-\d{4}: /, "");
}

function codeOf(failure: Failure): string {
  return failure.code || /^LESTO-\d{4}/.exec(failure.exceptionName)?.[0] || "";
}

function RootCause(props: { job: Job; failure: Failure }): JSX.Element {
  const { job, failure } = props;
  return (
    <Panel
      class="root-cause"
      title={job.state === "FAILED" ? "Why the job failed" : "The newest failure"}
      side={
        <>
          <Retry job={job} failure={failure} />
          <span class="num" title={dateTime(failure.timestamp)}>
            {ago(failure.timestamp, job.now)}
          </span>
        </>
      }
    >
      <div class="panel-body">
        <Body job={job} failure={failure} />
      </div>
    </Panel>
  );
}

function Retry(props: { job: Job; failure: Failure }): JSX.Element | null {
  if (props.job.state === "RUNNING") return <Badge tone="good">the job went on</Badge>;
  const retryable = props.failure.failureLabels?.["retryable"];
  if (retryable === "false") return <Badge tone="bad">not worth a retry</Badge>;
  return null;
}

function Body(props: { job: Job; failure: Failure }): JSX.Element {
  const { job, failure } = props;
  const mine = failure["user-traceback"] || failure.stacktrace;
  const whole = failure["full-traceback"] ?? "";
  const where = place(mine);
  const code = codeOf(failure);
  return (
    <div class="stack-small">
      <p class="failure-message">
        {code && <code class="failure-code">{code}</code>} {messageOf(failure)}
      </p>
      {failure.remedy && (
        <p class="failure-remedy">
          <Icon name="info" /> {failure.remedy}
        </p>
      )}
      <dl class="facts facts-row">
        {where && (
          <>
            <dt>Your code</dt>
            <dd title={where.file}>
              <code>
                {shortPath(where.file)}:{where.line}
              </code>{" "}
              in {where.name}
            </dd>
          </>
        )}
        {failure.taskName && (
          <>
            <dt>Task</dt>
            <dd>{taskLink(job, failure)}</dd>
          </>
        )}
        {failure.operator && (
          <>
            <dt>Operator</dt>
            <dd>
              {failure.operator} {failure["code-location"] && <code>{failure["code-location"]}</code>}
            </dd>
          </>
        )}
        {(failure.taskManagerId || failure.endpoint) && (
          <>
            <dt>TaskManager</dt>
            <dd>
              {failure.taskManagerId ? <a href={href("taskmanagers", failure.taskManagerId)}>{failure.taskManagerId}</a> : failure.endpoint}
            </dd>
          </>
        )}
        {failure["record-digest"] && (
          <>
            <dt>Record</dt>
            <dd>
              <Id id={failure["record-digest"]} />
            </dd>
          </>
        )}
        <dt>Time</dt>
        <dd class="num">{dateTime(failure.timestamp)}</dd>
      </dl>
      {mine.includes("\n") && <Traceback text={mine} label="Traceback" />}
      {whole && whole !== mine && <Whole text={whole} />}
    </div>
  );
}

function taskLink(job: Job, failure: Failure): JSX.Element {
  const name = failure.taskName ?? "";
  const vertex = job.vertices.find((one) => name === one.name || name.startsWith(`${one.name} `) || name.startsWith(`${one.name}[`));
  return vertex ? <a href={href("jobs", job.jid, "vertices", vertex.id)}>{pretty(name)}</a> : <>{pretty(name)}</>;
}

function Whole(props: { text: string }): JSX.Element {
  const [open, setOpen] = useState(false);
  return (
    <div>
      <button type="button" class="button" aria-expanded={open} onClick={() => setOpen(!open)}>
        {open ? "Hide the whole traceback" : "Show the whole traceback, Lesto's frames too"}
      </button>
      {open && <Traceback text={props.text} label="Whole traceback" />}
    </div>
  );
}

function Earlier(props: { job: Job; failure: Failure }): JSX.Element {
  const { failure } = props;
  const [open, setOpen] = useState(false);
  return (
    <li>
      <button type="button" class="failure-line" aria-expanded={open} onClick={() => setOpen(!open)}>
        <span class="num muted">{dateTime(failure.timestamp)}</span>
        <code>{codeOf(failure)}</code>
        <span class="failure-short">{messageOf(failure)}</span>
        <span class="muted">{pretty(failure.taskName ?? "")}</span>
      </button>
      {open && (
        <div class="failure-open">
          <Body job={props.job} failure={failure} />
        </div>
      )}
    </li>
  );
}
