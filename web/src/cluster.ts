// The cluster's counts, asked for once and shared by the frame and the pages.

import { createContext } from "preact";
import { useContext } from "preact/hooks";

import type { Poll } from "./api";
import type { Overview } from "./types";

export const CLUSTER_MS = 2000;

export const ClusterContext = createContext<Poll<Overview>>({ stale: false, reload: () => undefined });

export function useCluster(): Poll<Overview> {
  return useContext(ClusterContext);
}

/** Where `lesto run -m` finds this cluster, as far as the dashboard can know. */
export function clusterAddress(overview: Overview | undefined): string {
  return overview?.["leader-address"] || `${location.hostname || "127.0.0.1"}:6123`;
}
