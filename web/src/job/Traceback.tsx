import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";

import { Copy } from "../components";
import { parse, runs, shortPath } from "./frames";
import type { Frame } from "./frames";

/** A Python traceback: the user's frames open, runs of Lesto's and the libraries' folded. */
export function Traceback(props: { text: string; label: string }): JSX.Element {
  const parts = useMemo(() => parse(props.text), [props.text]);
  return (
    <div class="traceback" role="region" aria-label={props.label} tabIndex={0}>
      {parts.map((part, i) =>
        part.kind === "frames" ? (
          runs(part.frames).map((run, j) =>
            run.folded ? <Folded key={`${i}.${j}`} frames={run.frames} /> : <Frames key={`${i}.${j}`} frames={run.frames} />,
          )
        ) : (
          <pre key={i} class={part.kind === "error" ? "traceback-error" : "traceback-text"}>
            {part.lines.join("\n").trim()}
          </pre>
        ),
      )}
      <Copy text={props.text} label="Copy the traceback" />
    </div>
  );
}

function Frames(props: { frames: Frame[] }): JSX.Element {
  return (
    <ol class="frames">
      {props.frames.map((frame, i) => (
        <li key={i} class={`frame frame-${frame.owner}`}>
          <p>
            <span class="frame-place" title={frame.file}>
              {shortPath(frame.file)}:{frame.line}
            </span>{" "}
            <span class="frame-name">in {frame.name}</span>
          </p>
          {frame.code.length > 0 && <pre>{dedent(frame.code).join("\n")}</pre>}
        </li>
      ))}
    </ol>
  );
}

function Folded(props: { frames: Frame[] }): JSX.Element {
  const [open, setOpen] = useState(false);
  const count = props.frames.length;
  const owners = new Set(props.frames.map((frame) => frame.owner));
  const whose = owners.size > 1 ? "of Lesto and libraries" : owners.has("lesto") ? "of Lesto" : "of libraries";
  return (
    <div class="folded">
      <button type="button" class="folded-button" aria-expanded={open} onClick={() => setOpen(!open)}>
        {open ? "−" : "+"} {count} {count === 1 ? "frame" : "frames"} {whose}
      </button>
      {open && <Frames frames={props.frames} />}
    </div>
  );
}

function dedent(lines: string[]): string[] {
  const least = Math.min(...lines.filter((line) => line.trim() !== "").map((line) => line.length - line.trimStart().length));
  return lines.map((line) => line.slice(Number.isFinite(least) ? least : 0));
}
