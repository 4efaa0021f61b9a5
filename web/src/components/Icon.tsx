// Small line drawings, one stroke: they take the colour of the text around them.

import type { JSX } from "preact";

const PATHS = {
  overview: "M3 3h7v8H3zM14 3h7v5h-7zM14 12h7v9h-7zM3 15h7v6H3z",
  jobs: "M4 6h4v4H4zM16 3h4v4h-4zM16 14h4v4h-4zM8 8h4M12 5h4M12 5v11h4",
  workers: "M4 4h16v6H4zM4 14h16v6H4zM8 7h.01M8 17h.01M12 7h5M12 17h5",
  manager: "M12 3l8 4v5c0 5-3.5 8-8 9-4.500-1-8-4-8-9V7zM9 12l2 2 4-4",
  submit: "M12 15V4M8 8l4-4 4 4M4 15v5h16v-5",
  sql: "M4 6c0-4 16-4 16 0v12c0 4-16 4-16 0zM4 6c0 4 16 4 16 0M4 12c0 4 16 4 16 0",
  running: "M7 4l12 8-12 8z",
  check: "M4 12l5 6L20 6",
  cross: "M5 5l14 14M19 5L5 19",
  stop: "M5 12h14",
  restart: "M20 12a8 8 0 1 1-3-6.200M20 3v5h-5",
  clock: "M12 3a9 9 0 1 0 .01 0M12 7v5l3 3",
  pause: "M8 5v14M16 5v14",
  warning: "M12 4l9 16H3zM12 10v4M12 17h.01",
  info: "M12 3a9 9 0 1 0 .01 0M12 11v6M12 7.500h.01",
  sun: "M12 8a4 4 0 1 0 .01 0M12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.500 1.500M17.500 17.500L19 19M19 5l-1.500 1.500M6.500 17.500L5 19",
  moon: "M20 14A8.500 8.500 0 0 1 10 4a8.500 8.500 0 1 0 10 10z",
  auto: "M12 3a9 9 0 1 0 .01 0M12 3v18M12 8h7M12 13h8M12 18h5",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  search: "M10 4a6 6 0 1 0 .01 0M15 15l5 5",
  up: "M6 14l6-6 6 6",
  down: "M6 10l6 6 6-6",
  right: "M9 5l7 7-7 7",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13",
  reload: "M20 12a8 8 0 1 1-3-6.200M20 3v5h-5",
  external: "M14 4h6v6M20 4l-9 9M18 13v7H4V6h7",
  table: "M3 5h18v14H3zM3 10h18M9 10v9",
  menu: "M4 6h16M4 12h16M4 18h16",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon(props: { name: IconName; size?: number; class?: string }): JSX.Element {
  const size = props.size ?? 16;
  return (
    <svg
      class={`icon ${props.class ?? ""}`}
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      stroke-width="2"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      <path d={PATHS[props.name]} />
    </svg>
  );
}
