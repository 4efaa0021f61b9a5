// The records that an operator gives out, as they pass.

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";

import { api, asApiError } from "../../api";
import type { ApiError } from "../../api";
import { Badge, Empty, ErrorBox, Panel, Spinner } from "../../components";
import { clock, dateTime, plural } from "../../format";
import { pretty } from "../health";
import type { Job, RecordSampleAnswer, Vertex } from "../model";

const MAX_RECORDS = 20;
const TIMEOUT_MS = 2_000;
const AUTO_MS = 1_000;

interface Choice {
  uid: string;
  side: string;
  text: string;
}

/** Outputs that can be looked at: each operator's, and the side outputs that edges carry. */
function choicesOf(job: Job, vertex: Vertex): Choice[] {
  const main = vertex.operators
    .filter((operator) => operator.kind !== "SINK")
    .map((operator) => ({ uid: operator.uid, side: "", text: pretty(operator.name) }));
  const sides = job.plan.nodes
    .flatMap((node) => node.inputs ?? [])
    .filter((input) => input.id === vertex.id && input.side_tag !== "")
    .map((input) => {
      const operator = vertex.operators[input.source_operator];
      return { uid: operator?.uid ?? "", side: input.side_tag, text: `${operator?.name ?? ""}, side output "${input.side_tag}"` };
    });
  return [...main, ...sides];
}

export function RecordsTab(props: { job: Job; vertex: Vertex }): JSX.Element {
  const { job, vertex } = props;
  const choices = choicesOf(job, vertex);
  const [chosen, setChosen] = useState(Math.max(0, choices.length - 1));
  const [subtask, setSubtask] = useState(-1);
  const [auto, setAuto] = useState(false);
  const [asked, setAsked] = useState(1);
  const [sample, setSample] = useState<{ answer: RecordSampleAnswer; at: number } | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [waiting, setWaiting] = useState(false);
  const choice = choices[chosen];
  const running = job.state === "RUNNING";
  useEffect(() => {
    if (choice === undefined || !running) return undefined;
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const query = new URLSearchParams({
      operator: choice.uid,
      subtask: String(subtask),
      max: String(MAX_RECORDS),
      timeout: String(TIMEOUT_MS),
    });
    if (choice.side) query.set("side", choice.side);
    const ask = async (): Promise<void> => {
      setWaiting(true);
      try {
        const path = `/jobs/${job.jid}/vertices/${encodeURIComponent(vertex.id)}/records?${query.toString()}`;
        const answer = await api.get<RecordSampleAnswer>(path, abort.signal);
        if (abort.signal.aborted) return;
        setSample({ answer, at: Date.now() });
        setError(null);
      } catch (failure) {
        if (abort.signal.aborted) return;
        setError(asApiError(failure));
      }
      setWaiting(false);
      if (auto && !document.hidden) timer = setTimeout(() => void ask(), AUTO_MS);
    };
    void ask();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [choice?.uid, choice?.side, subtask, auto, asked, running, job.jid, vertex.id]);
  if (choices.length === 0) {
    return <Empty icon="table" title="A sink gives nothing out">Look at the records of the vertex that feeds it.</Empty>;
  }
  if (!running && sample === null) {
    return <Empty icon="table" title="No records flow">Records can be looked at while the job is running.</Empty>;
  }
  return (
    <Panel
      title="Records as they pass"
      side={
        <>
          <label>
            Given out by{" "}
            <select class="records-choice" value={chosen} onChange={(event) => setChosen(Number(event.currentTarget.value))}>
              {choices.map((one, i) => (
                <option key={i} value={i}>
                  {one.text}
                </option>
              ))}
            </select>
          </label>
          <label>
            Subtask{" "}
            <select value={subtask} onChange={(event) => setSubtask(Number(event.currentTarget.value))}>
              <option value={-1}>any</option>
              {Array.from({ length: vertex.parallelism }, (_, i) => (
                <option key={i} value={i}>
                  {i}
                </option>
              ))}
            </select>
          </label>
          <label class="inline">
            <input type="checkbox" checked={auto} onChange={(event) => setAuto(event.currentTarget.checked)} /> again and again
          </label>
          <button type="button" class="button primary" disabled={waiting || auto || !running} onClick={() => setAsked(asked + 1)}>
            {waiting ? "Waiting for records" : "Look again"}
          </button>
        </>
      }
    >
      {error && (
        <div class="panel-body">
          <ErrorBox error={error} title="No records could be looked at" />
        </div>
      )}
      {sample ? <Sample sample={sample.answer} at={sample.at} /> : !error && <Spinner label="Waiting for records" />}
    </Panel>
  );
}

/** Date and time with ms: records of one second are told apart. */
function moment(at: number | null): string {
  return at === null ? "–" : `${dateTime(at)}.${String(((at % 1000) + 1000) % 1000).padStart(3, "0")}`;
}

const KINDS: Record<string, { text: string; meaning: string; tone: "good" | "warn" | "bad" | "neutral" }> = {
  INSERT: { text: "+I", meaning: "insert", tone: "good" },
  UPDATE_BEFORE: { text: "−U", meaning: "before the update", tone: "neutral" },
  UPDATE_AFTER: { text: "+U", meaning: "after the update", tone: "good" },
  DELETE: { text: "−D", meaning: "delete", tone: "bad" },
};

function Sample(props: { sample: RecordSampleAnswer; at: number }): JSX.Element {
  const { columns, types, records } = props.sample;
  if (records.length === 0) {
    return <Empty icon="clock" title="No record passed">{`Nothing came within ${TIMEOUT_MS / 1000} s.`}</Empty>;
  }
  const timed = records.some((record) => record.timestamp !== null);
  const kinds = records.some((record) => record.kind !== "");
  return (
    <>
      <div class="tablebox" role="region" aria-label="Sampled records" tabIndex={0}>
        <table class="dense records">
          <caption class="hidden">{plural(records.length, "record")}</caption>
          <thead>
            <tr>
              {kinds && <th scope="col">Change</th>}
              {timed && <th scope="col">Event time</th>}
              {columns.map((column, i) => (
                <th key={i} scope="col">
                  {column} <span class="records-type">{types[i]}</span>
                </th>
              ))}
              <th scope="col" class="right">
                Subtask
              </th>
            </tr>
          </thead>
          <tbody>
            {records.map((record, i) => (
              <tr key={i}>
                {kinds && <td>{<Change kind={record.kind} />}</td>}
                {timed && (
                  <td class="num" title={String(record.timestamp ?? "")}>
                    {moment(record.timestamp)}
                  </td>
                )}
                {record.values.map((value, j) => (
                  <td key={j} class="records-value" title={value}>
                    {value}
                  </td>
                ))}
                <td class="right num muted">{record.subtask}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="muted small records-foot">
        {plural(records.length, "record")} in the order they passed, at {clock(props.at)}. Long values are cut.
      </p>
    </>
  );
}

function Change(props: { kind: string }): JSX.Element {
  const known = KINDS[props.kind];
  if (known === undefined) return <span class="muted">{props.kind}</span>;
  return (
    <>
      <Badge tone={known.tone}>{known.text}</Badge> <span class="muted small">{known.meaning}</span>
    </>
  );
}
