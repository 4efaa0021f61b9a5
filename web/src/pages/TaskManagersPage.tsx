import type { JSX } from "preact";

import { usePoll } from "../api";
import { useCluster } from "../cluster";
import { Bytes, type Column, Empty, Loading, Page, Panel, Table, When } from "../components";
import { count } from "../format";
import { href } from "../router";
import type { TaskManager, TaskManagers } from "../types";
import { SlotSquares } from "./SlotSquares";

const LIST_MS = 2000;

const COLUMNS: Column<TaskManager>[] = [
  {
    key: "id",
    title: "TaskManager",
    grow: true,
    sort: (worker) => worker.id,
    render: (worker) => <a href={href("taskmanagers", worker.id)}>{worker.id}</a>,
  },
  { key: "host", title: "Host", sort: (worker) => worker.path, render: (worker) => worker.path },
  {
    key: "slots",
    title: "Slots in use",
    sort: (worker) => worker.slotsNumber - worker.freeSlots,
    render: (worker) => (
      <span class="with-squares">
        <SlotSquares worker={worker} />
        <span class="num">
          {count(worker.slotsNumber - worker.freeSlots)} of {count(worker.slotsNumber)}
        </span>
      </span>
    ),
  },
  {
    key: "cpus",
    title: "CPUs",
    align: "right",
    sort: (worker) => worker.hardware.cpuCores,
    render: (worker) => count(worker.hardware.cpuCores),
  },
  {
    key: "memory",
    title: "Memory",
    hint: "Of the machine or the container",
    align: "right",
    sort: (worker) => worker.hardware.physicalMemory,
    render: (worker) => <Bytes value={worker.hardware.physicalMemory} />,
  },
  { key: "pid", title: "Process", align: "right", sort: (worker) => worker.pid, render: (worker) => worker.pid },
  {
    key: "heartbeat",
    title: "Last heartbeat",
    align: "right",
    sort: (worker) => worker.timeSinceLastHeartbeat,
    render: (worker) => <When ms={worker.timeSinceLastHeartbeat} />,
  },
];

export function TaskManagersPage(): JSX.Element {
  const { data: overview } = useCluster();
  const workers = usePoll<TaskManagers>("/taskmanagers", LIST_MS);
  const address = overview?.["leader-address"];
  return (
    <Page title="TaskManagers">
      <Loading poll={workers} what="TaskManagers">
        {(data) => (
          <Panel>
            <Table
              caption="TaskManagers"
              columns={COLUMNS}
              rows={data.taskmanagers}
              rowKey={(worker) => worker.id}
              initialSort={{ key: "id", down: false }}
              empty={
                <Empty
                  icon="workers"
                  title="No TaskManager is registered"
                  command={`lesto taskmanager${address ? ` -D jobmanager.rpc.address=${address.split(":")[0]}` : ""}`}
                >
                  Jobs wait until there are slots. Start one TaskManager on each machine, or use <code>lesto dev</code>,
                  which brings its own.
                </Empty>
              }
            />
          </Panel>
        )}
      </Loading>
    </Page>
  );
}
