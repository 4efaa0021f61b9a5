import type { ComponentChildren, JSX } from "preact";
import { useEffect, useErrorBoundary, useRef } from "preact/hooks";

import { usePoll } from "./api";
import { CLUSTER_MS, ClusterContext } from "./cluster";
import { Empty, ErrorBox, Page } from "./components";
import { Notices, Sidebar, TokenDialog, Unreachable } from "./Frame";
import { lazy } from "./lazy";
import { JobManagerPage } from "./pages/JobManagerPage";
import { JobsPage } from "./pages/JobsPage";
import { OverviewPage } from "./pages/OverviewPage";
import { SubmitPage } from "./pages/SubmitPage";
import { TaskManagerPage } from "./pages/TaskManagerPage";
import { TaskManagersPage } from "./pages/TaskManagersPage";
import { type Route, useRoute } from "./router";
import type { Overview } from "./types";

const JobPage = lazy<{ jobId: string; tab: string; rest: string[] }>(async () => (await import("./job")).JobPage);
const VertexPage = lazy<{ jobId: string; vertexId: string; rest: string[] }>(
  async () => (await import("./job")).VertexPage,
);
const SqlPage = lazy<object>(async () => (await import("./sql/SqlPage")).SqlPage);

function pageOf(route: Route): JSX.Element {
  const [head = "overview", id, tab, ...rest] = route.segments;
  switch (head) {
    case "overview":
      return <OverviewPage />;
    case "jobs": {
      if (id === undefined) return <JobsPage query={route.query} />;
      const [vertexId, ...below] = rest;
      if (tab === "vertices" && vertexId !== undefined) {
        return <VertexPage key={`${id}/${vertexId}`} jobId={id} vertexId={vertexId} rest={below} />;
      }
      return <JobPage key={id} jobId={id} tab={tab ?? "graph"} rest={rest} />;
    }
    case "taskmanagers":
      if (id === undefined) return <TaskManagersPage />;
      return <TaskManagerPage key={id} id={id} tab={tab ?? "slots"} rest={rest} />;
    case "jobmanager":
      return <JobManagerPage tab={id ?? "configuration"} rest={tab === undefined ? [] : [tab, ...rest]} />;
    case "submit":
      return <SubmitPage selected={id ?? ""} />;
    case "sql":
      return <SqlPage />;
    default:
      return (
        <Page title="No such page">
          <Empty icon="info" title={`There is no page at ${route.path}`}>
            <a href="#/overview">Go to the overview</a>
          </Empty>
        </Page>
      );
  }
}

/** A page that breaks says so and leaves the rest of the dashboard usable. */
function Guarded(props: { children: ComponentChildren }): JSX.Element {
  const [error, reset] = useErrorBoundary((problem: unknown) => console.error(problem));
  if (error !== undefined) {
    const shown = error instanceof Error ? error : new Error(String(error));
    return <ErrorBox error={shown} title="This page of the dashboard broke" retry={reset} />;
  }
  return <>{props.children}</>;
}

export function App(): JSX.Element {
  const route = useRoute();
  const cluster = usePoll<Overview>("/overview", CLUSTER_MS);
  const main = useRef<HTMLElement>(null);
  const section = route.segments.slice(0, 2).join("/");
  const first = useRef(true);

  useEffect(() => {
    // A new page starts at its top, and a screen reader starts there too; tabs of one page do not jump.
    if (first.current) first.current = false;
    else {
      main.current?.focus({ preventScroll: true });
      scrollTo(0, 0);
    }
  }, [section]);

  return (
    <ClusterContext.Provider value={cluster}>
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          main.current?.focus();
        }}
      >
        Skip to the content
      </a>
      <Sidebar active={route.segments[0] ?? "overview"} />
      <main id="main" ref={main} tabIndex={-1}>
        <Unreachable />
        <Guarded key={section}>{pageOf(route)}</Guarded>
      </main>
      <Notices />
      <TokenDialog />
    </ClusterContext.Provider>
  );
}
