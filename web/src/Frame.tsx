// What surrounds every page: navigation, the cluster's state, messages, the question for a token.

import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { setToken } from "./api";
import { useCluster } from "./cluster";
import { Icon, Modal } from "./components";
import type { IconName } from "./components/Icon";
import { href } from "./router";
import {
  closeNotice,
  notices,
  reachable,
  setTheme,
  theme,
  type Theme,
  tokenQuestion,
  useCell,
} from "./store";
import type { Overview } from "./types";

interface Entry {
  id: string;
  title: string;
  icon: IconName;
  count?: (overview: Overview) => number;
  hint?: string;
}

const WATCH: Entry[] = [
  { id: "overview", title: "Overview", icon: "overview" },
  { id: "jobs", title: "Jobs", icon: "jobs", count: (o) => o["jobs-running"], hint: "running" },
  { id: "taskmanagers", title: "TaskManagers", icon: "workers", count: (o) => o.taskmanagers, hint: "registered" },
  { id: "jobmanager", title: "JobManager", icon: "manager" },
];
const WORK: Entry[] = [
  { id: "submit", title: "Submit a job", icon: "submit" },
  { id: "sql", title: "SQL editor", icon: "sql" },
];

function Entries(props: { entries: Entry[]; active: string; overview: Overview | undefined }): JSX.Element {
  return (
    <ul>
      {props.entries.map((entry) => (
        <li key={entry.id}>
          <a href={href(entry.id)} aria-current={entry.id === props.active ? "page" : undefined} title={entry.title}>
            <Icon name={entry.icon} size={18} />
            <span class="nav-text">{entry.title}</span>
            {entry.count && props.overview && (
              <span class="nav-count" title={`${entry.count(props.overview)} ${entry.hint ?? ""}`}>
                {entry.count(props.overview)}
              </span>
            )}
          </a>
        </li>
      ))}
    </ul>
  );
}

const THEMES: { id: Theme; title: string; icon: IconName }[] = [
  { id: "system", title: "Colours of the system", icon: "auto" },
  { id: "light", title: "Light", icon: "sun" },
  { id: "dark", title: "Dark", icon: "moon" },
];

function ThemeSwitch(): JSX.Element {
  const current = useCell(theme);
  return (
    <div class="segments" role="group" aria-label="Colours">
      {THEMES.map((item) => (
        <button
          key={item.id}
          type="button"
          aria-pressed={current === item.id}
          aria-label={item.title}
          title={item.title}
          onClick={() => setTheme(item.id)}
        >
          <Icon name={item.icon} size={14} />
        </button>
      ))}
    </div>
  );
}

function ClusterState(): JSX.Element {
  const { data } = useCluster();
  const up = useCell(reachable);
  return (
    <div class="cluster-state">
      <p class={up ? "live" : "live lost"} role="status">
        <span class="live-dot" aria-hidden="true" />
        {up ? (data ? "Connected" : "Connecting") : "No connection"}
      </p>
      {data && (
        <p class="muted small">
          Lesto {data["lesto-version"]}
          <br />
          Python {data["python-version"]}
        </p>
      )}
    </div>
  );
}

export function Sidebar(props: { active: string }): JSX.Element {
  const { data } = useCluster();
  return (
    <header class="sidebar">
      <a class="brand" href="#/overview" aria-label="Lesto, overview">
        <svg width="26" height="26" viewBox="0 0 32 32" aria-hidden="true">
          <rect width="32" height="32" rx="7" class="brand-back" />
          <path d="M6 10h11a5 5 0 0 1 0 10H11" class="brand-a" />
          <path d="M6 15h7" class="brand-b" />
          <path d="m24 13 4 4-4 4" class="brand-c" />
        </svg>
        <span class="nav-text">Lesto</span>
      </a>
      <nav aria-label="Main">
        <p class="nav-head" id="nav-watch">
          Watch
        </p>
        <Entries entries={WATCH} active={props.active} overview={data} />
        <p class="nav-head">Work</p>
        <Entries entries={WORK} active={props.active} overview={data} />
      </nav>
      <div class="sidebar-foot">
        <ClusterState />
        <ThemeSwitch />
      </div>
    </header>
  );
}

export function Unreachable(): JSX.Element | null {
  if (useCell(reachable)) return null;
  return (
    <p class="banner" role="alert">
      <Icon name="warning" size={16} /> The JobManager does not answer. What is shown may be old; the page keeps trying.
    </p>
  );
}

export function Notices(): JSX.Element {
  const shown = useCell(notices);
  return (
    <div class="notices" role="log" aria-label="Messages">
      {shown.map((notice) => (
        <div key={notice.id} class={`notice notice-${notice.kind}`}>
          <Icon name={notice.kind === "error" ? "warning" : "check"} />
          <span>{notice.text}</span>
          {notice.href && <a href={notice.href}>Open</a>}
          <button type="button" class="button ghost" aria-label="Close" onClick={() => closeNotice(notice.id)}>
            <Icon name="cross" size={12} />
          </button>
        </div>
      ))}
    </div>
  );
}

export function TokenDialog(): JSX.Element | null {
  const question = useCell(tokenQuestion);
  const [value, setValue] = useState("");
  if (!question) return null;
  return (
    <Modal title="This cluster asks for a token" onClose={() => question.answer(false)}>
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault();
          setToken(value.trim());
          setValue("");
          question.answer(true);
        }}
      >
        {question.refused && (
          <p class="text-bad" role="alert">
            The server refused that token.
          </p>
        )}
        <label>
          Token
          <input
            type="password"
            autocomplete="off"
            value={value}
            onInput={(event) => setValue(event.currentTarget.value)}
            required
          />
        </label>
        <p class="muted">It is kept in this tab alone, until the tab is closed.</p>
        <div class="form-actions">
          <button type="submit" class="button primary">
            Sign in
          </button>
        </div>
      </form>
    </Modal>
  );
}
