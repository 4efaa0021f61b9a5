// Pages that are fetched when they are first opened.

import type { ComponentType, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";

import { ErrorBox, Spinner } from "./components";

/** A component that loads its module on first use. A failed load can be tried again: the server may have restarted. */
export function lazy<P extends object>(load: () => Promise<ComponentType<P>>): (props: P) => JSX.Element {
  let loaded: ComponentType<P> | null = null;
  return function Lazy(props: P): JSX.Element {
    const [found, setFound] = useState<{ component: ComponentType<P> | null; error?: Error }>({ component: loaded });
    const [attempt, setAttempt] = useState(0);
    useEffect(() => {
      if (loaded) return undefined;
      let live = true;
      load().then(
        (component) => {
          loaded = component;
          if (live) setFound({ component });
        },
        (error: unknown) => {
          if (live) setFound({ component: null, error: error instanceof Error ? error : new Error(String(error)) });
        },
      );
      return () => {
        live = false;
      };
    }, [attempt]);
    if (found.component) {
      const Component = found.component;
      return <Component {...props} />;
    }
    if (found.error) {
      return (
        <ErrorBox
          error={new Error("A part of the dashboard could not be fetched. After an upgrade, reload the page.")}
          title="No page"
          retry={() => setAttempt(attempt + 1)}
        />
      );
    }
    return <Spinner label="Loading the page" />;
  };
}
