// Addresses behind the hash: #/jobs/<id>/graph?x=1. Each page is a link that can be kept and sent.

import { useEffect, useState } from "preact/hooks";

export interface Route {
  /** "/jobs/<id>/graph", without the query. */
  path: string;
  segments: string[];
  query: URLSearchParams;
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment; // a lone % typed by hand
  }
}

export function parse(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#?\/*/, "").split("?", 2);
  const segments = path.split("/").filter(Boolean).map(decoded);
  return { path: `/${segments.join("/")}`, segments, query: new URLSearchParams(query) };
}

/** The address of a page: href("jobs", id, "graph") gives "#/jobs/<id>/graph". */
export function href(...segments: (string | number)[]): string {
  return `#/${segments.map((segment) => encodeURIComponent(String(segment))).join("/")}`;
}

export function navigate(to: string): void {
  location.hash = to.startsWith("#") ? to : `#${to}`;
}

/** Change the query of the current page without a new entry in the history. */
export function setQuery(changes: Record<string, string | null>): void {
  const route = parse(location.hash);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "") route.query.delete(name);
    else route.query.set(name, value);
  }
  const query = route.query.toString();
  const address = href(...route.segments) + (query ? `?${query}` : "");
  history.replaceState(null, "", address);
  dispatchEvent(new HashChangeEvent("hashchange"));
}

export function useRoute(): Route {
  const [route, setRoute] = useState(() => parse(location.hash));
  useEffect(() => {
    const changed = (): void => setRoute(parse(location.hash));
    addEventListener("hashchange", changed);
    changed();
    return () => removeEventListener("hashchange", changed);
  }, []);
  return route;
}
