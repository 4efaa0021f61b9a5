// Where one statement ends and the next begins. Pure.

export interface Statement {
  text: string;
  /** Offsets in the whole text. */
  from: number;
  to: number;
}

const CLOSING: Record<string, string> = { "'": "'", '"': '"', "`": "`" };

/** Behind what starts at `at`, when it is a quoted text or a comment; else `at`. */
function skipped(text: string, at: number): number {
  const close = CLOSING[text.charAt(at)];
  if (close !== undefined) {
    let i = at + 1;
    while (i < text.length) {
      if (text.charAt(i) === close) {
        if (text.charAt(i + 1) !== close) return i + 1;
        i += 1; // doubled: part of the text
      }
      i += 1;
    }
    return text.length;
  }
  const two = text.slice(at, at + 2);
  if (two === "--") {
    const end = text.indexOf("\n", at);
    return end < 0 ? text.length : end;
  }
  if (two === "/*") {
    const end = text.indexOf("*/", at + 2);
    return end < 0 ? text.length : end + 2;
  }
  return at;
}

/** The first thing of a text that is neither space nor comment. */
function start(text: string, from: number, to: number): number {
  let i = from;
  while (i < to) {
    if (/\s/.test(text.charAt(i))) i += 1;
    else if (["--", "/*"].includes(text.slice(i, i + 2))) i = skipped(text, i);
    else break;
  }
  return Math.min(i, to);
}

/** Split at semicolons, but not inside quotes, comments, or between BEGIN and END of a statement set. */
export function statements(text: string): Statement[] {
  const found: Statement[] = [];
  let from = 0;
  let inside = false; // of BEGIN ... END
  let words: string[] = [];

  const close = (end: number): void => {
    const begin = start(text, from, end);
    const kept = text.slice(begin, end).trimEnd();
    if (kept) found.push({ text: kept, from: begin, to: begin + kept.length });
    words = [];
    inside = false;
  };

  for (let i = 0; i < text.length; ) {
    const behind = skipped(text, i);
    if (behind > i) {
      i = behind;
      continue;
    }
    const char = text.charAt(i);
    if (/[A-Za-z_]/.test(char)) {
      const word = /^\w+/.exec(text.slice(i))?.[0] ?? char;
      const upper = word.toUpperCase();
      // BEGIN is a word of its own only as "EXECUTE STATEMENT SET BEGIN" or "BEGIN STATEMENT SET".
      if (upper === "BEGIN" && (words.length === 0 || words.at(-1) === "SET")) inside = true;
      else if (inside && upper === "END" && words.at(-1) === ";") inside = false;
      words.push(upper);
      i += word.length;
      continue;
    }
    if (char === ";") {
      if (inside) words.push(";");
      else {
        close(i);
        from = i + 1;
      }
    }
    i += 1;
  }
  close(text.length);
  return found;
}

/** The statement at a position: the one that holds it, or the last before it. */
export function statementAt(text: string, position: number): Statement | null {
  const all = statements(text);
  return all.find((one) => position <= one.to + 1) ?? all.at(-1) ?? null;
}

/** A word for what a statement is, for a list: "SELECT", "CREATE TABLE". */
export function title(statement: string): string {
  const line = statement.replace(/\s+/g, " ").trim();
  return line.length > 60 ? `${line.slice(0, 59)}…` : line;
}
