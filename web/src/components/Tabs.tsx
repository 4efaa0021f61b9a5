import type { ComponentChildren, JSX } from "preact";

export interface TabItem {
  id: string;
  title: string;
  href: string;
  /** Behind the title: a number of what is inside. */
  count?: ComponentChildren;
}

/** Parts of a page. They are links, so each can be kept, sent and opened beside. */
export function Tabs(props: { items: readonly TabItem[]; active: string; label: string }): JSX.Element {
  return (
    <nav class="tabs" aria-label={props.label}>
      {props.items.map((item) => (
        <a key={item.id} href={item.href} aria-current={item.id === props.active ? "page" : undefined}>
          {item.title}
          {item.count !== undefined && <span class="tab-count">{item.count}</span>}
        </a>
      ))}
    </nav>
  );
}
