import type { JSX } from "preact";

import { usePoll } from "../../api";
import { Empty, Loading, Panel, Table } from "../../components";
import { ended } from "../model";
import type { Job, Vertex } from "../model";

interface Accumulator {
  name: string;
  type: string;
  value: string;
}

interface Answer {
  "user-accumulators": Accumulator[];
}

export function AccumulatorsTab(props: { job: Job; vertex: Vertex }): JSX.Element {
  const { job, vertex } = props;
  const poll = usePoll<Answer>(`/jobs/${job.jid}/vertices/${encodeURIComponent(vertex.id)}/accumulators`, ended(job) ? 0 : 2_000);
  return (
    <Loading poll={poll} what="accumulators">
      {(data) => (
        <Panel title="Accumulators" side="over all subtasks">
          <Table
            caption="What the functions have counted"
            dense
            columns={[
              { key: "name", title: "Name", render: (one: Accumulator) => one.name, sort: (one: Accumulator) => one.name },
              { key: "type", title: "Type", render: (one: Accumulator) => <code>{one.type}</code> },
              { key: "value", title: "Value", grow: true, render: (one: Accumulator) => <span class="num breakable">{one.value}</span> },
            ]}
            rows={data["user-accumulators"]}
            rowKey={(one) => one.name}
            empty={
              <Empty icon="table" title="Its functions count nothing">
                A function counts with <code>context.get_int_counter("name")</code> and the like.
              </Empty>
            }
          />
        </Panel>
      )}
    </Loading>
  );
}
