import type { JSX } from "preact";

import {
  Badge,
  Bytes,
  type Column,
  Empty,
  Panel,
  Sparkline,
  Stat,
  StateBadge,
  Stats,
  Table,
} from "../components";
import { bytes, count, percent } from "../format";
import { href } from "../router";
import type { Slot, TaskManagerDetails } from "../types";
import { cores, useVitals, type Vitals, vitalsOf } from "./vitals";

function prefixOf(slot: Slot): string {
  return `slot.${slot.index}.`;
}

function SlotState(props: { slot: Slot }): JSX.Element {
  const { slot } = props;
  if (slot.status === "READY") {
    const busy = (slot.tasks ?? []).length > 0;
    return busy ? (
      <Badge tone="good" icon="running">
        In use
      </Badge>
    ) : (
      <Badge tone="muted" icon="check">
        Free
      </Badge>
    );
  }
  if (slot.status === "LOST") {
    return (
      <Badge tone="bad" icon="cross">
        Lost
      </Badge>
    );
  }
  return <StateBadge state={slot.status === "STARTING" ? "INITIALIZING" : slot.status} />;
}

/** What runs in a slot: one line a job, its tasks below. */
function Tasks(props: { slot: Slot }): JSX.Element {
  const tasks = props.slot.tasks ?? [];
  if (tasks.length === 0) return <span class="muted">nothing</span>;
  const jobs = [...new Set(tasks.map((task) => task.jid))];
  return (
    <ul class="slot-tasks">
      {jobs.map((jid) => {
        const own = tasks.filter((task) => task.jid === jid);
        return (
          <li key={jid}>
            <a class="strong" href={href("jobs", jid, "graph")}>
              {own[0]?.job || jid}
            </a>
            <ul>
              {own.map((task) => (
                <li key={`${task.vertex}-${task.subtask}`}>
                  <a href={href("jobs", jid, "vertices", task.vertex)}>{task.name}</a>{" "}
                  <span class="muted num">#{task.subtask}</span>
                  {task.status !== "RUNNING" && <StateBadge state={task.status} />}
                </li>
              ))}
            </ul>
          </li>
        );
      })}
    </ul>
  );
}

function columns(vitals: ReadonlyMap<string, Vitals>): Column<Slot>[] {
  const of = (slot: Slot): Vitals => vitalsOf(vitals, prefixOf(slot));
  return [
    { key: "index", title: "Slot", sort: (slot) => slot.index, render: (slot) => slot.index },
    { key: "status", title: "State", sort: (slot) => slot.status, render: (slot) => <SlotState slot={slot} /> },
    { key: "tasks", title: "What runs in it", grow: true, render: (slot) => <Tasks slot={slot} /> },
    {
      key: "cpu",
      title: "CPU",
      hint: "Of one core; a slot's tasks share one thread, so 100 % is a busy slot",
      align: "right",
      sort: (slot) => of(slot).cpu ?? -1,
      render: (slot) => (
        <span class="with-line">
          <Sparkline values={of(slot).cpuLine} max={1} label={`CPU of slot ${slot.index} over the last two minutes`} />
          <span class="num cpu">{percent(of(slot).cpu)}</span>
        </span>
      ),
    },
    {
      key: "memory",
      title: "Memory",
      align: "right",
      sort: (slot) => of(slot).memory ?? slot.memoryBytes ?? -1,
      render: (slot) => <Bytes value={of(slot).memory ?? slot.memoryBytes} />,
    },
    { key: "pid", title: "Process", align: "right", sort: (slot) => slot.pid, render: (slot) => slot.pid || "–" },
  ];
}

function VitalStats(props: { worker: TaskManagerDetails; vitals: ReadonlyMap<string, Vitals> }): JSX.Element {
  const { worker, vitals } = props;
  const own = vitalsOf(vitals, "");
  const slots = worker.slots.map((slot) => vitalsOf(vitals, prefixOf(slot)));
  const sum = (of: (one: Vitals) => number | null): number | null => {
    const known = [own, ...slots].map(of).filter((value): value is number => value !== null);
    return known.length > 0 ? known.reduce((a, b) => a + b, 0) : null;
  };
  const used = worker.slotsNumber - worker.freeSlots;
  const memory = sum((one) => one.memory);
  const physical = worker.hardware.physicalMemory;
  return (
    <Stats label="The TaskManager in numbers">
      <Stat
        label="Slots in use"
        value={
          <>
            {count(used)}
            <span class="stat-of"> of {count(worker.slotsNumber)}</span>
          </>
        }
        note={used === worker.slotsNumber && used > 0 ? "none free" : `${count(worker.freeSlots)} free`}
      />
      <Stat
        label="CPU, all processes"
        value={cores(sum((one) => one.cpu))}
        note={`cores busy, of ${count(worker.hardware.cpuCores)}`}
      />
      <Stat
        label="Memory, all processes"
        value={bytes(memory)}
        note={physical > 0 && memory !== null ? `${percent(memory / physical)} of ${bytes(physical)}` : "–"}
      />
      <Stat label="Threads" value={count(sum((one) => one.threads))} note="of the TaskManager and its slots" />
      <Stat label="Open files" value={count(sum((one) => one.files))} note="of the TaskManager and its slots" />
    </Stats>
  );
}

/** The slots, each a process, with what runs in them and what they use. */
export function SlotsTab(props: { worker: TaskManagerDetails; base: string }): JSX.Element {
  const { worker } = props;
  const vitals = useVitals(props.base, ["", ...worker.slots.map(prefixOf)]);
  return (
    <>
      <VitalStats worker={worker} vitals={vitals} />
      <Panel title="Slots">
        <Table
          caption="Slots"
          columns={columns(vitals)}
          rows={worker.slots}
          rowKey={(slot) => String(slot.index)}
          initialSort={{ key: "index", down: false }}
          empty={<Empty icon="workers" title="This TaskManager has no slots" />}
        />
      </Panel>
    </>
  );
}
