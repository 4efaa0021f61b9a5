import type { JSX } from "preact";

import { type Column, Empty, Panel, StateBadge, Table } from "../components";
import type { Slot, TaskManagerDetails } from "../types";

const COLUMNS: Column<Slot>[] = [
  { key: "index", title: "Slot", align: "right", sort: (slot) => slot.index, render: (slot) => slot.index },
  { key: "status", title: "State", sort: (slot) => slot.status, render: (slot) => <StateBadge state={slot.status} /> },
  { key: "pid", title: "Process", align: "right", sort: (slot) => slot.pid, render: (slot) => slot.pid || "–" },
  {
    key: "id",
    title: "Id",
    grow: true,
    render: (slot) => <code>{slot.id}</code>,
  },
];

/** The slots, each a process, and what runs in them. */
export function SlotsTab(props: { worker: TaskManagerDetails }): JSX.Element {
  return (
    <Panel>
      <Table
        caption="Slots"
        columns={COLUMNS}
        rows={props.worker.slots}
        rowKey={(slot) => slot.id}
        empty={<Empty icon="workers" title="This TaskManager has no slots" />}
      />
    </Panel>
  );
}
