// Python tracebacks as data: frames with their owner, so that the user's come first and the rest folds away. Pure.

export type Owner = "user" | "lesto" | "library";

export interface Frame {
  file: string;
  line: number;
  name: string;
  /** Source lines that Python printed below the frame, with its carets. */
  code: string[];
  owner: Owner;
}

export type Part =
  | { kind: "text"; lines: string[] }
  | { kind: "frames"; frames: Frame[] }
  | { kind: "error"; lines: string[] };

const FRAME = /^(?:[\s|+]*)File "(.+)", line (\d+)(?:, in (.+))?$/;
const LESTO = /\/lesto\/(client|common|connectors|jobmanager|kernels|proto|sql|state|taskmanager|testing)\//;
const LIBRARY = /\/(site-packages|dist-packages)\/|\/lib\/python3(\.\d+)?\/|\/lib64\/python3|^<(frozen|string|__array_function__)/;

/** Whose code a file is. */
export function ownerOf(file: string): Owner {
  if (LESTO.test(file)) return "lesto";
  if (LIBRARY.test(file) || file.startsWith("<frozen")) return "library";
  return "user";
}

/** Cut a traceback into what was said, frames, and the error at the end of each chained part. */
export function parse(text: string): Part[] {
  const parts: Part[] = [];
  let frames: Frame[] | null = null;
  let lines: string[] = [];
  const flush = (kind: "text" | "error"): void => {
    if (lines.some((line) => line.trim() !== "")) parts.push({ kind, lines });
    lines = [];
  };
  for (const line of text.replace(/\s+$/, "").split("\n")) {
    const found = FRAME.exec(line);
    if (found !== null) {
      if (frames === null) {
        flush("text");
        frames = [];
        parts.push({ kind: "frames", frames });
      }
      frames.push(frameOf(found));
    } else if (frames !== null && /^\s+\S/.test(line)) {
      frames.at(-1)?.code.push(line.replace(/^ {4}/, ""));
    } else if (frames !== null) {
      frames = null;
      lines = [line];
    } else if (line === "" && lines.length > 0 && parts.at(-1)?.kind === "frames") {
      flush("error");
    } else {
      lines.push(line);
    }
  }
  flush(parts.at(-1)?.kind === "frames" ? "error" : "text");
  return parts;
}

function frameOf(found: RegExpExecArray): Frame {
  const file = found[1] ?? "";
  return { file, line: Number(found[2]), name: found[3] ?? "<module>", code: [], owner: ownerOf(file) };
}

/** Neighbouring frames of the same kind of owner: runs of the user's, and runs that can be folded. */
export function runs(frames: readonly Frame[]): { folded: boolean; frames: Frame[] }[] {
  const found: { folded: boolean; frames: Frame[] }[] = [];
  for (const frame of frames) {
    const folded = frame.owner !== "user";
    const last = found.at(-1);
    if (last !== undefined && last.folded === folded) last.frames.push(frame);
    else found.push({ folded, frames: [frame] });
  }
  // A traceback without a line of the user's is shown whole: folding all of it would hide what there is.
  if (found.every((run) => run.folded)) return [{ folded: false, frames: [...frames] }];
  return found;
}

/** Where in the user's code it happened: the innermost frame of theirs. */
export function place(text: string): Frame | null {
  let found: Frame | null = null;
  for (const part of parse(text)) {
    if (part.kind !== "frames") continue;
    for (const frame of part.frames) if (frame.owner === "user") found = frame;
  }
  return found;
}

/** The last part of a path, with its folder: "jobs/flights.py". */
export function shortPath(file: string): string {
  const parts = file.split("/").filter(Boolean);
  return parts.length <= 2 ? file : parts.slice(-2).join("/");
}
