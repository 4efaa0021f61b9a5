// What several parts of the page share: whether the server answers, the theme, the question for a token, messages.

import { useEffect, useState } from "preact/hooks";

/** A value that components can watch. */
export class Cell<T> {
  private readonly watchers = new Set<(value: T) => void>();

  constructor(private current: T) {}

  get value(): T {
    return this.current;
  }

  set(value: T): void {
    if (Object.is(value, this.current)) return;
    this.current = value;
    for (const watcher of [...this.watchers]) watcher(value);
  }

  watch(watcher: (value: T) => void): () => void {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  }
}

export function useCell<T>(cell: Cell<T>): T {
  const [value, setValue] = useState(cell.value);
  useEffect(() => {
    setValue(() => cell.value);
    return cell.watch((next) => setValue(() => next));
  }, [cell]);
  return value;
}

/** Whether the last request got an answer, whatever the answer was. */
export const reachable = new Cell(true);

export const connection = {
  heard: (): void => reachable.set(true),
  lost: (): void => reachable.set(false),
};

// ------------------------------------------------------------------------------------------------ token

export interface TokenQuestion {
  /** There was a token, and the server refused it. */
  refused: boolean;
  answer(given: boolean): void;
}

export const tokenQuestion = new Cell<TokenQuestion | null>(null);
let asking: Promise<boolean> | null = null;

/** Ask the user for a token; requests that fail meanwhile wait for the same answer. False: the user declined. */
export function needToken(refused: boolean): Promise<boolean> {
  asking ??= new Promise<boolean>((resolve) => {
    tokenQuestion.set({
      refused,
      answer: (given) => {
        tokenQuestion.set(null);
        asking = null;
        resolve(given);
      },
    });
  });
  return asking;
}

// ------------------------------------------------------------------------------------------------ theme

export type Theme = "system" | "light" | "dark";
const THEME_KEY = "lesto-theme";

function storedTheme(): Theme {
  const stored = localStorage.getItem(THEME_KEY);
  return stored === "light" || stored === "dark" ? stored : "system";
}

export const theme = new Cell<Theme>(storedTheme());

export function setTheme(value: Theme): void {
  if (value === "system") localStorage.removeItem(THEME_KEY);
  else localStorage.setItem(THEME_KEY, value);
  theme.set(value);
  showTheme();
}

export function showTheme(): void {
  if (theme.value === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme.value;
}

// --------------------------------------------------------------------------------------------- messages

export interface Notice {
  id: number;
  kind: "info" | "error";
  text: string;
  href?: string;
}

export const notices = new Cell<readonly Notice[]>([]);
const NOTICE_MS = 8_000;
let lastNotice = 0;

/** Say something at the corner of the page; an error stays until it is closed. */
export function notify(text: string, kind: Notice["kind"] = "info", href?: string): void {
  lastNotice += 1;
  const notice: Notice = { id: lastNotice, kind, text, ...(href === undefined ? {} : { href }) };
  notices.set([...notices.value.slice(-3), notice]);
  if (kind === "info") setTimeout(() => closeNotice(notice.id), NOTICE_MS);
}

export function closeNotice(id: number): void {
  notices.set(notices.value.filter((notice) => notice.id !== id));
}
