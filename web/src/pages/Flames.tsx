import type { JSX } from "preact";

import { usePoll } from "../api";
import { Loading } from "../components";
import type { FlameGraphData } from "../types";

export function Flames(props: { base: string }): JSX.Element {
  const graph = usePoll<FlameGraphData>(`${props.base}/flamegraph`, 0);
  return (
    <Loading poll={graph} what="flame graph">
      {() => <p />}
    </Loading>
  );
}
