import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";

import { api, type ApiError, asApiError, usePoll } from "../api";
import { clusterAddress, useCluster } from "../cluster";
import {
  Bytes,
  CodeBlock,
  type Column,
  Empty,
  ErrorBox,
  Icon,
  Loading,
  Page,
  Panel,
  Spinner,
  Table,
  When,
} from "../components";
import { plural } from "../format";
import { href, navigate } from "../router";
import { notify } from "../store";
import type { Plan, UploadedProgram, UploadedPrograms } from "../types";
import { PlanView } from "./PlanView";

const LIST_MS = 5000;
const ACCEPTED = ".py,.zip,.whl,.pyz";

interface Parameters {
  entry: string;
  args: string;
  parallelism: string;
  savepoint: string;
  lenient: boolean;
  config: string;
}

const NO_PARAMETERS: Parameters = { entry: "", args: "", parallelism: "", savepoint: "", lenient: false, config: "" };

/** The body of a run: what was left empty is left out, so that the program or the cluster decides. */
function bodyOf(given: Parameters): Record<string, unknown> {
  const config = Object.fromEntries(
    given.config
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => line && !line.startsWith("#"))
      .map((line) => {
        const at = line.search(/[:=]/);
        if (at < 1) throw new Error(`An option is KEY=VALUE; this line is not: ${line}`);
        return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
      }),
  );
  return {
    ...(given.entry ? { entryClass: given.entry.trim() } : {}),
    ...(given.args.trim() ? { programArgs: given.args.trim() } : {}),
    ...(given.parallelism ? { parallelism: Number(given.parallelism) } : {}),
    ...(given.savepoint ? { savepointPath: given.savepoint.trim(), allowNonRestoredState: given.lenient } : {}),
    ...(Object.keys(config).length > 0 ? { flinkConfiguration: config } : {}),
  };
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** What the program raised: its own traceback first, then what it printed. */
function ProgramError(props: { error: ApiError }): JSX.Element {
  const { problem } = props.error;
  const traceback = text(problem["traceback"]);
  const output = text(problem["output"]);
  return (
    <div class="stack" role="group" aria-label="What went wrong">
      <ErrorBox error={props.error} title="The program was not submitted" />
      {traceback && <CodeBlock text={traceback} label="traceback of the program" maxHeight={360} />}
      {output && output !== traceback && (
        <details open={!traceback}>
          <summary>What it printed</summary>
          <CodeBlock text={output} label="output of the program" maxHeight={300} />
        </details>
      )}
    </div>
  );
}

function Upload(props: { onUploaded: (id: string) => void }): JSX.Element {
  const input = useRef<HTMLInputElement>(null);
  const [over, setOver] = useState(false);
  const [busy, setBusy] = useState("");
  const [error, setError] = useState<Error | null>(null);

  const upload = async (file: File | undefined): Promise<void> => {
    if (!file) return;
    setBusy(file.name);
    setError(null);
    const form = new FormData();
    form.append("jarfile", file, file.name);
    try {
      const { filename } = await api.post<{ filename: string }>("/jars/upload", form);
      props.onUploaded(filename.split("/").pop() ?? filename);
    } catch (problem) {
      setError(asApiError(problem));
    } finally {
      setBusy("");
      if (input.current) input.current.value = "";
    }
  };

  return (
    <>
      <div
        class={`dropzone ${over ? "over" : ""}`}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault();
          setOver(false);
          void upload(event.dataTransfer?.files[0]);
        }}
      >
        <Icon name="submit" size={22} />
        {busy ? (
          <Spinner label={`Uploading ${busy}`} />
        ) : (
          <p>
            Drop a program here, or{" "}
            <button type="button" class="button" onClick={() => input.current?.click()}>
              Choose a file
            </button>
          </p>
        )}
        <p class="muted small">
          A script (.py), a zip or zipapp with <code>__main__.py</code>, or a wheel with an entry point.
        </p>
        <input
          ref={input}
          class="hidden"
          type="file"
          tabIndex={-1}
          aria-label="Program to upload"
          accept={ACCEPTED}
          onChange={(event) => void upload(event.currentTarget.files?.[0])}
        />
      </div>
      {error && <ErrorBox error={error} title="The file was not taken" />}
    </>
  );
}

function Fields(props: { value: Parameters; entries: string[]; onChange: (value: Parameters) => void }): JSX.Element {
  const { value } = props;
  const set = (change: Partial<Parameters>): void => props.onChange({ ...value, ...change });
  return (
    <>
      <div class="form-row">
        <label>
          Arguments
          <input
            class="mono"
            placeholder="--day 7"
            value={value.args}
            onInput={(event) => set({ args: event.currentTarget.value })}
          />
        </label>
        <label>
          Parallelism
          <input
            type="number"
            min={1}
            max={32768}
            placeholder="as the program or the cluster says"
            value={value.parallelism}
            onInput={(event) => set({ parallelism: event.currentTarget.value })}
          />
        </label>
        <label>
          Entry point
          <input
            class="mono"
            placeholder="module:function"
            list="entry-points"
            value={value.entry}
            onInput={(event) => set({ entry: event.currentTarget.value })}
          />
          <datalist id="entry-points">
            {props.entries.map((entry) => (
              <option key={entry} value={entry} />
            ))}
          </datalist>
        </label>
      </div>
      <label>
        Start from a savepoint
        <input
          class="mono"
          placeholder="path or URI; empty: from nothing"
          value={value.savepoint}
          onInput={(event) => set({ savepoint: event.currentTarget.value })}
        />
      </label>
      {value.savepoint && (
        <label class="inline">
          <input
            type="checkbox"
            checked={value.lenient}
            onChange={(event) => set({ lenient: event.currentTarget.checked })}
          />
          Leave out state that no operator of the program takes
        </label>
      )}
      <label>
        Options, one KEY=VALUE a line
        <textarea
          class="mono"
          rows={3}
          placeholder="execution.checkpointing.interval=10s"
          value={value.config}
          onInput={(event) => set({ config: event.currentTarget.value })}
        />
      </label>
    </>
  );
}

function RunForm(props: { program: UploadedProgram }): JSX.Element {
  const { program } = props;
  const [given, setGiven] = useState(NO_PARAMETERS);
  const [busy, setBusy] = useState<"" | "plan" | "run">("");
  const [error, setError] = useState<ApiError | null>(null);
  const [plan, setPlan] = useState<Plan | null>(null);
  const base = `/jars/${encodeURIComponent(program.id)}`;

  const ask = async (what: "plan" | "run"): Promise<void> => {
    setBusy(what);
    setError(null);
    setPlan(null);
    try {
      const body = bodyOf(given);
      if (what === "plan") setPlan((await api.post<{ plan: Plan }>(`${base}/plan`, body)).plan);
      else {
        const { jobid } = await api.post<{ jobid: string }>(`${base}/run`, body);
        notify(`${program.name} runs`, "info", href("jobs", jobid, "graph"));
        navigate(href("jobs", jobid, "graph"));
      }
    } catch (problem) {
      setError(asApiError(problem));
    } finally {
      setBusy("");
    }
  };

  return (
    <Panel title={`Run ${program.name}`}>
      <form
        class="form panel-body"
        onSubmit={(event) => {
          event.preventDefault();
          void ask("run");
        }}
      >
        <Fields value={given} entries={program.entry.map((entry) => entry.name)} onChange={setGiven} />
        <div class="form-actions">
          <button type="submit" class="button primary" disabled={busy !== ""}>
            <Icon name="running" size={14} /> {busy === "run" ? "Starting" : "Run"}
          </button>
          <button type="button" class="button" disabled={busy !== ""} onClick={() => void ask("plan")}>
            <Icon name="jobs" size={14} /> {busy === "plan" ? "Making the plan" : "Show the plan"}
          </button>
          {busy && <span class="muted small">The program runs until it has called execute().</span>}
        </div>
        {error && <ProgramError error={error} />}
        {plan && <PlanView plan={plan} />}
      </form>
    </Panel>
  );
}

function programColumns(selected: string, remove: (program: UploadedProgram) => void): Column<UploadedProgram>[] {
  return [
    {
      key: "name",
      title: "Program",
      grow: true,
      sort: (program) => program.name.toLowerCase(),
      render: (program) => (
        <a href={href("submit", program.id)} aria-current={program.id === selected ? "true" : undefined}>
          {program.name}
        </a>
      ),
    },
    {
      key: "entry",
      title: "Entry points",
      render: (program) =>
        program.entry.length > 0 ? <code>{program.entry.map((entry) => entry.name).join(", ")}</code> : "–",
    },
    {
      key: "size",
      title: "Size",
      align: "right",
      sort: (program) => program.size ?? 0,
      render: (program) => <Bytes value={program.size} />,
    },
    {
      key: "uploaded",
      title: "Uploaded",
      align: "right",
      sort: (program) => program.uploaded,
      render: (program) => <When ms={program.uploaded} />,
    },
    {
      key: "actions",
      title: "Actions",
      align: "right",
      render: (program) => (
        <span class="row-actions">
          <a class="button" href={href("submit", program.id)} aria-label={`Run ${program.name}`}>
            <Icon name="running" size={12} /> Run
          </a>
          <button
            type="button"
            class="button ghost"
            aria-label={`Delete ${program.name}`}
            title="Delete"
            onClick={() => remove(program)}
          >
            <Icon name="trash" size={14} />
          </button>
        </span>
      ),
    },
  ];
}

export function SubmitPage(props: { selected: string }): JSX.Element {
  const { data: overview } = useCluster();
  const programs = usePoll<UploadedPrograms>("/jars", LIST_MS);
  const selected = programs.data?.files.find((program) => program.id === props.selected);

  const remove = async (program: UploadedProgram): Promise<void> => {
    try {
      await api.del(`/jars/${encodeURIComponent(program.id)}`);
      if (program.id === props.selected) navigate(href("submit"));
      programs.reload();
    } catch (problem) {
      notify(`${program.name} was not deleted: ${asApiError(problem).message}`, "error");
    }
  };

  return (
    <Page title="Submit a job">
      <Panel>
        <div class="panel-body">
          <Upload
            onUploaded={(id) => {
              programs.reload();
              navigate(href("submit", id));
            }}
          />
        </div>
      </Panel>
      {selected && <RunForm key={selected.id} program={selected} />}
      <Loading poll={programs} what="uploaded programs">
        {(data) => (
          <Panel title="Uploaded programs" side={data.files.length > 0 && plural(data.files.length, "program")}>
            <Table
              caption="Uploaded programs"
              columns={programColumns(props.selected, (program) => void remove(program))}
              rows={data.files}
              rowKey={(program) => program.id}
              initialSort={{ key: "uploaded", down: true }}
              rowClass={(program) => (program.id === props.selected ? "selected" : "")}
              empty={
                <Empty
                  icon="submit"
                  title="Nothing was uploaded yet"
                  command={`lesto run -m ${clusterAddress(overview)} -d examples/word_count.py`}
                >
                  A program that is on your machine can be submitted from a terminal, too.
                </Empty>
              }
            />
          </Panel>
        )}
      </Loading>
    </Page>
  );
}
