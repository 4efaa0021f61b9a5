import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId } from "preact/hooks";

export interface Crumb {
  text: string;
  href?: string;
}

/** A page: its heading, where it stands, what can be done, and the body. Sets the window's title. */
export function Page(props: {
  title: string;
  crumbs?: Crumb[];
  /** Beside the title: a state. */
  badge?: ComponentChildren;
  /** Below the title: ids, times. */
  facts?: ComponentChildren;
  actions?: ComponentChildren;
  children: ComponentChildren;
}): JSX.Element {
  useEffect(() => {
    document.title = `${props.title} · Lesto`;
  }, [props.title]);
  return (
    <div class="page">
      {props.crumbs && props.crumbs.length > 0 && (
        <nav class="crumbs" aria-label="Breadcrumbs">
          <ol>
            {props.crumbs.map((crumb) => (
              <li key={crumb.text}>{crumb.href ? <a href={crumb.href}>{crumb.text}</a> : crumb.text}</li>
            ))}
          </ol>
        </nav>
      )}
      <header class="page-head">
        <h1>{props.title}</h1>
        {props.badge}
        {props.actions && <div class="page-actions">{props.actions}</div>}
        {props.facts && <div class="page-facts">{props.facts}</div>}
      </header>
      {props.children}
    </div>
  );
}

/** A framed part of a page with a heading of its own. */
export function Panel(props: {
  title?: string;
  /** At the right of the heading. */
  side?: ComponentChildren;
  class?: string;
  children: ComponentChildren;
}): JSX.Element {
  const heading = useId();
  return (
    <section class={`panel ${props.class ?? ""}`} {...(props.title ? { "aria-labelledby": heading } : {})}>
      {props.title && (
        <header class="panel-head">
          <h2 id={heading}>{props.title}</h2>
          {props.side && <div class="panel-side">{props.side}</div>}
        </header>
      )}
      {props.children}
    </section>
  );
}
